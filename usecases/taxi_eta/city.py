"""A made-up city with New York's zone numbers: zones, streets between them, and how slow they are at what hour.

Zones lie in a dense centre and four boroughs. Neighbouring zones are joined by streets, boroughs by a few bridges, the
three airports by highways; the way between two zones is the quickest one through that network. Knows no trips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from usecases.taxi_eta.data import ZONES

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

NEWARK, JFK, LAGUARDIA = 1, 132, 138
AIRPORTS = {NEWARK: (-9.0, -3.0), JFK: (11.0, -5.0), LAGUARDIA: (6.0, 4.0)}
"""Zone -> miles east and north of the centre."""
CENTRE_ZONES = 68

_BOROUGHS = ((6.0, -1.0, 2.8), (2.5, -6.5, 2.8), (2.0, 8.5, 2.0), (-7.0, -9.0, 2.5))
"""East, north and radius of each outer borough, miles."""
_NEIGHBOURS = 6
_DETOUR = 1.25
"""Street miles for a mile as the crow flies."""
_CENTRE_MPH, _OUTER_MPH, _BRIDGE_MPH, _HIGHWAY_MPH = 15.0, 22.0, 25.0, 38.0


@dataclass(frozen=True)
class City:
    """Everything between two zones, as [263, 263] matrices; row and column 0 belong to zone 1."""

    miles: Array
    """Street miles of the quickest way."""
    seconds: Array
    """Seconds on empty streets."""
    density: Array
    """How much of the way suffers from traffic, 0..1."""
    demand: Array
    """Share of all trips that go from one zone to the other; sums to 1."""


def build(seed: int) -> City:
    """Make the city of a seed."""
    chance = np.random.default_rng([seed, 263])
    place, centre = _zones(chance)
    miles, seconds = _ways(place, centre)
    crowding = np.where(centre, 1.0, 0.45)
    density = (crowding[:, None] + crowding[None, :]) / 2
    own_pace = chance.lognormal(0.0, 0.09, miles.shape)  # lights and turns that no map tells
    return City(miles, (seconds + 60.0) * own_pace, density, _demand(chance, miles, centre))


def congestion(hour: Array, weekday: Array) -> Array:
    """How much slower than empty streets a dense way is at an hour (0..24, float) of a weekday (0 is Monday)."""
    working = weekday < 5  # noqa: PLR2004 - Saturday
    morning = 0.55 * np.exp(-(((hour - 8.7) / 1.6) ** 2))
    afternoon = 0.85 * np.exp(-(((hour - 16.8) / 2.6) ** 2))
    midday = 0.45 * np.exp(-(((hour - 12.8) / 2.8) ** 2))
    leisure = 0.50 * np.exp(-(((hour - 15.5) / 4.0) ** 2)) + 0.25 * np.exp(-(((hour - 22.5) / 2.2) ** 2))
    tempo = np.where(working, morning + afternoon + midday, leisure)
    return 0.12 + tempo * np.where(weekday == 4, 1.1, 1.0)  # noqa: PLR2004 - Friday


def _zones(chance: np.random.Generator) -> tuple[Array, Array]:
    """Where each zone is, miles [263, 2], and which belong to the centre [263]."""
    outer = ZONES - CENTRE_ZONES
    core = np.column_stack([chance.uniform(-1.1, 1.1, CENTRE_ZONES), chance.uniform(-4.5, 5.5, CENTRE_ZONES)])
    around = np.array(_BOROUGHS)[chance.choice(len(_BOROUGHS), outer, p=[0.4, 0.35, 0.15, 0.1])]
    spread = chance.normal(0.0, 0.5, (outer, 2)) * around[:, 2:]
    place = np.concatenate([core, around[:, :2] + spread])
    centre = np.arange(ZONES) < CENTRE_ZONES
    order = chance.permutation(ZONES)
    place, centre = place[order], centre[order]
    for zone, where in AIRPORTS.items():
        place[zone - 1], centre[zone - 1] = where, False
    return place, centre


def _ways(place: Array, centre: Array) -> tuple[Array, Array]:
    """Miles and seconds of the quickest way between any two zones: Floyd and Warshall's algorithm on seconds."""
    crow = np.hypot(*(place[:, None, :] - place[None, :, :]).transpose(2, 0, 1))
    street, pace = _streets(crow, centre)
    seconds = np.where(street, crow * _DETOUR * 3600 / pace, np.inf)
    miles = np.where(street, crow * _DETOUR, 0.0)
    for middle in range(ZONES):
        through = seconds[:, middle, None] + seconds[None, middle, :]
        better = through < seconds
        miles = np.where(better, miles[:, middle, None] + miles[None, middle, :], miles)
        seconds = np.where(better, through, seconds)
    own = np.where(centre, 0.5, 0.9)  # a trip inside a zone goes somewhere, too
    np.fill_diagonal(miles, own)
    np.fill_diagonal(seconds, own * 3600 / np.where(centre, _CENTRE_MPH, _OUTER_MPH))
    return miles, seconds


def _streets(crow: Array, centre: Array) -> tuple[Array, Array]:
    """Which zones a street joins [263, 263], and how fast it is, mph."""
    near = np.argsort(crow, axis=1)[:, 1 : _NEIGHBOURS + 1]
    street = np.zeros_like(crow, dtype=bool)
    np.put_along_axis(street, near, values=True, axis=1)
    pace = np.where(centre[:, None] & centre[None, :], _CENTRE_MPH, _OUTER_MPH)
    bridges = np.zeros_like(street)
    for zone in np.flatnonzero(~centre)[::12]:  # every twelfth outer zone is a bridgehead
        bridges[zone, np.flatnonzero(centre)[np.argsort(crow[zone, centre])[:2]]] = True
    highways = np.zeros_like(street)
    for airport in AIRPORTS:
        highways[airport - 1, np.argsort(crow[airport - 1])[10:200:12]] = True
    pace = np.where(bridges | bridges.T, _BRIDGE_MPH, pace)
    pace = np.where(highways | highways.T, _HIGHWAY_MPH, pace)
    joined = street | street.T | bridges | bridges.T | highways | highways.T
    return joined | (crow < 0.4), pace  # noqa: PLR2004 - zones that touch


def _demand(chance: np.random.Generator, miles: Array, centre: Array) -> Array:
    """Gravity: busy zones attract, distance repels; airports are worth a long way."""
    busy = chance.lognormal(0.0, 0.7, ZONES) * np.where(centre, 1.0, 0.06)
    for zone, weight in {NEWARK: 0.2, JFK: 3.0, LAGUARDIA: 3.5}.items():
        busy[zone - 1] = weight
    reach = np.full(ZONES, 1.6)
    reach[[zone - 1 for zone in AIRPORTS]] = 14.0
    pull = np.exp(-miles / np.maximum(reach[:, None], reach[None, :]))
    demand = busy[:, None] * busy[None, :] * pull
    return np.asarray(demand / demand.sum())
