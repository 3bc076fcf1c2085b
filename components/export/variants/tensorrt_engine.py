"""A TensorRT engine: built from the ONNX file on the GPU that it is to run on, and asked through torch's CUDA memory.

An engine holds for one kind of GPU and one version of TensorRT; what is released is the portable ONNX file, which Triton's
onnxruntime backend hands to TensorRT (see ``repository.Accelerator``). This shows what the engine alone reaches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorrt  # type: ignore[import-not-found]  # only on nodes with a GPU
import torch

_LARGEST_BATCH = 65_536
_USUAL_BATCH = 64


def build(model: Path) -> bytes:
    """Build an engine for any number of rows.

    Raises:
        RuntimeError: TensorRT cannot read or build the model.
    """
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        raise RuntimeError("; ".join(str(parser.get_error(at)) for at in range(parser.num_errors)))
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for at in range(network.num_inputs):
        profile.set_shape(network.get_input(at).name, (1, 1), (_USUAL_BATCH, 1), (_LARGEST_BATCH, 1))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        message = "TensorRT built no engine"
        raise RuntimeError(message)
    return bytes(plan)


def engine(model: Path) -> Any:
    """Build and load; returns what answers rows."""
    plan = model.with_suffix(".plan")
    plan.write_bytes(build(model))
    loaded = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(plan.read_bytes())
    context = loaded.create_execution_context()
    names = [loaded.get_tensor_name(at) for at in range(loaded.num_io_tensors)]
    outputs = [each for each in names if loaded.get_tensor_mode(each) == tensorrt.TensorIOMode.OUTPUT]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def ask(rows: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        length = len(next(iter(rows.values())))
        held = {name: torch.from_numpy(np.ascontiguousarray(values)).cuda() for name, values in rows.items()}
        held |= {name: torch.empty((length, 1), dtype=torch.float32, device="cuda") for name in outputs}
        for name, tensor in held.items():
            if name in rows:
                context.set_input_shape(name, tuple(tensor.shape))
            context.set_tensor_address(name, tensor.data_ptr())
        torch.cuda.synchronize()
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [held[name].cpu().numpy() for name in outputs]

    return ask
