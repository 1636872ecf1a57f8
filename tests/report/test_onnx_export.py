"""What ONNX Runtime answers for a network that was written as ONNX: the same, in the same form."""

from typing import NamedTuple

import onnx
import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.networks.inference import call
from attnprune_edu.report.onnx_export import onnx_bytes


@pytest.mark.parametrize("name", ["article-net", "resnet20"])
@pytest.mark.parametrize("kind", ["dense", "masked", "removed"])
def test_onnx_runtime_gives_the_same_answers(name, kind, shapes_data, tmp_path):
    model = ap.load_model(name, "shapes")
    if kind != "dense":
        groups = ap.coupled_layers(model, shapes_data.image_shape)
        model = ap.mask(model, ap.keep_by_ratio(ap.couple(ap.importance(model), groups), 0.5))
    if kind == "removed":
        model = ap.remove(model, torch.zeros(2, *shapes_data.image_shape))
    path = ap.export_onnx(model, tmp_path / "net.onnx", shapes_data)
    assert list(tmp_path.iterdir()) == [path]
    network = ap.OnnxNetwork(path)
    options = network.session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0", "or it disturbs what runs next"
    for count in (1, 5):
        images = shapes_data.normalize(shapes_data.test.images[:count])
        with torch.no_grad():
            assert (network(images) - model(images)).abs().max() < 1e-4


def test_what_cannot_be_written_as_onnx_is_named(tiny_data, tmp_path):
    class Choosy(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

    with pytest.raises(ValueError, match="cannot be written as ONNX"):
        ap.export_onnx(Choosy(), tmp_path / "net.onnx", tiny_data)
    assert not list(tmp_path.iterdir())


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


FORMS = {
    "tuple": lambda a, b: (a, b),
    "the other order": lambda a, b: (b, a),
    "list": lambda a, b: [a, b],
    "dictionary": lambda a, b: {"z": a, "a": b},
    "nested": lambda a, b: {"scores": (b, [a, {"again": b}]), "nothing": None, "twice": a},
    "one in a tuple": lambda a, b: (a + b[:, None],),
    "one in a dictionary": lambda a, b: {"it": a + b[:, None]},
}


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
def test_outputs_come_back_in_the_form_they_had(form, tiny_data, tmp_path):
    model = Several(FORMS[form]).eval()
    network = ap.OnnxNetwork(ap.export_onnx(model, tmp_path / "net.onnx", tiny_data))
    for count in (1, 5):
        images = tiny_data.normalize(tiny_data.test.images[:count])
        with torch.no_grad():
            assert same(model(images), network(images))
    names = [output.name for output in network.session.get_outputs()]
    assert names == ["scores"] if form.startswith("one") else len(set(names)) == len(names) > 1


def test_a_named_tuple_comes_back_as_a_tuple(tiny_data):
    model = Several(Pair).eval()
    images = tiny_data.normalize(tiny_data.test.images[:3])
    answer = ap.OnnxNetwork(onnx_bytes(model, tiny_data))(images)
    with torch.no_grad():
        assert same(tuple(model(images)), answer)


class Tokens(nn.Module):
    """A recurrent network with two inputs that differ in type."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(7, 3), nn.LSTM(3, 4, batch_first=True)

    def forward(self, tokens, scale):
        outputs, (hidden, cell) = self.lstm(self.embedding(tokens) * scale)
        return {"outputs": outputs, "state": (hidden, cell)}


def tokens(count):
    return {"tokens": torch.arange(count * 5).view(count, 5) % 7, "scale": torch.rand(count, 1, 1)}


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_other_inputs_are_given_as_an_example(kind, tmp_path):
    model = Tokens().eval()
    for count in (2, 4):
        named = tokens(count)
        example = named if kind is dict else kind(named.values())
        if count == 2:
            network = ap.OnnxNetwork(ap.export_onnx(model, tmp_path / "net.onnx", example_inputs=example))
        with torch.no_grad():
            expected = model(**named)
        assert same(expected, call(network, example))
        assert same(expected, network(**dict(reversed(named.items()))))


def test_one_input_is_called_images_unless_it_has_a_name():
    rows = torch.zeros(2, 4)
    for example, name in [(rows, "images"), ((rows,), "images"), ({"input": rows}, "input")]:
        assert ap.OnnxNetwork(onnx_bytes(nn.Linear(4, 2), example_inputs=example)).inputs == [name]


def test_a_network_of_another_type_computes_in_float32(tiny_model, tiny_data):
    network = ap.OnnxNetwork(onnx_bytes(tiny_model.double(), tiny_data))
    images = tiny_data.normalize(tiny_data.test.images[:3]).double()
    answer = network(images)
    assert answer.dtype == torch.float32 and (answer - tiny_model(images)).abs().max() < 1e-4


def test_a_file_without_a_structure_gives_a_tensor_or_a_tuple(tiny_data):
    images = tiny_data.normalize(tiny_data.test.images[:3])
    for form, kind in {"one in a dictionary": torch.Tensor, "list": tuple}.items():
        file = onnx.load_from_string(onnx_bytes(Several(FORMS[form]), tiny_data))
        del file.metadata_props[:]
        assert type(ap.OnnxNetwork(file.SerializeToString())(images)) is kind


def test_wrong_inputs_are_named(tiny_model, tiny_data, tmp_path):
    for options, says in [({}, "got neither"), ({"data": tiny_data, "example_inputs": torch.zeros(2, 3)}, "got both")]:
        with pytest.raises(TypeError, match=says):
            ap.export_onnx(tiny_model, tmp_path / "net.onnx", **options)
    for wrong, says in [((torch.zeros(2, 3), 4), r"\['Tensor', 'int'\]"), ((), r"\[\]"), ({}, r"\['dict'\]")]:
        with pytest.raises(TypeError, match=says):
            ap.export_onnx(tiny_model, tmp_path / "net.onnx", example_inputs=wrong)
    with pytest.raises(ValueError, match="got str"):
        ap.export_onnx(Several(lambda a, b: (a, "text")), tmp_path / "net.onnx", tiny_data)
    network = ap.OnnxNetwork(onnx_bytes(tiny_model, tiny_data))
    image = torch.zeros(1, 3, 16, 16)
    for inputs in [(), (image, image), {"pictures": image}]:
        with pytest.raises(TypeError, match=r"takes \['images'\]"):
            call(network, inputs)
    with pytest.raises(TypeError, match=r"1 positional inputs and \['images'\]"):
        network(image, images=image)
    assert not list(tmp_path.iterdir())
