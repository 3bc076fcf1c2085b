"""How slow the streets have been lately: what rides that ended took against what rides of so many miles usually take.

The usual is a curve with fixed figures, so that what one ride says never depends on which other rides are known. The
figures are the least-squares fit to the trips of 2018; ``python bench/recent.py FOLDER`` prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.usecase import LiveFeature
from usecases.taxi_eta import lookups
from usecases.taxi_eta.data import FARTHEST_MILES, FASTEST_MPH, LONGEST_S, SHORTEST_S, ZONES
from usecases.taxi_eta.slices import JFK, LAGUARDIA, MANHATTAN, NEWARK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array

NAME = "recent_pace"
USUAL = 0.0
"""The streets are as ever."""
LAG_S = 20.0
"""From the end of a ride to its report, where nobody told: files do not."""
_BY_HOUR = np.array([
    [5.44, 5.37, 5.36, 5.34, 5.29, 5.30, 5.43, 5.67, 5.88, 5.95, 5.95, 5.97, 5.97, 5.94, 5.95, 5.95, 5.92, 5.91, 5.87, 5.77, 5.68, 5.64, 5.60, 5.56],
    [5.62, 5.55, 5.49, 5.44, 5.36, 5.33, 5.29, 5.33, 5.40, 5.48, 5.57, 5.66, 5.72, 5.74, 5.78, 5.79, 5.77, 5.81, 5.80, 5.77, 5.72, 5.66, 5.65, 5.61],
])  # fmt: skip
"""Log seconds of a ride of 0.7 miles by the hour of its pick-up, on working days and at weekends."""
_BY_MILES = (0.3, 1.180, -0.164)
"""With x the log of the miles and the first of these: the second times x and the third times x squared are added."""
_FARTHEST_OFF = 1.5
_SATURDAY = 5
_MANHATTAN, _AIRPORT, _ELSEWHERE = 0, 1, 2
_GROUPS = np.array([
    _MANHATTAN if zone in MANHATTAN else _AIRPORT if zone in {NEWARK, JFK, LAGUARDIA} else _ELSEWHERE
    for zone in range(ZONES + 1)
])  # fmt: skip


def group(features: Mapping[str, Any]) -> Any:
    """Where a ride begins: 0 Manhattan, 1 an airport, 2 elsewhere."""
    return _GROUPS.take(features["pickup_zone"], mode="clip")


def usual(miles: Array, time: Array) -> Array:
    """Log seconds that rides of so many miles (above 0) take which begin at such a wall-clock time."""
    week_hour = lookups.week_hour_of(time)
    weekend = (week_hour >= _SATURDAY * lookups.HOURS).astype(np.int64)
    more, first, second = _BY_MILES
    x = np.log(miles + more)
    found: Array = _BY_HOUR[weekend, week_hour % lookups.HOURS] + first * x + second * x * x
    return found


def says(features: Mapping[str, Array], actual: Array, facts: Mapping[str, Array]) -> Array:
    """Log of what a ride took over the usual, within +-1.5; NaN without miles, or where data.py would refuse the ride."""
    seconds = np.rint(actual.astype(np.float64))
    miles = np.round(facts.get("miles", np.full(len(seconds), np.nan)).astype(np.float64), 3)  # as live.py writes them
    good = (seconds >= SHORTEST_S) & (seconds <= LONGEST_S) & (miles > 0) & (miles <= FARTHEST_MILES)
    good &= miles * 3600 < FASTEST_MPH * seconds
    miles, seconds = np.where(good, miles, 1.0), np.where(good, seconds, 1.0)
    off = np.log(seconds) - usual(miles, features["pickup_time"])
    return np.where(good, np.clip(off, -_FARTHEST_OFF, _FARTHEST_OFF), np.nan)


RECENT = LiveFeature(
    name=NAME,
    description="log of what rides that ended in the last two hours took over the usual, less the same of the last week; 0: as it has been",
    version=1,
    groups=3,
    group=group,
    says=says,
    lag_s=LAG_S,
    window_s=2 * 3600,
    level_s=7 * 86_400,
    step_s=900,
    prior=13.0,
    fallback=USUAL,
    stale_s=2 * 3600.0,
    reasons={
        "level_s": "each weekday once; a new speed limit is the usual after a week, so it shows as drift, and retraining learns it",
        "window_s": "longer ones tell as much of an ordinary day, and less of the hour after a storm has begun",
        "step_s": "a twelfth of the window: what a ride says is old by then anyway",
        "prior": "rides differ by 0.34, windows by 0.10 (standard deviations of the log): about so many rides tell as much as knowing none",
        "lag_s": "what replayed files take",
        "stale_s": "none of the rides that it was made of would count any more",
    },
)
