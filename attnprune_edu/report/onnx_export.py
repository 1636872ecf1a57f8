"""Networks for other runtimes: written as ONNX, answered by ONNX Runtime."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images import ImageData
from ..networks.inference import call
from ..pruning.silence import unmask
from .checkpoints import atomic_write

STRUCTURE = "attnprune_edu.outputs"  # the key in the file's metadata under which the structure of the outputs stands


def export_onnx(model: nn.Module, path: str | Path, data: ImageData | None = None, *, example_inputs: Any = None) -> Path:
    """Write ``model`` to ``path`` as ONNX, in float32, and return the path.

    With ``data`` the input is called ``images``, normalised float32 (N, channels, height, width) as ``data`` has them, for
    any number of images at once. For a network of another kind give ``example_inputs`` in place of ``data``: a tensor, a
    tuple of tensors (positional arguments) or a dictionary of them (keyword arguments, whose names the inputs get; a single
    other one is called ``images``, several as torch calls them). Their first dimension should be at least 2: then it may
    differ later, if torch can follow it; all others are fixed.

    A single output is called ``scores``, several are as torch calls them. Outputs that are a tuple, list or dictionary of
    tensors come back from ``OnnxNetwork`` as such; the file's metadata say how. Masks become ordinary zeros. The file
    appears whole or not at all; it holds the weights as well.

    Raises TypeError unless either ``data`` or tensors as ``example_inputs`` are given, and ValueError if torch cannot follow
    the forward pass or the network returns anything but tensors in tuples, lists and dictionaries.
    """
    content = onnx_bytes(model, data, example_inputs=example_inputs)
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(content)
    return Path(path)


def onnx_bytes(model: nn.Module, data: ImageData | None = None, *, example_inputs: Any = None) -> bytes:
    """What ``export_onnx`` writes."""
    if (data is None) == (example_inputs is None):
        given = "neither" if data is None else "both"
        raise TypeError(f"a network is written as ONNX with either data or example_inputs, got {given}")
    batch = torch.export.Dim.AUTO if data is None else torch.export.Dim("batch")
    args, kwargs = _arguments(torch.zeros(2, *data.image_shape) if data is not None else example_inputs)
    plain = unmask(model).to("cpu", torch.float32).eval()  # a copy
    with torch.no_grad():
        outputs: list[Tensor] = []
        structure = _structure(call(plain, kwargs or args), outputs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks of the exporter on torch's own code
            program = torch.onnx.export(
                plain,
                args,
                kwargs=kwargs,
                dynamo=True,
                input_names=["images"] if len(args) == 1 else None,
                output_names=["scores"] if len(outputs) == 1 else None,
                dynamic_shapes={name: {0: batch} for name in kwargs} or tuple({0: batch} for _ in args),
                verbose=False,
            )
    except Exception as error:  # whatever a foreign forward raises when it is followed
        raise ValueError(f"model cannot be written as ONNX: {error}") from error
    file = program.model_proto
    if len(file.graph.output) != len(outputs):
        raise ValueError(f"model cannot be written as ONNX: of {len(outputs)} outputs the file has {len(file.graph.output)}")
    file.metadata_props.add(key=STRUCTURE, value=json.dumps(structure))
    return file.SerializeToString()


def _arguments(inputs: Any) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """``inputs`` as positional and as keyword arguments, on the CPU, with all floating-point tensors in float32."""
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    listed = () if named else tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    tensors = [*named.values(), *listed]
    if not tensors or not all(isinstance(tensor, Tensor) for tensor in tensors):
        kinds = [type(tensor).__name__ for tensor in tensors]
        raise TypeError(f"example_inputs must be a tensor, or a tuple or dictionary of tensors, got {kinds}")
    return tuple(map(_plain, listed)), {name: _plain(tensor) for name, tensor in named.items()}


def _plain(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def _structure(output: Any, tensors: list[Tensor]) -> Any:
    """What ``output`` is made of, for JSON: {kind: its parts}, where a number stands for a tensor, put into ``tensors``."""
    if isinstance(output, Tensor):
        tensors.append(output)
        return len(tensors) - 1
    if output is None:
        return None
    if isinstance(output, Mapping) and all(isinstance(name, str | int) for name in output):
        return {"dict": [[name, _structure(part, tensors)] for name, part in output.items()]}
    if isinstance(output, tuple | list):
        return {"list" if isinstance(output, list) else "tuple": [_structure(part, tensors) for part in output]}
    raise ValueError(
        "model cannot be written as ONNX: it must return tensors, alone or in tuples, lists and dictionaries, "
        f"got {type(output).__name__}"
    )


def _restored(structure: Any, tensors: list[Tensor]) -> Any:
    """The output that ``structure`` describes."""
    if structure is None or isinstance(structure, int):
        return None if structure is None else tensors[structure]
    [(kind, parts)] = structure.items()
    if kind == "dict":
        return {name: _restored(part, tensors) for name, part in parts}
    restored = [_restored(part, tensors) for part in parts]
    return restored if kind == "list" else tuple(restored)


class OnnxNetwork:
    """A network that ONNX Runtime answers for, on the CPU, called like any other: normalised images to class scores.

    ``source``: the path of a file that ``export_onnx`` wrote, or its bytes. ``threads``: as many as torch uses, if None;
    they sleep between two answers, while ONNX Runtime by itself would let them spin. ``inputs``: the names of what it is
    called with, in order.
    """

    def __init__(self, source: str | Path | bytes, threads: int | None = None):
        import onnxruntime  # here, because most lessons do not need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        # Else its threads go on asking for work after each answer, and whatever is measured next has to share the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        content = source if isinstance(source, bytes) else str(source)
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = [each.name for each in self.session.get_inputs()]
        stored = self.session.get_modelmeta().custom_metadata_map.get(STRUCTURE)
        count = len(self.session.get_outputs())  # of a file that something else wrote
        self._structure = json.loads(stored) if stored else 0 if count == 1 else {"tuple": list(range(count))}

    def __call__(self, *inputs: Tensor, **named: Tensor) -> Any:
        """What the network returns, such as class scores (N, classes) for normalised images (N, channels, height, width).

        Floating-point inputs are converted to float32. Raises TypeError if the inputs are not those of the network.
        """
        given = dict(zip(self.inputs, inputs, strict=False)) | named
        if given.keys() != set(self.inputs) or len(inputs) + len(named) != len(self.inputs):
            raise TypeError(f"this network takes {self.inputs}, got {len(inputs)} positional inputs and {list(named)}")
        results = self.session.run(None, {name: _plain(tensor).numpy() for name, tensor in given.items()})
        return _restored(self._structure, [torch.from_numpy(result) for result in results])
