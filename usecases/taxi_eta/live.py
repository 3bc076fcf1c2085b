"""How answered riders become rows of trips: the question, what the ride took, and the miles if the meter told them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tiphys.usecase import Live
from usecases.taxi_eta.data import LONGEST_S, SHORTEST_S


def to_row(features: Mapping[str, int | float], actual: float, facts: Mapping[str, float]) -> dict[str, Any]:
    """Write a ride as the meter would have; without ``miles`` the distance is left out, and no training row comes of it."""
    begun = int(features["pickup_time"])
    row: dict[str, Any] = {
        "pickup_datetime": _text(begun),
        "dropoff_datetime": _text(begun + round(actual)),
        "passenger_count": int(features["passengers"]),
        "pickup_location_id": int(features["pickup_zone"]),
        "dropoff_location_id": int(features["dropoff_zone"]),
    }
    if "miles" in facts:
        row["trip_distance"] = round(facts["miles"], 3)
    return row


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


LIVE = Live(
    moment="pickup_time",
    possible=(SHORTEST_S, LONGEST_S),
    facts={"miles": "length of the ride by the meter, miles"},
    to_row=to_row,
)
