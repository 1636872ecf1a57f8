"""Networks for small devices: int8 in place of float32, after pruning, and what both cost side by side.

Quantisation writes numbers in eight bits: q = round(x / scale) + zero point, with one scale for each output channel of the
weights, and one for each tensor that goes from layer to layer. The weights are known; how large the tensors between the
layers get is looked up on some validation images, the *calibration* (Jacob et al., CVPR 2018, arXiv:1712.05877). ONNX
Runtime does all that; see https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.

Int8 weights take a quarter of the bytes anywhere. Whether they take less time depends on the processor: some multiply and
add int8 numbers in one instruction (VNNI on x86, dot products on ARM), others need several. So measure it on the device.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from ..data.images import ImageData
from .checkpoints import atomic_write
from .evaluation import latency_ms
from .onnx_export import OnnxNetwork, onnx_bytes
from .onnx_memory import onnx_peak_memory
from .uncertainty import wilson

MULTIPLYING = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # the kinds of nodes that int8 is for
BATCH = 100


def quantize_onnx(
    model: nn.Module | str | Path,
    data: ImageData,
    path: str | Path,
    *,
    num_images: int = 500,
    reduce_range: bool = False,
) -> Path:
    """Write ``model`` to ``path`` as ONNX in int8, and return the path. ``OnnxNetwork`` answers for it as for any other.

    ``model``: a network, or the path of a file that ``export_onnx`` wrote with ``data``. Convolutions, linear layers, and
    what lies between them are quantised statically: weights to int8, one scale for each output channel, tensors to uint8,
    with scales from the first ``num_images`` validation images. What ONNX Runtime has no int8 for, such as recurrent
    layers, stays in float32; so do the images that go in and the scores that come out. Masks become ordinary zeros, which
    take a byte each: remove channels first. The file appears whole or not at all.

    ``reduce_range``: weights get 7 bits. On x86 processors without VNNI sums of two products may else overflow.

    Raises TypeError for another kind of ``model``, FileNotFoundError if there is no such file, and ValueError if the network
    cannot be written as ONNX, its file is no ONNX, is quantised already, takes other inputs than ``data`` has or has no
    layer that multiplies, or ``num_images`` is below 1.
    """
    content = quantized_bytes(_exported(model, data), data, num_images=num_images, reduce_range=reduce_range)
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(content)
    return Path(path)


def quantized_bytes(content: bytes, data: ImageData, *, num_images: int = 500, reduce_range: bool = False) -> bytes:
    """What ``quantize_onnx`` writes, made of what ``export_onnx`` writes."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}")
    _check_quantizable(content, data)
    with tempfile.TemporaryDirectory() as folder:
        written, prepared, quantized = (Path(folder, name) for name in ("float32.onnx", "prepared.onnx", "int8.onnx"))
        written.write_bytes(content)
        try:
            quant_pre_process(written, prepared, skip_symbolic_shape=True)
            with _without_axis_warnings():
                quantization.quantize_static(
                    prepared,
                    quantized,
                    _Calibration(data, num_images),
                    quant_format=quantization.QuantFormat.QDQ,
                    per_channel=True,
                    reduce_range=reduce_range,
                    activation_type=quantization.QuantType.QUInt8,  # for which x86 and ARM both have quick code
                    weight_type=quantization.QuantType.QInt8,
                )
        except Exception as error:  # whatever ONNX Runtime raises over a foreign network
            raise ValueError(f"model cannot be quantised: {error}") from error
        return quantized.read_bytes()


def compare_on_device(
    models: dict[str, nn.Module],
    data: ImageData,
    split: str = "test",
    *,
    batch_size: int = 64,
    rounds: int = 15,
    num_images: int = 500,
    reduce_range: bool = False,
) -> pd.DataFrame:
    """Return two rows per network, in ``float32`` and in ``int8``, both answered by ONNX Runtime on this machine's CPU.

    {name: model} → a table indexed by name and type, with the columns

    - ``bytes``: size of the ONNX file;
    - ``accuracy``: share of the images of ``split`` that are classified correctly, 0–1, and ``accuracy_low``,
      ``accuracy_high``, its 95 % confidence interval (``wilson``);
    - ``latency_1_ms``, ``latency_ms``: median time for one image and for a batch of ``batch_size``, with as many threads as
      torch uses, and ``latency_1_iqr_ms``, ``latency_iqr_ms``, the interquartile range;
    - ``speedup_1``, ``speedup``: how many times as fast as the first network in float32, the median over the turns;
    - ``peak_memory``: bytes of weights, images and results at the peak of a batch (``onnx_peak_memory``).

    Latency is measured in ``rounds`` turns, every network of either type once a turn, so that a slow moment of the machine
    hits all alike. ``num_images``, ``reduce_range`` and errors: as for ``quantize_onnx``; raises ValueError if there is no
    network or ``split`` is unknown.
    """
    if not models:
        raise ValueError("models must hold at least one network, got an empty dictionary")
    images, labels = data.part(split)
    contents = {}
    for name, model in models.items():
        contents[name, "float32"] = onnx_bytes(model, data)
        contents[name, "int8"] = quantized_bytes(
            contents[name, "float32"], data, num_images=num_images, reduce_range=reduce_range
        )
    networks = {key: OnnxNetwork(content) for key, content in contents.items()}
    rows = {}
    for key, network in networks.items():
        answers = torch.cat([network(data.normalize(batch)).argmax(dim=1) for batch in images.split(BATCH)])
        correct = int((answers == labels).sum())
        rows[key] = {"bytes": len(contents[key]), "accuracy": correct / len(labels)}
        rows[key] |= dict(zip(("accuracy_low", "accuracy_high"), wilson(correct, len(labels)), strict=True))
    for count, suffix in ((1, "_1"), (batch_size, "")):
        turns = latency_ms(networks, data, batch_size=count, rounds=rounds)
        first = turns[next(iter(networks))]
        for key in networks:
            low, median, high = turns[key].quantile([0.25, 0.5, 0.75])
            rows[key] |= {f"latency{suffix}_ms": median, f"latency{suffix}_iqr_ms": high - low}
            rows[key][f"speedup{suffix}"] = (first / turns[key]).median()
    batch = {"images": data.inputs(batch_size).numpy()}
    for key, content in contents.items():
        rows[key]["peak_memory"] = onnx_peak_memory(content, batch)
    table = pd.DataFrame(rows.values(), pd.MultiIndex.from_tuples(rows, names=["network", "type"]))
    order = ["bytes", "accuracy", "accuracy_low", "accuracy_high", "latency_1_ms", "latency_1_iqr_ms", "latency_ms"]
    return table[[*order, "latency_iqr_ms", "speedup_1", "speedup", "peak_memory"]]


def _exported(model: nn.Module | str | Path, data: ImageData) -> bytes:
    if isinstance(model, nn.Module):
        return onnx_bytes(model, data)
    if not isinstance(model, str | Path):
        raise TypeError(f"model must be a network or the path of an ONNX file, got {type(model).__name__}")
    if not Path(model).is_file():
        raise FileNotFoundError(f"model must be a network or the path of an ONNX file, and {str(model)!r} is no file")
    return Path(model).read_bytes()


def _check_quantizable(content: bytes, data: ImageData) -> None:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_from_string(content).graph
    except DecodeError as error:
        raise ValueError(f"model must be an ONNX file that export_onnx wrote: {error}") from error
    kinds = {node.op_type for node in graph.node}
    if kinds & {"QuantizeLinear", "DequantizeLinear"}:
        raise ValueError("model must be in float32, but this file is quantised already: quantise what export_onnx wrote")
    inputs = {each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in graph.input}
    if inputs != {"images": [0, *data.image_shape]}:  # 0: any number
        accepted = f"'images' of the shape {data.image_shape}, any number at once"
        raise ValueError(f"model must take {accepted}, as export_onnx(model, path, data) writes it, got {inputs}")
    if not kinds & set(MULTIPLYING):
        raise ValueError(f"model must have a convolution or a linear layer to quantise, got only {sorted(kinds)}")


@contextlib.contextmanager
def _without_axis_warnings() -> Iterator[None]:
    """ONNX Runtime warns of each vector, such as the scales of a normalisation, that it has no output channels."""

    def worth_saying(record: logging.LogRecord) -> bool:
        return "is out-of-range for weight" not in record.getMessage()

    logger = logging.getLogger()
    logger.addFilter(worth_saying)
    try:
        yield
    finally:
        logger.removeFilter(worth_saying)


class _Calibration:
    """Validation images in batches, as ONNX Runtime's calibration asks for them."""

    def __init__(self, data: ImageData, num_images: int):
        batches = data.validation.images[:num_images].split(BATCH)
        self.batches = ({"images": data.normalize(batch).numpy()} for batch in batches)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)
