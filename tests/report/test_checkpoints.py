"""What a file of a network holds, and what comes back from it."""

import json
import sys

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.silence import masks_of, weight_masks_of
from attnprune_edu.report.checkpoints import PRETRAINED, atomic_write, stored_bytes, stored_tensors

ARTICLE = {"conv_channels": [4, 6], "hidden": 5, "in_channels": 1, "num_classes": 3, "image_size": [16, 20]}
RESNET = {"stage_channels": [4, 6, 8], "block_channels": [[2, 3, 4]] * 3, "in_channels": 3, "num_classes": 5}


@pytest.fixture
def oblong():
    """A network for images that are not square."""
    torch.manual_seed(0)
    return ap.ArticleNet(**ARTICLE)


@pytest.fixture
def with_norms():
    """A network with statistics, which are no parameters, and counts of batches, which are no fractions."""
    torch.manual_seed(0)
    model = ap.ResNet20(**RESNET)
    for name, buffer in model.named_buffers():
        buffer.fill_(2**24 + 1) if name.endswith("num_batches_tracked") else buffer.uniform_(1, 2)
    return model


def in_file(path):
    """The header of a file and its tensors."""
    with safe_open(path, framework="pt") as file:
        return file.metadata(), safetensors.torch.load_file(path)


def equal(some, others):
    """Whether two dictionaries of tensors have the same names, types and values."""
    return some.keys() == others.keys() and all(
        tensor.dtype == others[name].dtype and torch.equal(tensor, others[name]) for name, tensor in some.items()
    )


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.float64], ids=str)
def test_a_network_is_stored_in_another_type_and_comes_back_ready_to_use(with_norms, dtype, tmp_path):
    expected = {name: t.to(dtype) if dtype and t.is_floating_point() else t for name, t in with_norms.state_dict().items()}
    path = ap.save_model(with_norms.train(), tmp_path / "net.safetensors", dtype=dtype)
    header, tensors = in_file(path)
    assert equal(tensors, expected)
    assert list(header) == ["architecture"] and json.loads(header["architecture"]) == {"class": "ResNet20", **RESNET}
    random = torch.random.get_rng_state()
    loaded = ap.load_model(str(path))
    assert type(loaded) is ap.ResNet20 and not any(module.training for module in loaded.modules())
    assert equal(loaded.state_dict(), {name: t.float() if t.is_floating_point() else t for name, t in expected.items()})
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(torch.random.get_rng_state(), random) and with_norms.training


def test_masks_of_both_kinds_are_stored_beside_zeros_and_come_back(oblong, tmp_path):
    keep = {"conv1": torch.tensor([True, False, True, True]), "fc1": torch.arange(5) != 3}
    turned = (oblong.conv2.weight > 0).to(memory_format=torch.channels_last)  # as it is after training in that layout
    keep_weights = {"conv2": turned, "fc1": oblong.fc1.weight < 0.01}
    expected = oblong.state_dict()
    for name, stays in keep.items():
        expected[f"{name}.weight"][~stays] = 0
        expected[f"{name}.bias"][~stays] = 0
    for name, stays in keep_weights.items():
        expected[f"{name}.weight"][~stays] = 0
    images = torch.randn(2, 1, 16, 20)
    masked = ap.mask_weights(ap.mask(oblong, keep, example_inputs=images), keep_weights)
    path = ap.save_model(masked, tmp_path / "masked.safetensors")
    masks = {f"keep/{name}": stays for name, stays in keep.items()}
    masks |= {f"keep_weights/{name}": stays for name, stays in keep_weights.items()}
    assert equal(in_file(path)[1], expected | masks)
    loaded = ap.load_model(path)
    assert equal(masks_of(loaded), keep) and equal(weight_masks_of(loaded), keep_weights)
    with torch.no_grad():
        assert torch.equal(loaded(images), masked.eval()(images))
    assert masks_of(ap.load_model(ap.save_model(oblong, path))) == {}


def test_masks_come_back_to_a_network_with_norms(with_norms, tmp_path):
    keep = {"stage1.0.conv1": torch.arange(2) > 0, "stage3.2.conv1": torch.arange(4) % 3 > 0}
    masked = ap.mask(with_norms, keep).eval()
    loaded = ap.load_model(ap.save_model(masked, tmp_path / "masked.safetensors"))
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert equal(masks_of(loaded), keep) and torch.equal(loaded(images), masked(images))
    assert loaded.state_dict().keys() == masked.state_dict().keys(), "the norms behind are masked as well"


class Shared(nn.Module):
    """Tensors that overlap, or are empty, or are no tensors at all."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.third = nn.Linear(1, 2)
        numbers = torch.arange(12.0)
        for name, tensor in {
            "start": numbers[:6],
            "end": numbers[6:],
            "all": numbers,
            "table": numbers[:6].view(2, 3),
            "turned": numbers[:6].view(3, 2).T,
            "nothing": numbers[:0],
            "nothing_either": numbers[:0],
        }.items():
            self.register_buffer(name, tensor)

    def get_extra_state(self):
        return "no tensor"

    def set_extra_state(self, state):
        pass


def test_a_tensor_under_several_names_is_stored_once():
    model = Shared()
    tensors = stored_tensors(model)
    expected = model.state_dict()
    del expected["second.weight"], expected["_extra_state"]
    assert equal(tensors, expected)
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in tensors.values())
    for tensor in tensors.values():
        tensor.zero_()
    assert model.first.weight.all() and model.end.all(), "what is stored is a copy"


def test_bytes_of_a_network_that_cannot_be_saved_have_no_architecture(oblong, tmp_path):
    unknown = nn.Sequential(nn.Linear(2, 3)).double()
    state = {"0.weight": unknown[0].weight.data, "0.bias": unknown[0].bias.data}
    assert stored_bytes(unknown) == safetensors.torch.save(state)
    assert stored_bytes(unknown, torch.float16) == safetensors.torch.save({name: t.half() for name, t in state.items()})
    assert stored_bytes(oblong) == ap.save_model(oblong, tmp_path / "net").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_file_appears_whole_in_folders_that_are_made(tmp_path):
    path = tmp_path / "some" / "folder" / "file.txt"
    for text in ("first", "second"):
        with atomic_write(str(path)) as unfinished:
            assert unfinished.parent == path.parent and unfinished != path and unfinished.exists()
            unfinished.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    path.chmod(0o604)
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as unfinished:
        unfinished.write_text("third \udc80", encoding="utf-8")
    assert path.read_text() == "second" and list(path.parent.iterdir()) == [path]
    with atomic_write(path) as unfinished:
        unfinished.chmod(0o600)  # as libraries do that write to a file of their own first
    assert path.stat().st_mode & 0o777 == 0o604, "what is overwritten keeps its permissions"


@pytest.mark.parametrize(
    "header",
    [
        None,
        {"other": "{}"},
        {"architecture": "no JSON"},
        {"architecture": json.dumps({"class": "Unknown"})},
        {"architecture": json.dumps(ARTICLE)},
        {"architecture": json.dumps({"class": "ArticleNet", "depth": 3})},
        {"architecture": json.dumps({"class": "ArticleNet", **ARTICLE})},  # but its tensors are not there
    ],
    ids=str,
)
def test_a_file_that_is_no_network_is_named(header, tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, header)
    with pytest.raises(ValueError, match=r"net\.safetensors is not a network that save_model wrote, or is damaged: "):
        ap.load_model(path)


def test_a_network_that_is_not_there_is_named(tmp_path):
    shipped = "article-net-cifar10, article-net-shapes, .*, resnet20-cifar10, resnet20-shapes"
    for arguments, name in [
        (("article-net", "mnist"), "article-net-mnist"),
        ((tmp_path,), tmp_path),
        (("resnet20",), "resnet20"),
    ]:
        with pytest.raises(FileNotFoundError, match=rf"no network '{name}'.*\({shipped}\)"):
            ap.load_model(*arguments)
    assert ap.load_model("resnet20", "shapes").architecture["num_classes"] == 10
    assert (PRETRAINED / "resnet20-shapes.safetensors").is_file()


def test_what_cannot_be_saved_is_named(oblong, tmp_path):
    with pytest.raises(TypeError, match=r"dtype must be a floating-point type such as torch\.float16, got torch\.int8"):
        ap.save_model(oblong, tmp_path / "net", dtype=torch.int8)
    with pytest.raises(TypeError, match=r"model must be one of ArticleNet, ResNet20, VGG, .*, got Linear"):
        ap.save_model(nn.Linear(2, 2), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_a_residual_network_without_a_block_is_saved_loaded_and_compared(tmp_path, tiny_data):
    torch.manual_seed(0)
    network = ap.ResNet20(block_channels=((4, 0, 4), (8, 8, 0), (8, 0, 0)), stage_channels=(4, 8, 8), num_classes=3).eval()
    ap.save_model(network, tmp_path / "shallow.safetensors")
    loaded = ap.load_model(tmp_path / "shallow.safetensors").eval()
    assert loaded.architecture == network.architecture and loaded.architecture["block_channels"][0] == [4, 0, 4]
    assert torch.equal(loaded(tiny_data.example_inputs), network(tiny_data.example_inputs))
    with pytest.raises(ValueError, match="may be 0, for left out"):
        ap.ResNet20(block_channels=((16,) * 3, (0, 32, 32), (64,) * 3))
