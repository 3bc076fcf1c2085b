"""From the exported ONNX model to its variants, bytes to bytes. What cannot be made raises; nothing is measured here.

The interval's small part of the graph stays as it is in every variant: it only adds to the answer.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiphys.usecase import Array

_MATRICES = ["MatMul", "Gemm"]
_CALIBRATION_ROWS = 64
"""Rows that the calibrator is shown at a time."""


def optimised(model: bytes) -> bytes:
    """Return the graph as ONNX Runtime makes it at its highest level, without what holds on one kind of processor only."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
        )
        return Path(options.optimized_model_filepath).read_bytes()


def dynamic_int8(model: bytes) -> bytes:
    """Return the model with weights of matrices in int8, by channel; activations are scaled anew for each question."""
    from onnxruntime import quantization  # noqa: PLC0415 - a second that only variants pay

    return _through_files(
        model,
        lambda source, target: quantization.quantize_dynamic(
            source,
            target,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=_MATRICES,
        ),
    )


def static_int8(model: bytes, rows: Mapping[str, Array]) -> bytes:
    """Return the model with weights and activations of matrices in int8 (QDQ), scaled by what real rows make of them."""
    from onnxruntime import quantization  # noqa: PLC0415

    length = len(next(iter(rows.values())))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            starts = range(0, length, _CALIBRATION_ROWS)
            self._parts = ({n: v[at : at + _CALIBRATION_ROWS] for n, v in rows.items()} for at in starts)

        def get_next(self) -> Any:
            return next(self._parts, None)

    return _through_files(
        model,
        lambda source, target: quantization.quantize_static(
            source,
            target,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=_MATRICES,
        ),
    )


def fp16(model: bytes) -> bytes:
    """Return the model with tables, weights and arithmetic in half precision; questions and answers keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415
    from onnxruntime.transformers.onnx_model import OnnxModel  # noqa: PLC0415

    converted = OnnxModel(convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True))
    converted.topological_sort()
    content: bytes = converted.model.SerializeToString()
    return content


def bf16(model: bytes) -> bytes:
    """Return the model with its matrices multiplied in bfloat16, everything else in float32."""
    proto = onnx.load_from_string(model)
    weights = {each.name: each for each in proto.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        nodes += _in_bf16(node, weights) if node.op_type in _MATRICES else [node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    content: bytes = proto.SerializeToString()
    return content


def _in_bf16(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> Iterator[onnx.NodeProto]:
    for place, name in enumerate(node.input):
        if name in weights and weights[name].data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(weights[name]).astype(np.float32)
            raw = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
            weights[name].CopyFrom(helper.make_tensor(name, TensorProto.BFLOAT16, values.shape, raw, raw=True))
        else:
            yield helper.make_node("Cast", [name], [f"{name}_{node.name}_bf16"], to=TensorProto.BFLOAT16)
            node.input[place] = f"{name}_{node.name}_bf16"
    answer = node.output[0]
    node.output[0] = f"{answer}_bf16"
    yield node
    yield helper.make_node("Cast", [f"{answer}_bf16"], [answer], to=TensorProto.FLOAT)


def _through_files(model: bytes, convert: Callable[[Path, Path], None]) -> bytes:
    """Quantise as onnxruntime wants it, from file to file; its advice on vision models is no one's business."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        source, target = Path(folder) / "model.onnx", Path(folder) / "quantised.onnx"
        source.write_bytes(model)
        logging.disable(logging.WARNING)
        try:
            convert(source, target)
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()
