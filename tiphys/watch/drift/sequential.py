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
from tiphys.watch.drift.sketch import DAY, HOUR, Array
from tiphys.watch.drift.thresholds import Thresholds

Direction = Literal["longer", "shorter", "wider"]
DIRECTIONS: tuple[Direction, ...] = ("longer", "shorter", "wider")
"""Truths longer than answers, truths shorter, errors larger either way."""


@dataclass(frozen=True)
class Track:
    """The evidence of one group in one direction."""

    group: str
    direction: Direction
    limit: float
    days: Array
    """Days since 1970."""
    level: Array
    """Evidence at each day's end: a log likelihood ratio, 0 at least."""
    peak: float
    """Highest evidence on the last day, at any hour."""
    since: float
    """Seconds since 1970: the hour since which it rose without coming back to zero; NaN while it is zero."""
    crossed: float
    """When it passed the limit this time, seconds since 1970, the hour's end; NaN if it did not."""
    labelled: int
    """Rows with a truth since ``since``."""

    @property
    def alarms(self) -> bool:
        """Whether the evidence is above the limit."""
        return self.peak >= self.limit


def limit_of(group: str, direction: Direction, groups: int, chosen: Thresholds) -> float:
    """Evidence that a group needs in a direction: for all rows together the limit itself, for a slice more."""
    least = {"longer": chosen.error_longer, "shorter": chosen.error_shorter, "wider": chosen.error_wider}[direction]
    return least + (0.0 if group == ALL else chosen.error_slice + math.log(max(1, groups - 1)))


def gains(sums: Array, group: Group, direction: Direction, step: float) -> Array:
    """Evidence of each day after each of its hours, [..., 24], from its sums [..., 24, fields]."""
    running = np.cumsum(sums, axis=-2)
    rows = running[..., FIELDS.index("rows")]
    if direction == "wider":
        total = running[..., FIELDS.index("spread")] - rows * group.spread
        return _ratio(rows, total, step * group.spread / max(1e-9, group.sigma), group.spread_sigma, group.spread_tau)
    total = running[..., FIELDS.index("shift")] - rows * group.shift
    return _ratio(rows, total if direction == "longer" else -total, step, group.sigma, group.tau)


def _ratio(rows: Array, total: Array, step: float, sigma: float, tau: float) -> Array:
    return np.asarray((step * total - rows * step**2 / 2) / (sigma**2 + rows * tau**2))


def tracks(ledger: Ledger, reference: Residuals, chosen: Thresholds) -> list[Track]:
    """Run the tests over all days that the ledger holds."""
    days, sums = ledger.stacked()
    found = []
    for number, name in enumerate(ledger.groups):
        for direction in DIRECTIONS:
            limit = limit_of(name, direction, len(ledger.groups), chosen)
            each = gains(sums[:, number], reference.groups[name], direction, chosen.error_step)
            rows = sums[:, number, :, 0]
            found.append(_track(name, direction, limit, days, each, rows, chosen.error_day))
    return found


def _track(  # noqa: PLR0913, PLR0917 - one test's whole past
    group: str, direction: Direction, limit: float, days: Array, hourly: Array, rows: Array, most: float
) -> Track:
    level, before, since, crossed = np.zeros(len(days)), 0.0, math.nan, math.nan
    peak, began = 0.0, 0
    for at, day in enumerate(days):
        within = before + np.minimum(hourly[at], most)
        if before == 0.0:
            since, began = float(day * DAY), at
        peak = max(0.0, float(within.max()))
        if peak >= limit and math.isnan(crossed):
            crossed = float(day * DAY + HOUR * (int(np.argmax(within >= limit)) + 1))
        before = float(min(max(within[-1], 0.0), 2 * limit))
        level[at] = before
        if peak < limit:
            crossed = math.nan
        if before == 0.0 and at < len(days) - 1:
            since = math.nan
    labelled = int(rows[began:].sum()) if len(days) else 0
    return Track(group, direction, limit, days, level, peak, since, crossed, labelled)
