"""The governor's clock: the wall's at its first start, and from there as fast as it is told, whatever the wall clock does.

While the process lives, time comes from a clock that nobody sets and that goes on while the machine sleeps. Over a restart the
wall clock tells how long it was down; it never goes back behind what was written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """Where the clock stood: its own time at a moment of the wall clock, and how fast it went from there."""

    own: float
    wall: float
    speed: float

    def at(self, wall: float) -> float:
        """Its own time at a moment of the wall clock; never before the mark."""
        return self.own + max(0.0, wall - self.wall) * self.speed


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Seconds since 1970 by the governor's own clock."""

    def __init__(self, mark: Mark, steady: Callable[[], float] = _since_boot) -> None:
        """Go on from ``mark``, as of now."""
        self._own, self.speed, self._steady = mark.own, mark.speed, steady
        self._began = steady()

    def now(self) -> float:
        """The time."""
        return self._own + max(0.0, self._steady() - self._began) * self.speed

    def wall_seconds(self, until: float) -> float:
        """Seconds of the wall clock until a moment of this one; 0 where it has passed."""
        return max(0.0, until - self.now()) / self.speed


def resumed(last: Mark | None, latest: float, wall: float, speed: float) -> Mark:
    """Where the clock goes on after a restart: ``latest`` is the last time that was written down.

    A clock that was never faster than the wall's is the wall's.
    """
    own = wall if last is None else last.at(wall)
    return Mark(max(own, latest), wall, speed)
