"""When an exported model counts as the same, and what is no model of its own."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from components.export.interval import Band
from components.export.onnx_export import Answers, ask_onnx, ask_torch, check, parity, to_onnx
from tests.usecases.tiny.model import CONFIG, build
from tiphys.errors import DataError
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

TINY = UseCase("tests.usecases.tiny")
BAND = Band(np.array([100.0], np.float32), np.array([-2, -20], np.float32), np.array([1, 10], np.float32), 0.0)
"""Answers up to 100 are good to -2..+1, larger ones to -20..+10; nothing is below 0."""


def said(*values: float) -> Answers:
    """Answers with the intervals that belong to them."""
    value = np.array(values, np.float32)
    return Answers(value, *BAND.around(value))


def test_differences_are_taken_as_a_share_of_the_answer() -> None:
    """0.1 s of 1000 s is little, 0.1 s of nothing is much."""
    found = parity(np.array([1000.0, 0.0], np.float32), said(1000.1, 0.1), BAND)
    assert found.worst_row == 1
    assert found.worst == pytest.approx(0.1)
    assert found.largest == pytest.approx(0.1, rel=1e-2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_infinitely_far_off(value: float) -> None:
    """NaN must not compare as equal."""
    assert parity(np.array([1.0], np.float32), said(value), BAND).worst == np.inf


def test_ends_of_the_interval_count_too() -> None:
    """An interval that is not the answer's own is a difference; an answer that rounds over an edge is none."""
    expected, right = np.array([50.0, 100.0], np.float32), said(50.0, 100.00001)
    assert parity(expected, right, BAND).worst < 1e-6
    wrong = Answers(right.value, right.low, right.high + np.array([0, 3], np.float32))
    assert parity(expected, wrong, BAND).largest == pytest.approx(3.0)
    assert parity(expected, wrong, BAND).worst_row == 1


def test_inputs_and_output_carry_the_names_of_the_use_case() -> None:
    """The batch size stays open."""
    graph = onnx.load_from_string(to_onnx(build(CONFIG), TINY, BAND)).graph
    assert [each.name for each in graph.input] == ["litres", "celsius"]
    assert [each.name for each in graph.output] == ["seconds", "seconds_low", "seconds_high"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"


def test_the_interval_in_the_file_is_the_band_around_its_answer() -> None:
    """In every bin, at the floor, and for any number of rows."""
    model = build(CONFIG)
    model.pace.fill_(100.0)
    rows = {"litres": np.linspace(0.005, 3, 500, dtype=np.float32), "celsius": np.full(500, 20)}
    found = ask_onnx(to_onnx(model, TINY, BAND), TINY, rows)
    assert parity(ask_torch(model, TINY, rows), found, BAND).worst < 1e-5
    assert found.low.min() == 0.0
    assert {round(float(each)) for each in found.high - found.value} == {1, 10}


def test_a_model_with_data_outside_of_its_file_is_refused() -> None:
    """Such a reference could read any file of the server."""
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [output], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(DataError):
        check(model.SerializeToString())


def test_bytes_that_are_no_model_are_refused() -> None:
    """The message says so."""
    with pytest.raises(DataError, match="no valid ONNX"):
        check(b"no model")
