"""Networks for other runtimes: written as ONNX, answered by ONNX Runtime."""

import warnings
from pathlib import Path

import torch
from torch import nn

from ..data.images import ImageData
from ..pruning.masks import unmask
from .checkpoints import atomic_write


def export_onnx(model: nn.Module, path: str | Path, data: ImageData) -> Path:
    """Write ``model`` to ``path`` as ONNX, for any number of images at once, and return the path.

    The input is called ``images``, normalised float32 (N, channels, height, width) as ``data`` has them; the output is
    ``scores`` (N, classes). Masks become ordinary zeros. The file appears whole or not at all; it holds the weights as well.
    Raises ValueError if torch cannot follow the forward pass.
    """
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(onnx_bytes(model, data))
    return Path(path)


def onnx_bytes(model: nn.Module, data: ImageData) -> bytes:
    """What ``export_onnx`` writes."""
    plain = unmask(model).to("cpu", torch.float32).eval()  # a copy
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks of the exporter on torch's own code
            program = torch.onnx.export(
                plain,
                (torch.zeros(2, *data.image_shape),),
                dynamo=True,
                input_names=["images"],
                output_names=["scores"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except Exception as error:  # whatever a foreign forward raises when it is followed
        raise ValueError(f"model cannot be written as ONNX: {error}") from error
    return program.model_proto.SerializeToString()


class OnnxNetwork:
    """A network that ONNX Runtime answers for, on the CPU, called like any other: normalised images to class scores.

    ``source``: the path of a file that ``export_onnx`` wrote, or its bytes. ``threads``: as many as torch uses, if None;
    they sleep between two answers, while ONNX Runtime by itself would let them spin.
    """

    def __init__(self, source: str | Path | bytes, threads: int | None = None):
        import onnxruntime  # here, because most lessons do not need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        # Else its threads go on asking for work after each answer, and whatever is measured next has to share the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        content = source if isinstance(source, bytes) else str(source)
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores (N, classes) for normalised ``images`` (N, channels, height, width)."""
        return torch.from_numpy(self.session.run(["scores"], {"images": images.numpy()})[0])
