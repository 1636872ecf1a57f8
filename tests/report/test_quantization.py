"""Int8 by hand: scales, rounding, calibration on validation images; and a table whose clock is scripted."""

import logging

import numpy as np
import onnx
import onnx.parser
import pandas as pd
import pytest
import torch
from onnx import numpy_helper

import attnprune_edu as ap
from attnprune_edu.report import quantization
from attnprune_edu.report.onnx_memory import onnx_peak_memory


@pytest.fixture(scope="module")
def written(tmp_path_factory, uneven_data):
    """A network, its file in float32, and its file in int8."""
    torch.manual_seed(0)
    folder, model = tmp_path_factory.mktemp("int8"), ap.ArticleNet((6, 8), 12, num_classes=4, image_size=16).eval()
    float32 = ap.export_onnx(model, folder / "float32.onnx", uneven_data)
    return model, float32, ap.quantize_onnx(model, uneven_data, folder / "int8.onnx", num_images=100)


def numbers(path) -> dict[str, np.ndarray]:
    """The tensors that an ONNX file holds."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_weights_are_rounded_to_the_scale_of_their_own_output_channel(written):
    model, _, path = written
    held = numbers(path)
    for layer in ("conv1", "conv2", "fc1"):
        weight = model.get_submodule(layer).weight.detach().numpy()
        each = weight.reshape(len(weight), -1)
        scale = np.abs(each).max(axis=1) / 127.5
        assert held[f"{layer}.weight_scale"] == pytest.approx(scale, rel=0.01)
        quantized = held[f"{layer}.weight_quantized"]
        assert quantized.dtype == np.int8 and quantized.shape == weight.shape
        back = quantized.reshape(each.shape) * held[f"{layer}.weight_scale"][:, None]
        assert (np.abs(back - each) <= 0.51 * held[f"{layer}.weight_scale"][:, None]).all()


@pytest.mark.parametrize("count", [7, 100])
def test_calibration_sees_the_first_validation_images(count, written, uneven_data, tmp_path):
    _, float32, path = written
    if count != 100:
        path = ap.quantize_onnx(float32, uneven_data, tmp_path / "few.onnx", num_images=count)
    pixels = uneven_data.normalize(uneven_data.validation.images[:count])
    assert numbers(path)["images_scale"] == pytest.approx((pixels.max() - pixels.min()).item() / 255, rel=1e-5)
    others = [uneven_data.normalize(part.images[:count]) for part in (uneven_data.train, uneven_data.test)]
    assert all(abs((other.max() - other.min()) / (pixels.max() - pixels.min()) - 1) > 1e-3 for other in others)


def test_the_answers_are_nearly_the_same_from_a_quarter_of_the_numbers(written, uneven_data):
    model, _, path = written
    network, images = ap.OnnxNetwork(path), uneven_data.normalize(uneven_data.test.images)
    with torch.no_grad():
        expected = model(images)
    error = (network(images) - expected).abs()
    assert 0 < error.mean() < 0.05 * expected.std()
    assert (network(images).argmax(1) == expected.argmax(1)).float().mean() > 0.95
    assert network(images[:1]).shape == (1, 4), "a single image too"
    held = numbers(path)
    assert sum(array.nbytes for array in held.values()) < 4 * ap.count_params(model) / 2.5


def test_a_file_is_quantised_as_its_network_is_and_always_in_the_same_way(written, uneven_data, tmp_path):
    _, float32, path = written
    again = ap.quantize_onnx(str(float32), uneven_data, tmp_path / "folder" / "int8.onnx", num_images=100)
    assert again.read_bytes() == path.read_bytes() and list(again.parent.iterdir()) == [again]


def test_seven_bits_where_sums_could_overflow(written, uneven_data, tmp_path):
    _, float32, _ = written
    held = numbers(ap.quantize_onnx(float32, uneven_data, tmp_path / "7.onnx", num_images=10, reduce_range=True))
    assert np.abs(held["fc1.weight_quantized"].astype(int)).max() == 64


def test_vectors_that_are_no_weights_of_channels_are_nothing_to_warn_of(uneven_data, tmp_path, caplog):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LayerNorm(3 * 16 * 16), torch.nn.Linear(3 * 16 * 16, 4)).eval()
    filters = list(logging.getLogger().filters)
    ap.quantize_onnx(model, uneven_data, tmp_path / "int8.onnx", num_images=10)
    assert not [record for record in caplog.records if "Axis" in record.getMessage()]
    assert logging.getLogger().filters == filters


FILE = '<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => (float[N, 4] scores) {{ {nodes} }}'
IMAGES = "float[N, 3, 16, 16] images"
WRONG = {  # what a file takes and does: what is said
    "already": (IMAGES, "scores = QuantizeLinear(images, images)", "this file is quantised already"),
    "another name": ("float[N, 3, 16, 16] x", "scores = Relu(x)", r"must take 'images' of the shape \(3, 16, 16\)"),
    "another shape": ("float[N, 3, 9, 16] images", "scores = Relu(images)", r"got \{'images': \[0, 3, 9, 16\]\}"),
    "one image": ("float[1, 3, 16, 16] images", "scores = Relu(images)", "any number at once"),
    "two inputs": (f"{IMAGES}, float[N] y", "scores = Relu(images)", r"got \{'images': .*, 'y': \[0\]\}"),
    "nothing to do": (
        IMAGES,
        "a = Relu(images) scores = Flatten(a)",
        r"a linear layer .*, got only \['Flatten', 'R",
    ),
    "does not run": (IMAGES, "scores = Gemm(images, images)", "model cannot be quantised: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_quantised_says_why(name, uneven_data, tmp_path):
    inputs, nodes, says = WRONG[name]
    path = tmp_path / "float32.onnx"
    path.write_bytes(onnx.parser.parse_model(FILE.format(inputs=inputs, nodes=nodes)).SerializeToString())
    with pytest.raises(ValueError, match=says):
        ap.quantize_onnx(path, uneven_data, tmp_path / "int8.onnx")
    assert list(tmp_path.iterdir()) == [path], "nothing half done is left"


def test_what_is_no_network_is_named(uneven_data, tmp_path):
    path = tmp_path / "int8.onnx"
    with pytest.raises(TypeError, match="model must be a network or the path of an ONNX file, got bytes"):
        ap.quantize_onnx(b"", uneven_data, path)
    with pytest.raises(FileNotFoundError, match=r"'missing\.onnx' is no file"):
        ap.quantize_onnx("missing.onnx", uneven_data, path)
    with pytest.raises(ValueError, match="model must be an ONNX file that export_onnx wrote"):
        ap.quantize_onnx(__file__, uneven_data, path)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        ap.quantize_onnx(__file__, uneven_data, path, num_images=0)
    with pytest.raises(ValueError, match="models must hold at least one network"):
        ap.compare_on_device({}, uneven_data)


TURNS = pd.Series([5.0, 1.0, 9.0, 2.0, 4.0])  # quartiles 2, 4 and 5


def test_the_table_has_each_network_in_both_types(written, uneven_data, monkeypatch):
    model, float32, int8 = written
    weights = ", ".join(str(n % 7 - 3) for n in range(4 * 3 * 16 * 16))
    linear = FILE.format(inputs=IMAGES, nodes="flat = Flatten(images) scores = Gemm(flat, w)").replace(
        " {", f" <float[768, 4] w = {{{weights}}}> {{", 1
    )
    models = {"one": model, "other": torch.nn.Identity()}
    contents = {model: float32.read_bytes(), models["other"]: onnx.parser.parse_model(linear).SerializeToString()}
    monkeypatch.setattr(quantization, "onnx_bytes", lambda model, data: contents[model])
    asked = []

    def scripted(networks, data, *, batch_size, rounds):
        asked.append((batch_size, rounds))
        factors = dict(zip(networks, (1, 0.5, 2, 3), strict=True))
        moods = {key: 1 if factor < 3 else pd.Series([1, 1, 1, 0.1, 0.1]) for key, factor in factors.items()}
        return pd.DataFrame({key: batch_size * factor * TURNS * moods[key] for key, factor in factors.items()})

    monkeypatch.setattr(quantization, "latency_ms", scripted)
    table = ap.compare_on_device(models, uneven_data, "validation", batch_size=4, rounds=5, num_images=100)
    assert list(table.index) == [(name, kind) for name in models for kind in ("float32", "int8")]
    assert asked == [(1, 5), (4, 5)]
    assert list(table.loc["one"].bytes) == [float32.stat().st_size, int8.stat().st_size]
    images, labels = uneven_data.validation
    for kind, path in (("float32", float32), ("int8", int8)):
        row = table.loc[("one", kind)]
        right = int((ap.OnnxNetwork(path)(uneven_data.normalize(images)).argmax(1) == labels).sum())
        assert row.accuracy == right / len(labels) and (row.accuracy_low, row.accuracy_high) == ap.wilson(right, len(labels))
        batch = {"images": uneven_data.normalize(images[:4]).numpy()}
        assert row.peak_memory == onnx_peak_memory(path, batch)
    assert table.loc["other"].accuracy["float32"] not in set(table.loc["one"].accuracy)
    assert list(table.latency_ms[:3]) == [16, 8, 32] and list(table.latency_1_ms[:3]) == [4, 2, 8]
    assert list(table.latency_iqr_ms[:3]) == [12, 6, 24] and list(table.latency_1_iqr_ms[:3]) == [3, 1.5, 6]
    # Of the last, two turns were quick: the median of the ratios is that of the others.
    assert list(table.speedup) == list(table.speedup_1) == pytest.approx([1, 2, 0.5, 1 / 3])
    assert table.dtypes["bytes"] == table.dtypes["peak_memory"] == np.int64


GRAPHS = {  # what runs on images (3, 4) of 48 bytes: bytes at the peak
    "one after the other": ("a = Exp(images) b = Sin(a) c = Exp(b) scores = Sin(c)", 3 * 48),
    "one that waits": ("a = Exp(images) b = Sin(a) c = Exp(b) scores = Add(a, c)", 4 * 48),
    "what is read last counts": ("a = Exp(images) b = Sin(a) c = Add(a, b) scores = Exp(c)", 4 * 48),
    "several outputs": (
        "a = Exp(images) p, q = Split<axis = 1>(a) r = Sin(p) s = Exp(r) scores = Concat<axis = 1>(s, q)",
        2 * 48 + 24 + 48,  # at the end: images, p beside q, s, scores
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_peak_of_a_graph_by_hand(name):
    nodes, peak = GRAPHS[name]
    content = onnx.parser.parse_model(FILE.format(inputs="float[N, 4] images", nodes=nodes)).SerializeToString()
    assert onnx_peak_memory(content, {"images": np.zeros((3, 4), np.float32)}) == peak


def test_the_peak_of_a_network_is_its_weights_and_its_largest_layer(written):
    model, float32, int8 = written
    images = np.zeros((50, 3, 16, 16), np.float32)
    full = onnx_peak_memory(float32, {"images": images})

    def with_channels(count, weights):  # while the pool writes what it makes of conv1's channels; ReLU is merged into conv1
        return 4 * (weights + images.size + 50 * count * (12 * 12 + 6 * 6))

    params = ap.count_params(model)
    assert with_channels(6, params) <= full <= with_channels(16, 16 * params), "channels may be filled up to 16"
    assert onnx_peak_memory(int8, {"images": images}) < 0.7 * full
