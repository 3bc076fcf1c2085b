"""What the model is asked with, and how rows of trips become examples: a rider's question, and how slow the streets have been.

Distance and fare are known after the ride: the distance is kept as hindsight, from which lookups of *past* rides are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.usecase import Examples, Feature, Target
from usecases.taxi_eta.recent import RECENT

if TYPE_CHECKING:
    import numpy.typing as npt

FEATURES = (
    Feature("pickup_zone", "int64", "taxi zone of the pick-up, 1..263"),
    Feature("dropoff_zone", "int64", "taxi zone of the drop-off, 1..263"),
    Feature("pickup_time", "int64", "wall-clock time of the pick-up as seconds since 1970-01-01 00:00"),
    Feature("passengers", "int64", "people in the car"),
    Feature(RECENT.name, "float32", RECENT.description),
)
TARGET = Target("duration_s", unit="s", close=120.0, description="seconds from pick-up to drop-off")
COLUMNS = (
    "pickup_datetime",
    "pickup_location_id",
    "dropoff_location_id",
    "passenger_count",
    "duration_s",
    "trip_distance",
)
PASSENGERS = (1, 9)
"""Fewest and most people that a question may name; a driver who enters none, or 96, is taken as such a question."""
_PASSENGERS_UNKNOWN = 1


def examples(table: Any) -> Examples:
    """Turn clean rows (a pyarrow table with ``COLUMNS``) into examples; miles by the meter are hindsight."""
    moment = table["pickup_datetime"].to_numpy().astype("datetime64[s]")
    passengers = _whole(table["passenger_count"].fill_null(_PASSENGERS_UNKNOWN))
    return Examples(
        {
            "pickup_zone": _whole(table["pickup_location_id"]),
            "dropoff_zone": _whole(table["dropoff_location_id"]),
            "pickup_time": moment.astype(np.int64),
            "passengers": np.clip(passengers, *PASSENGERS),
            RECENT.name: np.full(len(moment), RECENT.fallback, np.float32),
        },
        table["duration_s"].to_numpy().astype(np.float32),
        moment.astype("datetime64[M]").astype(np.int32) + 1970 * 12,
        {"miles": table["trip_distance"].to_numpy().astype(np.float32)},
    )


def _whole(column: Any) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return values
