"""Too few or too many rows: the last day beside what its hours lead to expect.

The rhythm of the week (the share of each of its 168 hours) is the reference's, whose level says nothing: training data may be
a sample. The level is that of the weeks before. Days differ by more than chance, and by how much is fitted on the reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiphys.watch.drift.ledger import HOURS, Ledger
from tiphys.watch.drift.sketch import DAY, HOUR, Array

WEEK_HOURS = 168
FIELDS = ("rows",)
GROUPS = ("all",)
_PRIOR = 0.1
_BACK_DAYS = 28
_LEAST_HOURS = 24.0
_LEAST_ROWS = 50.0


@dataclass(frozen=True)
class Rhythm:
    """Shares of the hours of a week, which sum to 168, and how far a day's count is from its expectation."""

    shares: Array
    spread: float
    """Standard deviation of the log of a day's count beyond chance."""

    @classmethod
    def fit(cls, moment: Array) -> Rhythm:
        """Fit on a reference's moments, in seconds."""
        hour = week_hour_of(moment // HOUR)
        counts = np.bincount(hour, minlength=WEEK_HOURS).astype(np.float64)
        mean = counts.mean() or 1.0
        shares = (counts + _PRIOR * mean) / (mean * (1 + _PRIOR))
        days, rows = np.unique((moment // DAY).astype(np.int64), return_counts=True)
        if len(days) < 7:  # noqa: PLR2004 - a week
            return cls(shares, 0.2)
        expected = np.array([_share_of(shares, int(day) * 24, HOURS) for day in days])
        logs = np.log((rows + 0.5) / expected)
        beyond = float(np.var(logs) - np.mean(1 / (rows + 0.5)))
        return cls(shares, math.sqrt(max(0.05**2, beyond)))

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        return {"shares": self.shares.tolist(), "spread": self.spread}


@dataclass(frozen=True)
class Volume:
    """What came on the last day."""

    rows: int
    expected: float
    """NaN while there is too little past to expect anything by."""
    z: float

    @property
    def ratio(self) -> float:
        """What came as a share of what was expected."""
        return self.rows / self.expected if self.expected > 0 else math.nan


def week_hour_of(hour: Array) -> Array:
    """Hour of the week 0..167, from Monday, of whole hours since 1970."""
    return np.asarray((hour.astype(np.int64) + 72) % WEEK_HOURS)


def ledger(moment: Array) -> Ledger:
    """Count rows by hour."""
    return Ledger.of(moment, {"all": np.ones(len(moment), bool)}, {"rows": np.ones(len(moment))})


def judge(counts: Ledger, rhythm: Rhythm, until: float, span: float) -> Volume:
    """Compare the ``span`` seconds (a day at most) before ``until`` with the four weeks before them."""
    last = int(until // HOUR)
    hours = max(1, round(min(span, DAY) / HOUR))
    first_known = min(counts.days, default=last // HOURS) * HOURS
    if counts.days:
        block = counts.days[first_known // HOURS][0, :, 0]
        first_known += int(np.argmax(block > 0))
    begin = max(first_known, last - hours - HOURS * _BACK_DAYS)
    past_rows = _rows(counts, begin, last - hours)
    exposure = _share_of(rhythm.shares, begin, last - hours - begin)
    rows = int(_rows(counts, last - hours, last))
    if last - hours - begin < _LEAST_HOURS or past_rows < _LEAST_ROWS:
        return Volume(rows, math.nan, 0.0)
    expected = past_rows / exposure * _share_of(rhythm.shares, last - hours, hours)
    past_days = max(1.0, (last - hours - begin) / HOURS)
    variance = 1 / max(1.0, expected) + rhythm.spread**2 * (HOURS / hours + 1 / past_days)
    return Volume(rows, expected, math.log((rows + 0.5) / (expected + 0.5)) / math.sqrt(variance))


def _rows(counts: Ledger, first: int, last: int) -> float:
    total = 0.0
    for day, block in counts.days.items():
        hours = day * HOURS + np.arange(HOURS)
        total += float(block[0, (hours >= first) & (hours < last), 0].sum())
    return total


def _share_of(shares: Array, first: int, hours: int) -> float:
    return float(shares[week_hour_of(np.arange(first, first + max(0, hours)))].sum())
