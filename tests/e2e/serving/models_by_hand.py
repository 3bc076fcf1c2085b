"""Models in ONNX, written node by node: good ones, and one for each way in which a candidate can be bad.

All take litres and celsius of the second use case and say how many seconds the kettle takes.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import NodeProto, TensorProto, helper

Tail = tuple[list[NodeProto], list[TensorProto]]
"""Nodes that make ``seconds`` of ``right`` (the right answer) and ``nothing`` (a zero that depends on the input)."""


def _constant(name: str, value: float) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, [1], [value])


def good() -> Tail:
    """Says what is right."""
    return [helper.make_node("Identity", ["right"], ["seconds"])], []


def times(factor: float) -> Tail:
    """Says so many times what is right."""
    return [helper.make_node("Mul", ["right", "times"], ["seconds"])], [_constant("times", factor)]


def no_number() -> Tail:
    """Says nothing divided by nothing."""
    return [helper.make_node("Div", ["nothing", "nothing"], ["seconds"])], []


def infinite() -> Tail:
    """Says something divided by nothing."""
    return [helper.make_node("Div", ["right", "nothing"], ["seconds"])], []


def no_number_for_much_water() -> Tail:
    """Says the square root of what is left of 240 seconds: none for those who boil more."""
    nodes = [
        helper.make_node("Sub", ["limit", "right"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["trace"]),
        helper.make_node("Add", ["right", "trace"], ["seconds"]),
    ]
    return nodes, [_constant("limit", 240.0), _constant("zero", 0.0)]


def constant() -> Tail:
    """Says the same to everybody."""
    return [helper.make_node("Add", ["nothing", "same"], ["seconds"])], [_constant("same", 120.0)]


def slow() -> Tail:
    """Multiplies large matrices first."""
    nodes = [
        helper.make_node("ReduceMax", ["nothing"], ["zero"], keepdims=0),
        helper.make_node("ConstantOfShape", ["large"], ["zeros"]),
        helper.make_node("Add", ["zeros", "zero"], ["matrix"]),
        helper.make_node("MatMul", ["matrix", "matrix"], ["square"]),
        helper.make_node("ReduceMax", ["square"], ["trace"], keepdims=0),
        helper.make_node("Add", ["right", "trace"], ["seconds"]),
    ]
    return nodes, [helper.make_tensor("large", TensorProto.INT64, [2], [3500, 3500])]


def greedy() -> Tail:
    """Asks for more memory than there is for those who boil much, so that the runtime gives up; its warm-up boils nothing."""
    nodes = [
        helper.make_node("Greater", ["right", "limit"], ["much"]),
        helper.make_node("Cast", ["much"], ["whole"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["whole"], ["any"], keepdims=0),
        helper.make_node("Mul", ["large", "any"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["trace"], keepdims=0),
        helper.make_node("Add", ["right", "trace"], ["seconds"]),
    ]
    large = helper.make_tensor("large", TensorProto.INT64, [3], [1 << 20, 1 << 20, 1 << 10])
    return nodes, [large, _constant("limit", 100.0)]


def two_columns() -> Tail:
    """Says it twice."""
    return [helper.make_node("Concat", ["right", "right"], ["seconds"], axis=1)], []


def whole_numbers() -> Tail:
    """Says it as another type than it promised."""
    return [helper.make_node("Cast", ["right"], ["seconds"], to=TensorProto.INT64)], []


def onnx(
    made: Callable[[], Tail] | Tail, *, pace: float = 100.0, columns: int = 1, kind: int = TensorProto.FLOAT
) -> bytes:
    """A model whose right answer is ``pace`` seconds a litre, whatever the temperature."""
    nodes, constants = made() if callable(made) else made
    inputs = [
        helper.make_tensor_value_info("litres", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("celsius", TensorProto.INT64, ["rows", 1]),
    ]
    output = helper.make_tensor_value_info("seconds", kind, ["rows", columns])
    head = [
        helper.make_node("Cast", ["celsius"], ["warm"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["warm", "none"], ["nothing"]),
        helper.make_node("Mul", ["litres", "pace"], ["product"]),
        helper.make_node("Add", ["product", "nothing"], ["right"]),
    ]
    tensors = [_constant("pace", pace), _constant("none", 0.0), *constants]
    graph = helper.make_graph([*head, *nodes], "by hand", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
