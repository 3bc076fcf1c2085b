"""The trusted holdout: which labelled answers a candidate is held against."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from components.evaluate.rows import trusted
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

TINY = UseCase("tests.usecases.tiny")


def test_only_trusted_answers_without_doubt_are_in_the_holdout() -> None:
    """What strangers reported, and what waits for review, is not; order is that of time."""
    at = [datetime(2024, 4, day) for day in (3, 1, 2, 4)]  # noqa: DTZ001 - the use case's own clock
    labelled = pa.table(
        {
            "moment": pa.array(at, pa.timestamp("us")),
            "features": [{"litres": float(each), "celsius": each} for each in (1, 2, 3, 4)],
            "actual": [10.0, 20.0, 30.0, 40.0],
            "trusted": [True, True, False, True],
            "doubtful": ["", "", "", "twice as long as any"],
        }
    )
    found = trusted(TINY, labelled)
    assert found.target.tolist() == [20.0, 10.0]
    assert found.features["celsius"].tolist() == [2, 1]
    assert found.features["litres"].dtype == "float32"
    assert found.month.tolist() == [24291, 24291]


def test_an_answer_of_before_the_live_feature_was_served_has_its_fallback() -> None:
    """What was served is what a candidate is asked with; what was not is as usual."""
    question = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": 1561968000, "passengers": 1}
    labelled = pa.table(
        {
            "moment": pa.array([datetime(2019, 7, 1, 8)] * 2, pa.timestamp("us")),  # noqa: DTZ001 - as above
            "features": [{**question, "recent_pace": each} for each in (0.125, None)],
            "actual": [600.0, 600.0],
            "trusted": [True, True],
            "doubtful": ["", ""],
        }
    )
    assert trusted(UseCase("taxi_eta"), labelled).features["recent_pace"].tolist() == [0.125, 0.0]


def test_a_holdout_without_a_trusted_answer_is_empty() -> None:
    """Gates about it are then not judged."""
    kind = pa.struct([("litres", pa.float64()), ("celsius", pa.int64())])
    columns = {"moment": pa.timestamp("us"), "features": kind, "actual": pa.float64(), "trusted": pa.bool_()}
    labelled = pa.schema([*columns.items(), ("doubtful", pa.string())]).empty_table()
    assert len(trusted(TINY, labelled)) == 0
