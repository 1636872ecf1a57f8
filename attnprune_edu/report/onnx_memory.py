"""How much memory ONNX Runtime's tensors take: counted in the graph that it really runs, after its own optimisations."""

import json
import tempfile
from pathlib import Path
from typing import Any


def onnx_peak_memory(source: str | Path | bytes, inputs: dict[str, Any]) -> int:
    """Bytes that tensors take at the peak of one forward pass in ONNX Runtime, on one thread of the CPU.

    ``source``: an ONNX file, or its bytes; ``inputs``: {input: numpy array}. Counted are the weights, the inputs and every
    result from when it is made until nothing needs it any more, as ``peak_memory`` does for torch; but the graph is the one
    that ONNX Runtime makes of the file for this processor: layers are merged, int8 stays int8 from layer to layer, and
    float32 channels may be filled up with zeros to groups of 8 or 16. Not counted is what it keeps to itself.
    """
    import onnx  # here, because most lessons do not need them
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = _options(onnxruntime)
        options.optimized_model_filepath = str(Path(folder, "optimised.onnx"))
        content = source if isinstance(source, bytes) else str(source)
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        optimised = onnx.load(options.optimized_model_filepath)
        graph = optimised.graph
        for number, node in enumerate(graph.node):
            node.name = str(number)  # else some have none, and the profile could not be read

        options = _options(onnxruntime)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # as it is now
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(optimised.SerializeToString(), options, providers=["CPUExecutionProvider"])
        session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = [
        (graph.node[int(event["name"].removesuffix("_kernel_time"))], int(event["args"]["output_size"]))
        for event in events
        if event["name"].endswith("_kernel_time")
    ]
    last_use = {name: step for step, (node, _) in enumerate(ran) for name in node.input}
    last_use |= {output.name: len(ran) for output in graph.output}
    weights = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    held = [(len(ran), array.nbytes) for array in inputs.values()]  # until which step, and how many bytes
    peak = 0
    for step, (node, size) in enumerate(ran):
        held.append((max(last_use.get(name, step) for name in node.output), size))
        peak = max(peak, sum(size for _, size in held))
        held = [(until, size) for until, size in held if until > step]
    return weights + peak


def _options(onnxruntime):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns that the graph suits this processor alone, and that is what is wanted
    return options
