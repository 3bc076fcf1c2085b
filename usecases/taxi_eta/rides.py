"""When people ride in the made-up city, and how long it takes them: what files and live rides have in common.

Same seed, same city, same rhythm, same streets: a model that learnt from simulated files is right about the live city.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from usecases.taxi_eta.city import City, congestion

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

HOURLY = np.array([
    [1.6, 1.0, 0.7, 0.5, 0.5, 0.7, 1.8, 3.2, 4.0, 4.2, 4.0, 4.1, 4.4, 4.4, 4.6, 4.5, 4.0, 4.6, 5.6, 5.9, 5.5, 5.2, 4.6, 3.2],
    [5.0, 4.2, 3.4, 2.4, 1.5, 0.8, 0.9, 1.3, 2.1, 3.2, 3.9, 4.4, 4.7, 4.7, 4.7, 4.6, 4.5, 4.8, 5.2, 5.2, 4.8, 4.7, 4.9, 5.1],
])  # fmt: skip
"""Rides by hour, percent: on a working day, on a day of the weekend."""
DAILY = np.array([0.93, 1.0, 1.04, 1.07, 1.09, 1.03, 0.84])
"""Rides by weekday, from Monday."""
SEASON = np.array([0.96, 0.97, 1.0, 1.01, 1.03, 1.03, 0.96, 0.94, 1.03, 1.04, 1.02, 1.05])
"""How slow streets are by month, from January."""
PASSENGERS = ([0, 1, 2, 3, 4, 5, 6], [0.01, 0.71, 0.145, 0.04, 0.02, 0.045, 0.03])
NOISE = 0.21
"""Spread of the logarithm of a ride's time that nothing explains."""
SHORTEST_S, LONGEST_S = 61, 10_700
_SATURDAY = 5


def weekday_of(day: Array) -> Array:
    """Weekday (0 is Monday) of days since 1970-01-01, which was a Thursday."""
    return (day + 3) % 7


def rhythm(weekday: Array) -> Array:
    """Share of a mean day's rides in each hour of days of these weekdays, [days, 24]: a mean day's sum to 1."""
    hourly = HOURLY[(weekday >= _SATURDAY).astype(int)]
    return np.asarray(hourly / hourly.sum(axis=1, keepdims=True) * DAILY[weekday, None])


def durations(
    chance: np.random.Generator, city: City, ride: tuple[Array, Array], clock: tuple[Array, Array], month: int
) -> Array:
    """Seconds that rides take, float [rides]; ``ride``: rows of both zones; ``clock``: hour (float) and weekday; ``month``: 1..12."""
    start, end = ride
    slowness = 1 + city.density[start, end] * congestion(*clock)
    slowness *= SEASON[month - 1]
    return np.asarray(city.seconds[start, end] * slowness * chance.lognormal(0.0, NOISE, len(start)))


def distances(chance: np.random.Generator, city: City, ride: tuple[Array, Array]) -> Array:
    """Miles that the meters show, float [rides]."""
    start, end = ride
    return np.asarray(city.miles[start, end] * chance.lognormal(0.0, 0.12, len(start)))
