"""Fixtures that many tests share: small data, a small network, and real CIFAR-10 where it lies beside the checkout."""

import copy
import functools
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

import attnprune_edu as ap
from attnprune_edu.coursework import Exercise
from attnprune_edu.data.images import from_arrays

# A busy machine makes single examples slow, which says nothing about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of CIFAR-10 run in one process, for unpacking it takes longer than they do."""
    for item in items:
        if "cifar10_npz" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("cifar10"))


def only_in_proofs(exercises):
    """The marks of a test that answers all ``exercises``: for a network among them, cells have more time."""
    trained = any(one.seconds > Exercise.seconds and not one.answer.startswith("answer") for one in exercises)
    return [pytest.mark.proofs] if trained else []


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch, tmp_path):
    """No test reads or fills the user's cache, nor follows the user's choice of data."""
    monkeypatch.setenv("ATTNPRUNE_CACHE", str(tmp_path / "cache"))
    for variable in ("DATA", "DIGITS", "XRAYS", "FACES"):
        monkeypatch.delenv(f"ATTNPRUNE_{variable}", raising=False)


@pytest.fixture(scope="session")
def shapes_data() -> ap.ImageData:
    return ap.load_data("shapes", announce=False)


@pytest.fixture(scope="session")
def tiny_data() -> ap.ImageData:
    """60 training images of 16×16 pixels in three classes that a network learns in seconds: red, green and blue noise."""
    random = np.random.default_rng(0)

    def part(count):
        labels = np.arange(count) % 3
        images = random.integers(0, 120, (count, 16, 16, 3), dtype=np.uint8)
        images[np.arange(count), :, :, labels] += 100
        return images, labels

    return from_arrays(*part(60), *part(30), name="tiny", class_names=("red", "green", "blue"))


@pytest.fixture
def tiny_model(tiny_data) -> ap.ArticleNet:
    torch.manual_seed(0)
    return ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=3, image_size=16).eval()


@pytest.fixture(scope="session")
def train_tiny(tiny_data):
    """A function (conv_channels, hidden) that returns a network which has learned ``tiny_data``."""

    def trained(conv_channels, hidden):
        torch.manual_seed(0)
        model = ap.ArticleNet(conv_channels=conv_channels, hidden=hidden, num_classes=3, image_size=16)
        ap.train(model, tiny_data, 12, batch_size=10, lr=0.01, progress=False)
        return model

    return trained


@pytest.fixture(scope="session")
def uneven_data() -> ap.ImageData:
    """Data on which mistakes show: 230, 130 and 170 images in four classes of unequal size; batches of 100 are not all full.

    Labels are wrong here and there, and each part has a noise of its own, so that a network gets another share of it right.
    """
    random = np.random.default_rng(0)

    def part(count, noise):
        labels = random.choice(4, count, p=[0.4, 0.3, 0.2, 0.1])
        images = random.integers(0, noise, (count, 3, 16, 16))
        images[:, 0] += 40 * (labels[:, None, None] % 2)
        images[:, 1, :, :8] += 40 * (labels[:, None, None] // 2)
        wrong = random.random(count) < 0.1
        labels[wrong] = (labels[wrong] + 1) % 4
        return ap.Images(torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels))

    return ap.ImageData("uneven", ("a", "b", "c", "d"), part(230, 180), part(130, 210), part(170, 150))


@pytest.fixture(scope="session")
def imperfect(uneven_data):
    """A function of a seed that returns a network of its own, trained to get most of ``uneven_data`` right, not all."""

    @functools.cache
    def trained(seed):
        torch.manual_seed(seed)
        model = ap.ArticleNet(conv_channels=(6, 8), hidden=12, num_classes=4, image_size=16)
        ap.train(model, uneven_data, 6, batch_size=30, lr=0.01, seed=seed, progress=False)
        return model.eval()

    return lambda seed=0: copy.deepcopy(trained(seed))


@pytest.fixture(scope="session")
def cifar10_npz(tmp_path_factory) -> Path:
    """The JPEG copy of CIFAR-10 in the Keras layout."""
    unpack = SHARED_DATA / "unpack.py"
    if not unpack.is_file():
        pytest.skip(f"the JPEG copy of CIFAR-10 is not beside this checkout ({SHARED_DATA})")
    path = tmp_path_factory.mktemp("cifar10") / "cifar10.npz"
    subprocess.run([sys.executable, unpack, path], check=True, capture_output=True)
    return path


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """A function (name, bytes) that puts a file on a web server of this computer and returns its address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def put(name, content):
        (folder / name).write_bytes(content)
        return f"http://127.0.0.1:{server.server_port}/{name}"

    yield put
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shared_data():
    """A function that returns the path of a file beside this checkout, or skips the test."""

    def path(name):
        if not (SHARED_DATA / name).is_file():
            pytest.skip(f"{name} is not beside this checkout ({SHARED_DATA})")
        return SHARED_DATA / name

    return path


class Network(torch.nn.Module):
    """Layers, and a forward pass that is handed over."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.way = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.way(self, x)


def trained_norms(model: torch.nn.Module, size: int) -> torch.nn.Module:
    """``model`` with batch norms as if it had been trained: scales, shifts and statistics of its own; in evaluation mode."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.5)
        model.train()(torch.randn(16, 3, size, size))
    return model.eval()
