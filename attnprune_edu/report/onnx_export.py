"""Networks for other runtimes: written as ONNX, answered by ONNX Runtime."""

import ast
import itertools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..data.images import ImageData
from ..networks.inference import call
from ..pruning.silence import unmask
from .checkpoints import atomic_write

STRUCTURE = "attnprune_edu.structure"  # in the file's metadata: the outputs as Python writes them, numbers for the tensors


def export_onnx(model: nn.Module, path: str | Path, data: ImageData | None = None, *, example_inputs: Any = None) -> Path:
    """Write ``model`` to ``path`` as ONNX, in float32, and return the path.

    With ``data`` the input is called ``images``, normalised float32 (N, channels, height, width) as ``data`` has them, for
    any number of images at once. For a network of another kind give ``example_inputs`` in place of ``data``: a tensor, a
    tuple of tensors (positional arguments) or a dictionary of them (keyword arguments, whose names the inputs get; a single
    other one is called ``images``, several as torch calls them). Their first dimension should be at least 2: then it may
    differ later, if torch can follow it; all others are fixed.

    A single output is called ``scores``, several are as torch calls them; tuples, lists and dictionaries of tensors come
    back from ``OnnxNetwork`` as such. Masks become ordinary zeros. The file appears whole or not at all.

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
    args, kwargs = _arguments(data.example_inputs if data is not None else example_inputs)
    plain = unmask(model).to("cpu", torch.float32).eval()  # a copy
    with torch.no_grad():
        structure = _numbered(call(plain, kwargs or args), numbers := itertools.count())
    count = next(numbers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks of the exporter on torch's own code
            program = torch.onnx.export(
                plain,
                args,
                kwargs=kwargs,
                dynamo=True,
                input_names=["images"] if len(args) == 1 else None,
                output_names=["scores"] if count == 1 else None,
                dynamic_shapes={name: {0: batch} for name in kwargs} or tuple({0: batch} for _ in args),
                verbose=False,
            )
    except Exception as error:  # whatever a foreign forward raises when it is followed
        raise ValueError(f"model cannot be written as ONNX: {error}") from error
    file = program.model_proto
    if len(file.graph.output) != count:
        raise ValueError(f"model cannot be written as ONNX: of {count} outputs the file has {len(file.graph.output)}")
    file.metadata_props.add(key=STRUCTURE, value=repr(structure))
    return file.SerializeToString()


def _arguments(inputs: Any) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """``inputs`` as positional and as keyword arguments."""
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    listed = () if named else tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    kinds = [type(tensor).__name__ for tensor in (*named.values(), *listed)]
    if not kinds or not all(isinstance(tensor, Tensor) for tensor in (*named.values(), *listed)):
        raise TypeError(f"example_inputs must be a tensor, or a tuple or dictionary of tensors, got {kinds}")
    return tuple(map(_plain, listed)), {name: _plain(tensor) for name, tensor in named.items()}


def _plain(tensor: Tensor) -> Tensor:
    """On the CPU; numbers with a fraction in float32."""
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def _numbered(output: Any, numbers: Iterator[int]) -> Any:
    """``output`` in plain tuples, lists and dictionaries, with the next of ``numbers`` in place of each tensor."""
    if output is None or isinstance(output, Tensor):
        return None if output is None else next(numbers)
    if isinstance(output, Mapping) and all(type(name) in (str, int) for name in output):
        return {name: _numbered(part, numbers) for name, part in output.items()}
    if isinstance(output, tuple | list):
        parts = [_numbered(part, numbers) for part in output]
        return parts if isinstance(output, list) else tuple(parts)
    accepted = "it must return tensors, alone or in tuples, lists and dictionaries"
    raise ValueError(f"model cannot be written as ONNX: {accepted}, got {type(output).__name__}")


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
        self._structure = ast.literal_eval(stored) if stored else 0 if count == 1 else tuple(range(count))

    def __call__(self, *inputs: Tensor, **named: Tensor) -> Any:
        """What the network returns, such as class scores (N, classes) for normalised images (N, channels, height, width).

        Floating-point inputs are converted to float32. Raises TypeError if the inputs are not those of the network.
        """
        given = dict(zip(self.inputs, inputs, strict=False)) | named
        if given.keys() != set(self.inputs) or len(inputs) + len(named) != len(self.inputs):
            raise TypeError(f"this network takes {self.inputs}, got {len(inputs)} positional inputs and {list(named)}")
        results = self.session.run(None, {name: _plain(tensor).numpy() for name, tensor in given.items()})
        return tree_map(lambda number: None if number is None else torch.from_numpy(results[number]), self._structure)
