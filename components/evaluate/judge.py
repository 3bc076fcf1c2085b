"""The judgement: each gate of the use case held against the figures. A figure that is missing or no number is missed.

A gate that is about rows which there are not, of a slice or of those it says it ``needs``, is not judged, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tiphys.usecase import Gate

LEAST_ROWS = 30
"""What is about fewer rows is not judged: chance alone would decide."""

_SLICE = "slice."
_NEEDED = {"champion.rows": "champion", "newest.rows": "newest rows", "holdout.rows": "trusted holdout"}


@dataclass(frozen=True)
class Judged:
    """One gate, what was measured, what was asked."""

    gate: Gate
    value: float
    limit: float
    outcome: Literal["passed", "missed", "not judged"]
    lacks: str = ""
    """Why it was not judged: ``no trusted holdout``."""

    @property
    def asked(self) -> str:
        """The demand in words: <= 264.73 (0.9 x status_quo.mae)."""
        gate = self.gate
        if isinstance(gate.limit, str):
            factor = "" if gate.factor == 1.0 else f"{gate.factor:g} x "
            return f"{gate.compare} {self.limit:.4g} ({factor}{gate.limit})"
        return f"{gate.compare} {self.limit:.4g}"

    def as_dict(self) -> dict[str, str | float | None]:
        """For a record: what was asked and found; None for a figure that is no number."""
        value, limit = (round(each, 6) if math.isfinite(each) else None for each in (self.value, self.limit))
        return {
            "metric": self.gate.metric,
            "value": value,
            "compare": self.gate.compare,
            "limit": limit,
            "outcome": self.outcome,
            "reason": self.gate.reason,
            **({"lacks": self.lacks} if self.lacks else {}),
        }

    def __str__(self) -> str:
        return f"{self.gate.metric} = {self.value:.4g}, asked {self.asked}: {self.gate.reason}"


def judge(gates: Sequence[Gate], figures: Mapping[str, float]) -> list[Judged]:
    """Hold every gate against the figures."""
    return [_judged(gate, figures) for gate in gates]


def verdict(judged: Sequence[Judged]) -> str:
    """``passed``, or which gates were missed, with figures."""
    missed = [str(each) for each in judged if each.outcome == "missed"]
    return "missed: " + "; ".join(missed) if missed else "passed"


def unjudged(judged: Sequence[Judged]) -> str:
    """``not judged: no champion, no trusted holdout``; empty where each gate had the rows that it needs."""
    lacks = dict.fromkeys(each.lacks for each in judged if each.lacks)
    return f"not judged: {', '.join(lacks)}" if lacks else ""


def _judged(gate: Gate, figures: Mapping[str, float]) -> Judged:
    value = figures.get(gate.metric, math.nan)
    limit = figures.get(gate.limit, math.nan) if isinstance(gate.limit, str) else gate.limit
    limit *= gate.factor
    if _too_few(gate, figures):
        return Judged(gate, value, limit, "not judged")
    lacking = [_lack(name, figures.get(name, 0.0)) for name in gate.needs if figures.get(name, 0.0) < LEAST_ROWS]
    if lacking:
        return Judged(gate, value, limit, "not judged", ", ".join(lacking))
    held = value <= limit if gate.compare == "<=" else value >= limit
    known = math.isfinite(value) and math.isfinite(limit)
    return Judged(gate, value, limit, "passed" if known and held else "missed")


def _lack(name: str, rows: float) -> str:
    """``no champion``, or ``12 rows of trusted holdout``."""
    what = _NEEDED.get(name, name)
    return f"{rows:.0f} rows of {what}" if rows else f"no {what}"


def _too_few(gate: Gate, figures: Mapping[str, float]) -> bool:
    """Whether the gate asks of a known slice that has too few rows."""
    name = gate.metric.removeprefix(_SLICE).rpartition(".")[0]
    return gate.metric.startswith(_SLICE) and figures.get(f"{_SLICE}{name}.rows", math.inf) < LEAST_ROWS
