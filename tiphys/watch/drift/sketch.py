"""How a column's values are spread: counts in fixed bins, by hour of the day on working days and on weekends.

Bins are made once, from the reference. Counts of the same bins are merged by adding: of two hours, two shards, two months.
The hours are kept apart because a column that follows the clock looks different in every window that is no whole week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HOUR, DAY = 3600, 86_400
STRATA = 48
"""Hours of the day: working days, then weekends."""
_QUANTILES = 10
_CATEGORIES = 30


def stratum_of(moment: Array) -> Array:
    """Stratum 0..47 of moments in seconds since 1970; what is no time counts as the first."""
    whole = np.where(np.isfinite(moment), moment, 0).astype(np.int64)
    weekend = (whole // DAY + 3) % 7 >= 5  # noqa: PLR2004 - 1970-01-01 was a Thursday
    return whole // HOUR % 24 + 24 * weekend


@dataclass(frozen=True)
class Bins:
    """Where one column's values are counted. The last bin holds what is missing; a category's last but one all others."""

    name: str
    kind: Literal["number", "category"]
    cuts: tuple[float, ...]
    """A number's inner edges, rising; a category's known values, rising."""

    @classmethod
    def of(cls, name: str, kind: Literal["number", "category"], values: Array) -> Bins:
        """Make bins for a reference: tenths of a number, the commonest values of a category."""
        given = _finite(values)
        if kind == "category":
            known, count = np.unique(given, return_counts=True)
            common = np.sort(known[np.argsort(-count, kind="stable")[:_CATEGORIES]])
            return cls(name, kind, tuple(float(each) for each in common))
        inner = np.quantile(given, np.linspace(0, 1, _QUANTILES + 1)[1:-1]) if len(given) else np.zeros(1)
        return cls(name, kind, tuple(float(each) for each in np.unique(inner)))

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.cuts) + 2

    def at(self, values: Array) -> Array:
        """Bin of each value, int64 [n]."""
        given = np.asarray(values, np.float64)
        cuts = np.array(self.cuts)
        place = np.searchsorted(cuts, given, side="right" if self.kind == "number" else "left")
        if self.kind == "category":
            known = cuts[np.minimum(place, len(cuts) - 1)] == given if len(cuts) else np.zeros(len(given), bool)
            place = np.where(known, place, len(cuts))
        return np.where(np.isfinite(given), place, len(cuts) + 1)

    @property
    def labels(self) -> list[str]:
        """What each bin holds."""
        if self.kind == "category":
            return [f"{each:g}" for each in self.cuts] + ["others", "missing"]
        edges = [f"{each:.4g}" for each in self.cuts]
        between = [f"{a} to {b}" for a, b in pairwise(edges)]
        return [f"below {edges[0]}", *between, f"from {edges[-1]}", "missing"]


@dataclass(frozen=True)
class Sketch:
    """Counts of one column."""

    bins: Bins
    counts: Array
    """int64 [STRATA, bins]"""

    @classmethod
    def of(cls, bins: Bins, values: Array, stratum: Array) -> Sketch:
        """Count values whose strata are known."""
        place = stratum * bins.size + bins.at(values)
        counted = np.bincount(place, minlength=STRATA * bins.size).reshape(STRATA, bins.size)
        return cls(bins, counted.astype(np.int64))

    def __add__(self, other: Sketch) -> Sketch:
        """Merge with counts of the same bins.

        Raises:
            ValueError: the bins are others.
        """
        if self.bins != other.bins:
            message = f"sketches of {self.bins.name!r} and {other.bins.name!r} have different bins: make both from one reference"
            raise ValueError(message)
        return Sketch(self.bins, self.counts + other.counts)

    @property
    def rows(self) -> int:
        """All that was counted."""
        return int(self.counts.sum())

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        cuts = list(self.bins.cuts)
        return {"name": self.bins.name, "kind": self.bins.kind, "cuts": cuts, "counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Sketch:
        """Read what :meth:`as_dict` wrote."""
        bins = Bins(held["name"], held["kind"], tuple(held["cuts"]))
        return cls(bins, np.array(held["counts"], np.int64).reshape(STRATA, bins.size))


def _finite(values: Array) -> Array:
    given = np.asarray(values, np.float64)
    kept: Array = given[np.isfinite(given)]
    return kept
