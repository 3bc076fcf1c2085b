"""What of a ride's question is looked at for drift, beside the answers and what came of them.

It is what the model is asked, on both sides: records of 0 or 96 passengers count as `features.PASSENGERS` takes them. A live question never
comes so far, because the API refuses it (422), and what is refused is the gateway's to count and shows here as volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiphys.usecase import Watched
from usecases.taxi_eta import lookups
from usecases.taxi_eta.slices import JFK, LAGUARDIA, MANHATTAN, NEWARK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tiphys.usecase import Array

_MANHATTAN, _AIRPORT, _ELSEWHERE = 0, 1, 2


def _group(zones: Array) -> Array:
    """Manhattan 0, an airport 1, elsewhere 2."""
    outside = np.where(np.isin(zones, [NEWARK, JFK, LAGUARDIA]), _AIRPORT, _ELSEWHERE)
    return np.where(np.isin(zones, list(MANHATTAN)), _MANHATTAN, outside)


def _feature(name: str) -> Callable[[Mapping[str, Array]], Array]:
    return lambda features: features[name]


def _route(features: Mapping[str, Array]) -> Array:
    """Group of the pick-up times three, plus that of the drop-off."""
    return 3 * _group(features["pickup_zone"]) + _group(features["dropoff_zone"])


WATCHED = (
    Watched("pickup_zone", "category", "taxi zone of the pick-up", _feature("pickup_zone")),
    Watched("dropoff_zone", "category", "taxi zone of the drop-off", _feature("dropoff_zone")),
    Watched("route", "category", "from and to: 0 Manhattan, 1 airport, 2 elsewhere, as 3 x from + to", _route),
    Watched("hour", "category", "hour of the pick-up", lambda features: lookups.hour_of(features["pickup_time"])),
    Watched(
        "weekday",
        "category",
        "day of the pick-up, Monday being 0",
        lambda features: lookups.week_hour_of(features["pickup_time"]) // lookups.HOURS,
    ),
    Watched("passengers", "category", "people in the car", _feature("passengers")),
)
