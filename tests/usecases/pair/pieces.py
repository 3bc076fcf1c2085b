"""The two models, made by hand: heat = litres * (100 - celsius), then seconds = heat * pace + litres with an interval."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto, TensorProto, helper

from tiphys.serving.repository import Piece

PACE = 2.25
SPREAD = 5.0


def pieces() -> tuple[Piece, Piece]:
    """Return both, in the order in which they are asked."""
    heat = _model(
        [
            helper.make_node("Cast", ["celsius"], ["warm"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["hundred", "warm"], ["degrees"]),
            helper.make_node("Mul", ["litres", "degrees"], ["heat"]),
        ],
        {"litres": TensorProto.FLOAT, "celsius": TensorProto.INT64},
        ["heat"],
        {"hundred": 100.0},
    )
    time = _model(
        [
            helper.make_node("Mul", ["heat", "pace"], ["boiling"]),
            helper.make_node("Add", ["boiling", "litres"], ["seconds"]),
            helper.make_node("Sub", ["seconds", "spread"], ["seconds_low"]),
            helper.make_node("Add", ["seconds", "spread"], ["seconds_high"]),
        ],
        {"heat": TensorProto.FLOAT, "litres": TensorProto.FLOAT},
        ["seconds", "seconds_low", "seconds_high"],
        {"pace": PACE, "spread": SPREAD},
    )
    return (
        Piece("heat", heat, {"litres": "float32", "celsius": "int64"}, ["heat"]),
        Piece("time", time, {"heat": "float32", "litres": "float32"}, ["seconds", "seconds_low", "seconds_high"]),
    )


def _model(nodes: Sequence[NodeProto], inputs: dict[str, int], outputs: list[str], numbers: dict[str, float]) -> bytes:
    taken = [helper.make_tensor_value_info(name, kind, ["rows", 1]) for name, kind in inputs.items()]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in outputs]
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "piece", taken, given, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content
