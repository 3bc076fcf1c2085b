"""Values that cannot be: missing, never seen, one and the same in every row; a clock that stands still."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tiphys.watch.drift.sketch import Array

_KNOWN = 2000
_ROOM = 0.1
_CHANCE = 1e-9
"""Chance below which it is none that all rows have the same value."""


@dataclass(frozen=True)
class Known:
    """What a column's values were in the reference."""

    kind: str
    low: float
    high: float
    values: tuple[float, ...]
    """A category's values; empty where there were too many to list."""
    missing: float
    """Share of rows without one, 0..1."""
    commonest: float
    """Share of the commonest value among those that are there, 0..1."""

    @classmethod
    def of(cls, kind: str, values: Array) -> Known:
        """Learn from a reference."""
        given = np.asarray(values, np.float64)
        finite = given[np.isfinite(given)]
        distinct, count = np.unique(finite, return_counts=True)
        listed = tuple(float(each) for each in distinct) if kind == "category" and len(distinct) <= _KNOWN else ()
        low, high = (float(distinct[0]), float(distinct[-1])) if len(distinct) else (0.0, 0.0)
        return cls(
            kind,
            low,
            high,
            listed,
            1 - len(finite) / max(1, len(given)),
            float(count.max(initial=0)) / max(1, len(finite)),
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        return asdict(self)


@dataclass(frozen=True)
class Strange:
    """Counts over a window's rows; merged by adding."""

    rows: int
    missing: int
    unseen: int
    low: float
    """Least value that is there; infinite of none."""
    high: float

    def __add__(self, other: Strange) -> Strange:
        """Merge with other rows."""
        return Strange(
            self.rows + other.rows, self.missing + other.missing, self.unseen + other.unseen,
            min(self.low, other.low), max(self.high, other.high),
        )  # fmt: skip

    def share(self, known: Known) -> float:
        """Share of rows that are missing beyond the reference's own share, or that were never seen; the larger one."""
        rows = max(1, self.rows)
        return max(self.missing / rows - known.missing, self.unseen / rows, 0.0)

    def constant(self, known: Known) -> bool:
        """Whether all rows have one value, which is no chance."""
        there = self.rows - self.missing
        return self.low == self.high and there * math.log(max(known.commonest, 1e-9)) < math.log(_CHANCE)


def look(known: Known, values: Array) -> Strange:
    """Hold a window's values against the reference's. A number is unseen beyond the range with a tenth of it as room."""
    given = np.asarray(values, np.float64)
    finite = given[np.isfinite(given)]
    if known.values:
        unseen = ~np.isin(finite, np.array(known.values))
    else:
        room = _ROOM * (known.high - known.low)
        unseen = (finite < known.low - room) | (finite > known.high + room)
    low, high = float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
    return Strange(len(given), len(given) - len(finite), int(unseen.sum()), low, high)


def stuck_share(moment: Array) -> float:
    """Share of rows at the commonest moment."""
    if not len(moment):
        return 0.0
    _, count = np.unique(moment, return_counts=True)
    return float(count.max()) / len(moment) if count.max() > 1 else 0.0


def known_from(held: Mapping[str, Any]) -> Known:
    """Read what :meth:`Known.as_dict` wrote."""
    return Known(**{**held, "values": tuple(held["values"])})
