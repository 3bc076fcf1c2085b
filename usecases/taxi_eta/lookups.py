"""What past rides say of a zone pair and an hour: the tables that the model, the baselines and LightGBM look up in.

Plain NumPy. Times are wall-clock seconds since 1970-01-01; the calendar is integer arithmetic that works the same on
NumPy arrays and on torch tensors. Knows nothing of networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from usecases.taxi_eta.data import ZONES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array, Examples

PLACES = ZONES + 1
"""Zone numbers run from 1; row 0 of every table stays empty."""
PAIRS = PLACES * PLACES
HOURS = 24
WEEK_HOURS = 7 * HOURS
PAIR_FACTS = 4
"""Facts of a pair: log duration without the clock's effect, log miles, log(1 + rides), spread of log duration."""

# Rides that the prior counts for, when a mean of few rides is drawn towards it.
_PRIOR_PAIR = 1.0
_PRIOR_ZONE = 10.0
_PRIOR_WEEK_HOUR = 5.0
_PRIOR_ZONE_HOUR = 20.0
_PRIOR_SPREAD = 0.1
_SWEEPS = 3


def hour_of(time: Any) -> Any:
    """Hour of the day, 0..23."""
    return (time // 3600) % HOURS


def week_hour_of(time: Any) -> Any:
    """Hour of the week, 0..167, from Monday 00:00 (1970-01-01 was a Thursday)."""
    return (time // 3600 + 3 * HOURS) % WEEK_HOURS


def pair_of(pickup: Any, dropoff: Any) -> Any:
    """Row of a zone pair in the tables of pairs."""
    return pickup * PLACES + dropoff


@dataclass(frozen=True)
class Tables:
    """All tables, float32. Durations in seconds, logs natural."""

    status_quo: Array
    """[pairs, 24] median of pair and hour, else of the pair, else of the hour."""
    pair: Array
    """[pairs, PAIR_FACTS]"""
    week_hour: Array
    """[168] effect of the hour of the week on log duration."""
    pickup_hour: Array
    """[places * 24] further effect of the hour at the pick-up zone."""
    dropoff_hour: Array
    """[places * 24] the same at the drop-off zone."""


def fit(history: Examples) -> Tables:
    """Compute the tables from past rides.

    Log duration is taken apart into pair, hour of the week, and hour at either end, by backfitting (Breiman and
    Friedman 1985) with shrunk means; pairs with few rides are drawn towards the sum of their zones' effects.
    """
    keys, weight = _Keys.of(history.features), history.weight
    logs = np.log(history.target.astype(np.float64))
    level = float(np.average(logs, weights=weight))
    rest = logs - level
    pair, week, start, end = np.zeros(PAIRS), np.zeros(WEEK_HOURS), np.zeros(PLACES * HOURS), np.zeros(PLACES * HOURS)
    for _ in range(_SWEEPS):
        clock = week[keys.week_hour] + start[keys.pickup_hour] + end[keys.dropoff_hour]
        pair = _pair_means(keys, rest - clock, weight)
        rest_of_pair = rest - pair[keys.pair]
        week = shrunk(
            keys.week_hour,
            WEEK_HOURS,
            rest_of_pair - start[keys.pickup_hour] - end[keys.dropoff_hour],
            _PRIOR_WEEK_HOUR,
            weight,
        )
        rest_of_week = rest_of_pair - week[keys.week_hour]
        here, there = rest_of_week - end[keys.dropoff_hour], rest_of_week
        start = shrunk(keys.pickup_hour, PLACES * HOURS, here, _PRIOR_ZONE_HOUR, weight)
        end = shrunk(keys.dropoff_hour, PLACES * HOURS, there - start[keys.pickup_hour], _PRIOR_ZONE_HOUR, weight)
    miles = np.log(np.maximum(history.hindsight["miles"].astype(np.float64), 0.1))
    miles_level = float(np.average(miles, weights=weight))
    rides = np.bincount(keys.pair, weight, minlength=PAIRS)
    spread = (rest - pair[keys.pair]) ** 2 - _PRIOR_SPREAD
    facts = (
        pair + level,
        _pair_means(keys, miles - miles_level, weight) + miles_level,
        np.log1p(rides),
        np.sqrt(shrunk(keys.pair, PAIRS, spread, _PRIOR_PAIR, weight) + _PRIOR_SPREAD),
    )
    tables = (status_quo(history), np.column_stack(facts), week, start, end)
    return Tables(*(each.astype(np.float32) for each in tables))


def status_quo(history: Examples) -> Array:
    """Median duration by pair and hour, else of the pair, else of the hour: [pairs, 24], seconds."""
    keys, seconds, weight = _Keys.of(history.features), history.target, history.weight
    by_hour = medians(keys.hour, HOURS, seconds, weight)
    by_hour = np.where(np.isnan(by_hour), medians(np.zeros_like(keys.hour), 1, seconds, weight), by_hour)
    by_pair = medians(keys.pair, PAIRS, seconds, weight)[:, None]
    both = medians(keys.pair * HOURS + keys.hour, PAIRS * HOURS, seconds, weight).reshape(PAIRS, HOURS)
    return np.where(np.isnan(both), np.where(np.isnan(by_pair), by_hour[None, :], by_pair), both).astype(np.float32)


def medians(group: Array, groups: int, values: Array, weight: Array | None = None) -> Array:
    """Median of each group 0..groups-1, NaN where it has no rows; of weighted rows the first that half the weight reaches."""
    order = np.lexsort((values, group))
    if weight is not None:
        return _weighted_medians(group[order], groups, values[order], weight[order])
    numbers, first, count = np.unique(group[order], return_index=True, return_counts=True)
    ordered = values[order].astype(np.float64)
    found = np.full(groups, np.nan)
    found[numbers] = (ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2
    return found


def _weighted_medians(group: Array, groups: int, values: Array, weight: Array) -> Array:
    """Medians of rows that are in order of their group and value."""
    reached = np.cumsum(weight, dtype=np.float64)
    numbers, first, count = np.unique(group, return_index=True, return_counts=True)
    before = np.where(first > 0, reached[first - 1], 0.0)
    half = (before + reached[first + count - 1]) / 2
    found = np.full(groups, np.nan)
    found[numbers] = values[np.clip(np.searchsorted(reached, half), first, first + count - 1)]
    return found


@dataclass(frozen=True)
class _Keys:
    """Rows of the tables that each ride belongs to."""

    pickup: Array
    dropoff: Array
    pair: Array
    hour: Array
    week_hour: Array
    pickup_hour: Array
    dropoff_hour: Array

    @classmethod
    def of(cls, features: Mapping[str, Array]) -> _Keys:
        pickup, dropoff, time = features["pickup_zone"], features["dropoff_zone"], features["pickup_time"]
        hour = hour_of(time)
        return cls(
            pickup,
            dropoff,
            pair_of(pickup, dropoff),
            hour,
            week_hour_of(time),
            pickup * HOURS + hour,
            dropoff * HOURS + hour,
        )


def _pair_means(keys: _Keys, values: Array, weight: Array | None) -> Array:
    """Mean of each pair, drawn towards the sum of what its two zones add."""
    start, end = np.zeros(PLACES), np.zeros(PLACES)
    for _ in range(_SWEEPS):
        start = shrunk(keys.pickup, PLACES, values - end[keys.dropoff], _PRIOR_ZONE, weight)
        end = shrunk(keys.dropoff, PLACES, values - start[keys.pickup], _PRIOR_ZONE, weight)
    expected = (start[:, None] + end[None, :]).reshape(PAIRS)
    means: Array = expected + shrunk(keys.pair, PAIRS, values - expected[keys.pair], _PRIOR_PAIR, weight)
    return means


def shrunk(group: Array, groups: int, values: Array, prior: float, weight: Array | None = None) -> Array:
    """Mean of each group as if ``prior`` further rows had value 0; a row counts for its ``weight``."""
    total = np.bincount(group, values if weight is None else values * weight, minlength=groups)
    means: Array = total / (np.bincount(group, weight, minlength=groups) + prior)
    return means
