"""What one arm has answered since the gateway started, counted for the judge: outcomes, latency, values, pairs.

Counts only grow, so a reader takes two looks and subtracts. They know no model and no unit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

MOST_DISTINCT = 1000
"""Distinct values are counted up to here: a constant model shows long before."""
LATENCY_MS = tuple(round(0.25 * 1.25**step, 4) for step in range(45))
"""Upper ends of the latency bins: 0.25 ms to 4.6 s in steps of a quarter."""
VALUES = tuple(round(10 ** (step / 20), 6) for step in range(-60, 141))
"""Upper ends of the bins of values: 0.001 to 10 million, twenty a decade; the first also holds all that is less."""
CODES = ("not_finite", "wrong_shape", "error", "late")


class Histogram:
    """Counts by bin; bin i holds what is at most ``bounds[i]``, one more bin holds the rest."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin empty."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Figures:
    """Of one version in one arm."""

    __slots__ = (
        "_distinct", "answers", "failures", "highest", "latency", "lowest", "pairs", "pairs_squares", "pairs_sum",
        "squares", "values",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin with nothing."""
        self.answers = 0
        self.failures = dict.fromkeys(CODES, 0)
        self.latency = Histogram(LATENCY_MS)
        self.values = Histogram(VALUES)
        self.squares = 0.0
        self.lowest = math.inf
        self.highest = -math.inf
        self.pairs = 0
        self.pairs_sum = 0.0
        self.pairs_squares = 0.0
        self._distinct: set[float] = set()

    def answered(self, value: float, latency_ms: float) -> None:
        """Count a good answer."""
        self.answers += 1
        self.latency.add(latency_ms)
        self.values.add(value)
        self.squares += value * value
        self.lowest = min(self.lowest, value)
        self.highest = max(self.highest, value)
        if len(self._distinct) < MOST_DISTINCT:
            self._distinct.add(value)

    def failed(self, code: str) -> None:
        """Count a bad one; a version that is not loaded counts as an error."""
        self.failures[code if code in self.failures else "error"] += 1

    def paired(self, candidate: float, production: float) -> None:
        """Count what this arm and production said to the very same question, where a ratio has a meaning."""
        if candidate > 0 and production > 0:
            ratio = math.log(candidate / production)
            self.pairs += 1
            self.pairs_sum += ratio
            self.pairs_squares += ratio * ratio

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "answers": self.answers,
            "failures": dict(self.failures),
            "latency_ms": {"bounds": list(LATENCY_MS), "counts": list(self.latency.counts), "sum": self.latency.sum},
            "values": {
                "bounds": list(VALUES),
                "counts": list(self.values.counts),
                "sum": self.values.sum,
                "sum_squares": self.squares,
                "min": self.lowest if self.answers else None,
                "max": self.highest if self.answers else None,
                "distinct": len(self._distinct),
            },
            "pairs": {"count": self.pairs, "sum_log_ratio": self.pairs_sum, "sum_squares": self.pairs_squares},
        }
