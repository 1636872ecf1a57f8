"""ONNX Runtime answers for a network that was written as ONNX: the same, in the same form."""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.data.images import from_arrays
from attnprune_edu.networks.inference import call
from attnprune_edu.report.onnx_export import onnx_bytes


@pytest.fixture(scope="module")
def data():
    """Grey images that are not square."""
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 20), dtype=np.uint8)
    return from_arrays(images, np.arange(9) % 3, images[:5], np.arange(5) % 3, name="grey")


def article_net():
    torch.manual_seed(0)
    return ap.ArticleNet((4, 6), 5, in_channels=1, num_classes=3, image_size=(16, 20))


def masked_net(data):
    model = article_net()
    keep = {"conv1": torch.tensor([True, False, True, True]), "fc1": torch.arange(5) != 3}
    return ap.mask_weights(ap.mask(model, keep, example_inputs=data.example_inputs), {"conv2": model.conv2.weight > 0})


def removed_resnet(data):
    torch.manual_seed(0)
    model = ap.ResNet20((4, 6, 8), ((4, 5, 6),) * 3, in_channels=1, num_classes=3)
    keep = {"stage1.0.conv1": torch.arange(4) > 1, "stage3.2.conv1": torch.arange(6) % 3 > 0}
    small = ap.remove(ap.mask(model, keep), data.example_inputs)
    small(data.normalize(data.train.images))  # in training mode: the statistics are no longer those of a single batch
    return small


@pytest.fixture(scope="module")
def content(data):
    """The article's network, written."""
    return onnx_bytes(article_net(), data)


NETWORKS = {"dense": lambda data: article_net(), "masked": masked_net, "removed": removed_resnet}


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_gives_the_same_answers(name, data, tmp_path, capfd, recwarn):
    model = NETWORKS[name](data).train()
    path = ap.export_onnx(model, str(tmp_path / "folder" / "net.onnx"), data)
    assert path == tmp_path / "folder" / "net.onnx" and list(path.parent.iterdir()) == [path]
    assert capfd.readouterr() == ("", "") and not recwarn.list, "nothing is said that nobody asked for"
    assert model.training, "what is written is a copy"
    network = ap.OnnxNetwork(path)
    (inputs,), (outputs,) = network.session.get_inputs(), network.session.get_outputs()
    assert (inputs.name, inputs.shape, inputs.type) == ("images", ["batch", 1, 16, 20], "tensor(float)")
    assert (outputs.name, outputs.shape, outputs.type) == ("scores", ["batch", 3], "tensor(float)")
    model.eval()
    for count in (1, 5):
        images = data.normalize(data.test.images[:count])
        with torch.no_grad():
            assert (network(images) - model(images)).abs().max() < 1e-4 < network(images).abs().max()


def test_threads_sleep_and_are_as_many_as_torch_has(content):
    for threads, expected in ((None, torch.get_num_threads()), (3, 3)):
        session = ap.OnnxNetwork(content, threads).session
        options = session.get_session_options()
        assert options.intra_op_num_threads == expected
        spinning = options.get_session_config_entry("session.intra_op.allow_spinning")
        assert spinning == "0", "or they disturb what runs next"
        assert session.get_providers() == ["CPUExecutionProvider"]


def test_a_network_of_another_type_computes_in_float32(tiny_model, tiny_data):
    network = ap.OnnxNetwork(onnx_bytes(tiny_model.double(), tiny_data))
    images = tiny_data.normalize(tiny_data.test.images[:3]).double()
    answer = network(images.requires_grad_())
    assert answer.dtype == torch.float32 and (answer - tiny_model(images)).abs().max() < 1e-4
    assert tiny_model.fc1.weight.dtype == torch.float64


class Pair(NamedTuple):
    scores: torch.Tensor
    extra: torch.Tensor


class Several(nn.Module):
    """Returns what ``form`` makes of two different tensors."""

    def __init__(self, form):
        super().__init__()
        self.linear, self.form = nn.Linear(3, 4), form

    def forward(self, images):
        scores = self.linear(images.mean(dim=(2, 3)))
        return self.form(scores, scores.exp().sum(dim=1))


FORMS = {  # what the network returns, and in what form it comes back
    "nested": lambda a, b: {"z": (b, [a, {7: b + 1}], a), "a": None, "empty": ((), []), "list": [b, a]},
    "the other order": lambda a, b: (b, a),
    "subclasses": lambda a, b: [Pair(a, b), OrderedDict(it=a + 1)],
    "one in a tuple": lambda a, b: (a + b[:, None],),
    "one in a dictionary": lambda a, b: {"it": a + b[:, None]},
}
PLAIN = FORMS | {"subclasses": lambda a, b: [(a, b), {"it": a + 1}]}


def same(one, other):
    """Whether two outputs are alike: in kind, in order and keys, in numbers."""
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and (one - other).abs().max() < 1e-4
    if isinstance(one, dict):
        return type(other) is dict and list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if one is None:
        return other is None
    return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))


@pytest.mark.parametrize("form", FORMS)
def test_outputs_come_back_in_the_form_they_had(form, tiny_data):
    model = Several(FORMS[form])
    content = onnx_bytes(model, tiny_data)
    network = ap.OnnxNetwork(content)
    file = onnx.load_from_string(content)
    del file.metadata_props[:]  # as of a file that something else wrote
    foreign = ap.OnnxNetwork(file.SerializeToString())
    model.form = PLAIN[form]
    for count in (1, 5):
        images = tiny_data.normalize(tiny_data.test.images[:count])
        with torch.no_grad():
            expected = model(images)
        assert same(expected, network(images))
        flat = tuple(leaf for leaf in torch.utils._pytree.tree_leaves(expected) if leaf is not None)
        assert same(flat if len(flat) > 1 else flat[0], foreign(images))
    names = [output.name for output in network.session.get_outputs()]
    assert names == ["scores"] if form.startswith("one") else len(set(names)) == len(names) > 1


class Scaled(nn.Module):
    """A network with two inputs that differ in type."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 3)

    def forward(self, tokens, scale):
        return self.embedding(tokens) * scale


class Recurrent(Scaled):
    """And one that looks back, with states to return."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, tokens, scale):
        outputs, (hidden, cell) = self.lstm(super().forward(tokens, scale))
        return {"outputs": outputs, "state": (hidden, cell)}


def tokens(count):
    return {"tokens": torch.arange(count * 5).view(count, 5) % 7, "scale": torch.rand(count, 1, 1, dtype=torch.float64)}


@pytest.mark.parametrize(("kind", "model"), [(list, Scaled), (OrderedDict, Recurrent)])
def test_other_inputs_are_given_as_an_example(kind, model):
    model = model().eval()
    network = None
    for count in (2, 4):
        named = tokens(count)
        example = named if kind is OrderedDict else kind(named.values())
        network = network or ap.OnnxNetwork(onnx_bytes(model, example_inputs=example))
        with torch.no_grad():
            expected = model(named["tokens"], named["scale"].float())
        assert network.inputs == ["tokens", "scale"]
        assert same(expected, call(network, example))
        assert same(expected, network(**dict(reversed(named.items()))))
        assert same(expected, network(named["tokens"], scale=named["scale"]))


def test_one_input_is_called_images_unless_it_has_a_name(tmp_path):
    rows = torch.zeros(2, 4)
    for example, name in [((rows,), "images"), ({"input": rows}, "input")]:
        network = ap.OnnxNetwork(ap.export_onnx(nn.Linear(4, 2), tmp_path / "net.onnx", example_inputs=example))
        assert network.inputs == [name]


class Choosy(nn.Module):
    def forward(self, images):
        return images.flatten(1) if images.sum() > 0 else -images.flatten(1)


class Shy(nn.Module):
    """Returns less while it is followed."""

    def forward(self, images):
        scores = images.mean(dim=(2, 3))
        return (scores,) if torch.compiler.is_compiling() else (scores, scores + 1)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Choosy(), "model cannot be written as ONNX: .*data-dependent"),
        (Shy(), "model cannot be written as ONNX: of 2 outputs the file has 1"),
        (Several(lambda a, b: (a, "text")), "tuples, lists and dictionaries, got str"),
        (Several(lambda a, b: [{(1, 2): a}]), "tuples, lists and dictionaries, got dict"),
    ],
)
def test_what_cannot_be_written_as_onnx_is_named(model, says, tiny_data, tmp_path):
    with pytest.raises(ValueError, match=f"(?s){says}"):
        ap.export_onnx(model, tmp_path / "net.onnx", tiny_data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "either data or example_inputs, got neither"),
        ({"data": True, "example_inputs": torch.zeros(2, 3)}, "either data or example_inputs, got both"),
        ({"example_inputs": (torch.zeros(2, 3), 4)}, r"tuple or dictionary of tensors, got \['Tensor', 'int'\]"),
        ({"example_inputs": ()}, r"got \[\]"),
        ({"example_inputs": {}}, r"got \['dict'\]"),
        ({"example_inputs": {"images": torch.zeros(2, 3), "more": None}}, r"got \['Tensor', 'NoneType'\]"),
    ],
)
def test_wrong_examples_are_named(options, says, tmp_path):
    with pytest.raises(TypeError, match=says):
        ap.export_onnx(nn.Linear(3, 3), tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_wrong_inputs_are_named(content):
    network = ap.OnnxNetwork(content)
    image = torch.zeros(1, 1, 16, 20)
    for inputs, says in [((), r"0 .* \[\]"), ((image, image), r"2 .* \[\]"), ({"pictures": image}, r"0 .* \['pictures'\]")]:
        with pytest.raises(TypeError, match=rf"takes \['images'\], got {says}"):
            call(network, inputs)
    with pytest.raises(TypeError, match=r"1 positional inputs and \['images'\]"):
        network(image, images=image)
