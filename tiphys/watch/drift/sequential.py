"""The test of errors that goes on from day to day: Page's CUSUM of log likelihood ratios, with days that differ.

Let a day's errors have a common effect of the day, N(0, tau^2), beside each row's own noise of variance sigma^2. After n rows
with sum s the log likelihood ratio of a shift by d against none is ``n (d s/n - d^2/2) / (sigma^2 + n tau^2)``: more rows of one
day tell less and less. The sum over days is kept at zero from below (Page, "Continuous inspection schemes", Biometrika 1954),
and what one day may add is bounded, because snow is no new world. With K groups the limit is raised by log K, which splits the
rate of false alarms evenly (the mean time to one grows with the exponential of the limit: Lorden, Ann. Math. Stat. 1971).
Days of a real city are neither normal nor independent: bench/drift.py sets the limit by block bootstrap, which gives the
stated rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.residuals import ALL, FIELDS, Group, Residuals
from tiphys.watch.drift.sketch import DAY, Array
from tiphys.watch.drift.thresholds import Thresholds

Direction = Literal["longer", "shorter", "wider"]
DIRECTIONS: tuple[Direction, ...] = ("longer", "shorter", "wider")
"""Truths longer than answers, truths shorter, errors larger either way."""


@dataclass(frozen=True)
class Track:
    """The evidence of one group in one direction, day by day."""

    group: str
    direction: Direction
    limit: float
    days: Array
    """Days since 1970."""
    level: Array
    """Evidence at each day's end: a log likelihood ratio, 0 at least."""
    peaks: Array
    """Highest evidence of each day, at any hour."""
    rows: Array
    """Rows of the group with a truth of each day."""
    total: Array
    """The same of all groups: what a training would learn from."""

    @property
    def peak(self) -> float:
        """Highest evidence on the last day."""
        return float(self.peaks[-1]) if len(self.peaks) else 0.0

    @property
    def alarms(self) -> bool:
        """Whether the evidence is above the limit."""
        return self.peak >= self.limit

    @property
    def _first(self) -> int:
        """Number of the day on which the evidence began to rise from zero for the last time."""
        zero = np.flatnonzero(self.level[:-1] == 0)
        return int(zero[-1]) + 1 if len(zero) else 0

    @property
    def since(self) -> float:
        """Since when it rises, seconds since 1970; NaN where there is no day."""
        return float(self.days[self._first]) * DAY if len(self.days) else math.nan

    @property
    def labelled(self) -> int:
        """Rows of the group with a truth since then."""
        return int(self.rows[self._first :].sum())

    @property
    def everybody(self) -> int:
        """Rows with a truth since then, of the group or not."""
        return int(self.total[self._first :].sum())


def limit_of(group: str, direction: Direction, groups: int, chosen: Thresholds) -> float:
    """Evidence that a group needs in a direction: for all rows together the limit itself, for a slice more."""
    least = {"longer": chosen.error_longer, "shorter": chosen.error_shorter, "wider": chosen.error_wider}[direction]
    return least + (0.0 if group == ALL else chosen.error_slice + math.log(max(1, groups - 1)))


def gains(sums: Array, group: Group, direction: Direction, chosen: Thresholds) -> Array:
    """Evidence of each day after each of its hours, [..., 24], from its sums [..., 24, fields]."""
    step = chosen.error_step
    running = np.cumsum(sums, axis=-2)
    rows = running[..., FIELDS.index("rows")]
    if direction == "wider":
        total = running[..., FIELDS.index("spread")] - rows * group.spread
        wider = chosen.error_wider_step * group.spread / max(1e-9, group.sigma)
        return _ratio(rows, total, wider, group.spread_sigma, group.spread_tau)
    total = running[..., FIELDS.index("shift")] - rows * group.shift
    return _ratio(rows, total if direction == "longer" else -total, step, group.sigma, group.tau)


def _ratio(rows: Array, total: Array, step: float, sigma: float, tau: float) -> Array:
    return np.asarray((step * total - rows * step**2 / 2) / (sigma**2 + rows * tau**2))


def tracks(ledger: Ledger, reference: Residuals, chosen: Thresholds) -> list[Track]:
    """Run the tests over all days that the ledger holds."""
    days, sums = ledger.stacked()
    named = [(number, name, way) for number, name in enumerate(ledger.groups) for way in DIRECTIONS]
    limits = np.array([limit_of(name, way, len(ledger.groups), chosen) for _, name, way in named])
    hourly = [gains(sums[:, number], reference.groups[name], way, chosen) for number, name, way in named]
    most = np.stack(hourly, axis=1).max(axis=2, initial=-np.inf) if hourly and len(days) else np.zeros((0, len(named)))
    last = np.stack(hourly, axis=1)[:, :, -1] if hourly and len(days) else np.zeros((0, len(named)))
    level, peaks = run(np.minimum(last, chosen.error_day), np.minimum(most, chosen.error_day), limits)
    rows = sums[..., FIELDS.index("rows")].sum(axis=2)
    total = rows[:, ledger.groups.index(ALL)] if ALL in ledger.groups else rows.max(axis=1, initial=0.0)
    return [
        Track(name, way, float(limits[at]), days, level[:, at], peaks[:, at], rows[:, number], total)
        for at, (number, name, way) in enumerate(named)
    ]


def run(last: Array, most: Array, limits: Array) -> tuple[Array, Array]:
    """Cumulate evidence over days: [days, tests] gains at each day's end and at its best hour -> levels, and highest evidence.

    The level stays between zero and twice the limit: what is over is forgotten in as many days as it took to notice.
    """
    level, peaks = np.zeros_like(last), np.zeros_like(last)
    before = np.zeros(last.shape[1])
    for day in range(len(last)):
        peaks[day] = np.maximum(0.0, before + most[day])
        before = np.clip(before + last[day], 0.0, 2 * limits)
        level[day] = before
    return level, peaks
