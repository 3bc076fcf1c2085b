"""The made-up city live: who asks when, how long the ride then takes, and when somebody reports that.

Each hour is drawn by itself from the seed and the hour's number, so a stream that begins later is the rest of one that began
before. README.md has the characteristics in a table, and a test that holds them against what is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.usecase import Arrival, Examples
from usecases.taxi_eta.api import to_request
from usecases.taxi_eta.city import City, build
from usecases.taxi_eta.personas import PERSONAS
from usecases.taxi_eta.rides import LONGEST_S, PASSENGERS, SHORTEST_S, distances, durations, rhythm, weekday_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

BURSTS_A_DAY = 2.0
BURST_SHARE = 0.02
"""Rides of one burst, as a share of a mean day's."""
BURST_S = (1200, 3600)
"""Shortest and longest burst."""
AUDITED = 0.05
"""Share of rides in cars whose meter is the operator's own."""
LOST = 0.12
"""Share of the other rides whose end nobody reports."""
ABSURD = 0.01
"""Share of the other reports that cannot be true."""
HELD = 0.04
"""Share of the other reports that the car held back until it had a network again."""
HELD_S = 7200.0
"""Mean time that they are held."""
LAG_S = 20.0
"""Median time from the end of a ride to its report."""
_LAG_SPREAD = 0.8
STRANGER = "passer_by"
"""Who rides as none of the personas does."""

_HOUR, _DAY = 3600, 86_400
_RIDES, _BURSTS = 2, 3
"""Streams of chance, beside those of the files."""


def arrivals(start: float, end: float, *, rate: float, seed: int) -> Iterator[Arrival]:
    """Questions from ``start`` up to ``end``, seconds since 1970 of the city's wall clock, in time order.

    ``rate`` is the mean number of rides an hour, over a week. Each is asked about once, so that questions are as rides are.
    """
    city = build(seed)
    drawn = np.cumsum(city.demand.ravel())
    for hour in range(math.floor(start / _HOUR), math.ceil(end / _HOUR)):
        for each in _asked(city, drawn, hour, rate, seed):
            if start <= each.moment < end:
                yield each


def bursts(day: int, seed: int) -> Array:
    """First and last second of the showers that send people into cabs on a day since 1970, [bursts, 2]."""
    chance = np.random.default_rng([seed, _BURSTS, day])
    length = chance.uniform(*BURST_S, chance.poisson(BURSTS_A_DAY))
    begin = day * _DAY + chance.uniform(0, _DAY - length)
    return np.column_stack([begin, begin + length])


@dataclass(frozen=True)
class _Rides:
    """Rides of one hour, one value each."""

    moment: Array
    start: Array
    end: Array
    passengers: Array
    seconds: Array
    miles: Array
    persona: Array
    """Row of ``PERSONAS``; -1 is nobody's."""
    reported: Array
    """The duration that is reported, s; NaN where nobody does."""
    known_at: Array
    audited: Array


def _asked(city: City, drawn: Array, hour: int, rate: float, seed: int) -> list[Arrival]:
    chance = np.random.default_rng([seed, _RIDES, hour])
    rides = _rides(chance, city, drawn, _moments(chance, hour, rate, seed))
    return [_arrival(rides, row) for row in range(len(rides.moment))]


def _moments(chance: np.random.Generator, hour: int, rate: float, seed: int) -> Array:
    """When rides begin in an hour since 1970."""
    day = hour * _HOUR // _DAY
    share = rhythm(weekday_of(np.array([day])))[0, hour % 24] * (1 - BURSTS_A_DAY * BURST_SHARE)
    parts = [chance.uniform(0, _HOUR, chance.poisson(rate * 24 * share)) + hour * _HOUR]
    for begin, end in bursts(day, seed):
        within = max(begin, hour * _HOUR), min(end, (hour + 1) * _HOUR)
        if within[0] < within[1]:
            part = (within[1] - within[0]) / (end - begin)
            parts.append(chance.uniform(*within, chance.poisson(rate * 24 * BURST_SHARE * part)))
    return np.sort(np.concatenate(parts))


def _rides(chance: np.random.Generator, city: City, drawn: Array, moment: Array) -> _Rides:
    rides = len(moment)
    pair = np.minimum(np.searchsorted(drawn, chance.random(rides)), len(drawn) - 1)
    ride = start, end = np.divmod(pair, len(city.demand))
    whole = moment.astype(np.int64)
    clock = whole % _DAY / _HOUR, weekday_of(whole // _DAY)
    month = int(str(np.datetime64(int(whole[0]), "s"))[5:7]) if rides else 1
    seconds = np.clip(durations(chance, city, ride, clock, month), SHORTEST_S, LONGEST_S).astype(np.int64)
    miles = np.round(np.maximum(distances(chance, city, ride), 0.05), 2)
    passengers = chance.choice(PASSENGERS[0], rides, p=PASSENGERS[1])
    audited = chance.random(rides) < AUDITED
    reported = _reported(chance, seconds, audited)
    return _Rides(
        moment,
        start + 1,
        end + 1,
        passengers,
        seconds,
        miles,
        _personas(chance, start + 1, end + 1, whole, passengers),
        reported,
        moment + seconds + _lag(chance, audited),
        audited,
    )


def _reported(chance: np.random.Generator, seconds: Array, audited: Array) -> Array:
    """What is said of the rides' durations; the operator's own meters are always right."""
    rides = len(seconds)
    reported = seconds.astype(np.float64)
    nonsense = np.stack(
        [-chance.uniform(0, _HOUR, rides), chance.uniform(0, 50, rides), _DAY - chance.uniform(0, 600, rides)]
    )
    absurd = ~audited & (chance.random(rides) < ABSURD)
    reported[absurd] = nonsense[chance.integers(0, len(nonsense), rides), np.arange(rides)][absurd].round()
    reported[~audited & (chance.random(rides) < LOST)] = np.nan
    return reported


def _lag(chance: np.random.Generator, audited: Array) -> Array:
    """Seconds from the end of each ride to its report."""
    rides = len(audited)
    held = ~audited & (chance.random(rides) < HELD)
    return np.asarray(LAG_S * chance.lognormal(0.0, _LAG_SPREAD, rides) + held * chance.exponential(HELD_S, rides))


def _personas(chance: np.random.Generator, start: Array, end: Array, moment: Array, passengers: Array) -> Array:
    """Whose each ride is: drawn by weight among those who would take it."""
    features = {"pickup_zone": start, "dropoff_zone": end, "pickup_time": moment, "passengers": passengers}
    nothing = np.zeros(len(start), np.float32)
    examples = Examples(features, nothing, nothing)
    weight = np.cumsum([each.weight * each.chooses(examples) for each in PERSONAS], axis=0)
    drawn = chance.random(len(start)) * weight[-1]
    return np.where(weight[-1] > 0, (weight <= drawn).sum(axis=0), -1)


def _arrival(rides: _Rides, row: int) -> Arrival:
    persona = rides.persona[row]
    booked = not math.isnan(rides.reported[row])
    return Arrival(
        float(rides.moment[row]),
        PERSONAS[persona].name if persona >= 0 else STRANGER,
        to_request(
            {
                "pickup_zone": rides.start[row],
                "dropoff_zone": rides.end[row],
                "pickup_time": int(rides.moment[row]),
                "passengers": rides.passengers[row],
            }
        ),
        float(rides.reported[row]) if booked else None,
        float(rides.known_at[row]),
        {"miles": float(rides.miles[row])} if booked else {},
        bool(booked and rides.audited[row]),
    )
