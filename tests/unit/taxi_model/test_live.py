"""A live ride becomes the raw row that asks the model the same question again."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest
from pydantic import ValidationError

from usecases.taxi_eta.api import API
from usecases.taxi_eta.features import examples
from usecases.taxi_eta.live import LIVE

pytestmark = pytest.mark.unit

FEATURES = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": 1561939217, "passengers": 3}


def test_what_was_asked_is_what_is_trained_on() -> None:
    """Features and truth come back as they were, to the second."""
    row = LIVE.to_row(FEATURES, 1234.0, {"miles": 8.4})
    begun, ended = (datetime.fromisoformat(row[name]) for name in ("pickup_datetime", "dropoff_datetime"))
    clean = {**row, "pickup_datetime": begun, "duration_s": int((ended - begun).total_seconds())}
    made = examples(pa.Table.from_pylist([clean]))
    assert {name: values[0] for name, values in made.features.items()} == {**FEATURES, "recent_pace": 0.0}
    assert made.target[0] == 1234.0
    assert made.hindsight["miles"][0] == pytest.approx(8.4)


def test_without_the_meter_there_is_no_distance() -> None:
    """A column that is missing is seen; a made-up number would not be."""
    assert "trip_distance" not in LIVE.to_row(FEATURES, 600.0, {})


@pytest.mark.parametrize("passengers", [0, 10, 96])
def test_passengers_that_records_are_mended_for_are_refused_of_a_live_question(passengers: int) -> None:
    """So what is watched is what was asked, and nobody's mistake is hidden by mending it."""
    asked = {**API.examples[0], "passengers": passengers}
    with pytest.raises(ValidationError, match="passengers"):
        API.request.model_validate(asked)
