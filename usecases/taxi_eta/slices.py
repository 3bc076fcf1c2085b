"""Parts of the test rides that a mean could hide: airports, boroughs, hours, pairs with little past, long rides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from usecases.taxi_eta import lookups

if TYPE_CHECKING:
    from collections.abc import Collection

    from tiphys.usecase import Array, Examples, Mask, Slice

NEWARK, JFK, LAGUARDIA = 1, 132, 138
MANHATTAN = frozenset(
    [4, 12, 13, 24, 41, 42, 43, 45, 48, 50, 68, 74, 75, 79, 87, 88, 90, 100, 103, 104, 105, 107, 113, 114, 116, 120,
     125, 127, 128, 137, 140, 141, 142, 143, 144, 148, 151, 152, 153, 158, 161, 162, 163, 164, 166, 170, 186, 194, 202,
     209, 211, 224, 229, 230, 231, 232, 233, 234, 236, 237, 238, 239, 243, 244, 246, 249, 261, 262, 263]
)  # fmt: skip
"""Zone numbers of the borough, from the TLC's list of taxi zones."""
_FEW = 5


def _zones(*, pickup: Collection[int] | None = None, dropoff: Collection[int] | None = None) -> Slice:
    def chosen(test: Examples, _past: Examples) -> Mask:
        mask = np.ones(len(test), bool)
        for name, zones in (("pickup_zone", pickup), ("dropoff_zone", dropoff)):
            if zones is not None:
                mask &= np.isin(test.features[name], list(zones))
        return mask

    return chosen


def _hours(first: int, last: int, days: Collection[int] = range(7)) -> Slice:
    """Pick-ups from hour ``first`` to the end of hour ``last`` on those days of the week, Monday being 0."""
    hours = [day * lookups.HOURS + hour for day in days for hour in range(first, last + 1)]

    def chosen(test: Examples, _past: Examples) -> Mask:
        return np.isin(lookups.week_hour_of(test.features["pickup_time"]), hours)

    return chosen


def _outside_manhattan(test: Examples, _past: Examples) -> Mask:
    ends = (test.features["pickup_zone"], test.features["dropoff_zone"])
    mask: Mask = ~np.isin(ends[0], list(MANHATTAN)) & ~np.isin(ends[1], list(MANHATTAN))
    return mask


def _across_the_river(test: Examples, _past: Examples) -> Mask:
    ends = (test.features["pickup_zone"], test.features["dropoff_zone"])
    mask: Mask = np.isin(ends[0], list(MANHATTAN)) != np.isin(ends[1], list(MANHATTAN))
    return mask


def _rides_before(test: Examples, past: Examples) -> Array:
    pairs = lookups.pair_of(past.features["pickup_zone"], past.features["dropoff_zone"])
    count = np.bincount(pairs, minlength=lookups.PAIRS)
    rides: Array = count[lookups.pair_of(test.features["pickup_zone"], test.features["dropoff_zone"])]
    return rides


def _rare_pair(test: Examples, past: Examples) -> Mask:
    rides = _rides_before(test, past)
    mask: Mask = (rides > 0) & (rides < _FEW)
    return mask


def _new_pair(test: Examples, past: Examples) -> Mask:
    mask: Mask = _rides_before(test, past) == 0
    return mask


_WORKDAYS, _WEEKEND = range(5), (5, 6)

SLICES: dict[str, Slice] = {
    "within_manhattan": _zones(pickup=MANHATTAN, dropoff=MANHATTAN),
    "across_manhattan_border": _across_the_river,
    "outside_manhattan": _outside_manhattan,
    "from_jfk": _zones(pickup={JFK}),
    "to_jfk": _zones(dropoff={JFK}),
    "from_laguardia": _zones(pickup={LAGUARDIA}),
    "to_laguardia": _zones(dropoff={LAGUARDIA}),
    "to_newark": _zones(dropoff={NEWARK}),
    "night": _hours(0, 5),
    "morning_rush": _hours(7, 9, _WORKDAYS),
    "midday": _hours(10, 15),
    "evening_rush": _hours(16, 19, _WORKDAYS),
    "weekend": _hours(0, 23, _WEEKEND),
    "rare_pair_1_to_4_past_rides": _rare_pair,
    "new_pair_no_past_ride": _new_pair,
}
