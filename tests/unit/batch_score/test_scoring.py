"""What a Spark worker does with rows, without Spark: every row has an answer or a reason."""

from __future__ import annotations

import hashlib
import io
import json

import pyarrow as pa
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from components.batch_score.columns import REJECTED, answered, spark_schema
from components.batch_score.contract import Inputs
from components.batch_score.scoring import Scorer, check_planned
from tiphys.errors import DataError, RetryableError
from tiphys.spark import failures
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

TINY = "tests.usecases.tiny"


def per_degree(*, interval: bool) -> bytes:
    """A model that says litres / celsius, so that water of 0 degrees has no answer; with half and twice of it as interval."""
    inputs = [
        helper.make_tensor_value_info("litres", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("celsius", TensorProto.INT64, ["rows", 1]),
    ]
    ends = {"seconds_low": 0.5, "seconds_high": 2.0} if interval else {}
    nodes = [
        helper.make_node("Cast", ["celsius"], ["warm"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["litres", "warm"], ["seconds"]),
        *(helper.make_node("Mul", ["seconds", f"by_{name}"], [name]) for name in ends),
    ]
    weights = [helper.make_tensor(f"by_{name}", TensorProto.FLOAT, [1], [by]) for name, by in ends.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in ("seconds", *ends)]
    graph = helper.make_graph(nodes, "per_degree", inputs, outputs, weights)
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()
    return content


def rows(*celsius: float) -> pa.RecordBatch:
    """Rows of the tiny use case's table, two litres each."""
    many = len(celsius)
    moment = pa.array([1_704_067_200_000_000] * many, pa.timestamp("us"))
    columns = [moment, pa.array([2.0] * many), pa.array(celsius, pa.float64()), pa.array([9.0] * many)]
    names = ["switched_on", "litres", "celsius", "seconds", "month", "file"]
    return pa.RecordBatch.from_arrays([*columns, pa.array(["2024-01"] * many), pa.array(["f"] * many)], names=names)


def test_each_row_of_a_dataset_has_an_answer_or_a_reason() -> None:
    """What is no finite number is no answer; the row's features go into the rejects."""
    (found,) = Scorer(TINY, "models:/tiny/4", (per_degree(interval=True),)).dataset([rows(4, 0), rows()])
    good, bad = found.to_pylist()
    assert good == {
        "month": "2024-01", "file": "f", "row": None, "litres": 2.0, "celsius": 4, "prediction": 0.5, "low": 0.25,
        "high": 1.0, "actual": 9.0, "model_version": "models:/tiny/4", "reason": None, "raw": None,
    }  # fmt: skip
    assert (bad["prediction"], bad["reason"]) == (None, "the model answers with no finite number")
    assert json.loads(bad["raw"]) == {"litres": 2.0, "celsius": 0}


def test_a_model_without_an_interval_has_none() -> None:
    """Repositories of before intervals are scored, too."""
    (found,) = Scorer(TINY, "models:/tiny/4", (per_degree(interval=False),)).dataset([rows(4)])
    assert [(each["low"], each["high"]) for each in found.to_pylist()] == [(None, None)]


def test_both_tables_take_what_a_worker_makes() -> None:
    """Every column of the frame goes into one of them, with the type that the lake knows."""
    tiny = UseCase(TINY)
    (found,) = Scorer(TINY, "models:/tiny/4", (per_degree(interval=True),)).dataset([rows(4)])
    assert set(found.schema.names) == {*answered(tiny), *REJECTED}
    assert spark_schema(tiny).startswith(
        "`month` string, `file` string, `row` bigint, `litres` double, `celsius` bigint"
    )


def test_a_dataset_and_a_source_exclude_each_other() -> None:
    """As do months and files."""
    with pytest.raises(ValidationError, match="not both"):
        Inputs(use_case=TINY, dataset="tiny.boilings@v-1", source="s3://landing/x/")
    with pytest.raises(ValidationError, match="files are scored whole"):
        Inputs(use_case=TINY, source="s3://landing/x/", first_month="2024-01")
    with pytest.raises(ValidationError, match="source"):
        Inputs(use_case=TINY, source="/home/me/file.csv")


@pytest.mark.parametrize(("name", "kind"), [("DataError", DataError), ("RetryableError", RetryableError)])
def test_what_our_code_says_in_a_worker_is_what_the_step_says(name: str, kind: type[Exception]) -> None:
    """Spark wraps it in its own words and a traceback."""
    text = f"Job aborted: PythonException: Traceback (most recent call last):\n  File x\ntiphys.errors.{name}: a.csv is cut off\n\n\tat org"
    meant = failures.of(RuntimeError(text), {"spark.master": "local[2]"})
    assert type(meant) is kind
    assert str(meant) == "a.csv is cut off"


def test_a_file_that_was_replaced_since_the_plan_is_not_scored() -> None:
    """The version of answers is named by the digests of what was there."""
    planned = hashlib.sha256(b"litres").hexdigest()
    check_planned(io.BufferedReader(io.BytesIO(b"litres")), "s3://landing/a.csv", planned)  # type: ignore[type-var,unused-ignore]
    with pytest.raises(DataError, match=r"s3://landing/a\.csv .* replaced meanwhile"):
        check_planned(io.BufferedReader(io.BytesIO(b"gallons")), "s3://landing/a.csv", planned)  # type: ignore[type-var,unused-ignore]
