"""The error before truths are known: what answers like these were off by where the truth was known.

The idea of a direct estimate of the loss (NannyML's DLE) without a second model: rows of the reference are sorted into tenths of
the answer and, within these, into fifths of the relative width of its interval; a window's rows get the mean error of their
cell. It sees that questions became harder. It cannot see that the same question has another answer now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiphys.watch.drift.sketch import Array

_TENTHS, _FIFTHS = 10, 5
_PRIOR = 20.0


@dataclass(frozen=True)
class ExpectedError:
    """Mean absolute error by cell, in the target's unit."""

    value_cuts: Array
    """float64 [9]"""
    width_cuts: Array
    """float64 [4], of (high - low) / value."""
    table: Array
    """float64 [10, 5]"""
    level: float
    """The reference's mean absolute error."""

    @classmethod
    def fit(cls, value: Array, low: Array, high: Array, actual: Array) -> ExpectedError:
        """Fit on rows that the model never saw."""
        width = _width(value, low, high)
        cuts = [_cuts(each, parts) for each, parts in ((value, _TENTHS), (width, _FIFTHS))]
        cell = np.searchsorted(cuts[0], value) * _FIFTHS + np.searchsorted(cuts[1], width)
        off = np.abs(actual - value)
        level = float(off.mean()) if len(off) else 0.0
        cells = _TENTHS * _FIFTHS
        total = np.bincount(cell, off, minlength=cells) + _PRIOR * level
        table = total / (np.bincount(cell, minlength=cells) + _PRIOR)
        return cls(cuts[0], cuts[1], table.reshape(_TENTHS, _FIFTHS), level)

    def of(self, value: Array, low: Array, high: Array) -> Array:
        """Expected absolute error of each row."""
        width = _width(value, low, high)
        found: Array = self.table[np.searchsorted(self.value_cuts, value), np.searchsorted(self.width_cuts, width)]
        return found

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        listed = {name: getattr(self, name).tolist() for name in ("value_cuts", "width_cuts", "table")}
        return {**listed, "level": self.level}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> ExpectedError:
        """Read what :meth:`as_dict` wrote."""
        return cls(np.array(held["value_cuts"]), np.array(held["width_cuts"]), np.array(held["table"]), held["level"])


def _width(value: Array, low: Array, high: Array) -> Array:
    width = (high - low) / np.maximum(np.abs(value), 1e-9)
    return np.where(np.isfinite(width), width, 0.0)


def _cuts(values: Array, parts: int) -> Array:
    inner = np.linspace(0, 1, parts + 1)[1:-1]
    return np.quantile(values, inner) if len(values) else np.zeros(parts - 1)
