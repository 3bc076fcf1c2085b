"""All that the tests need of some rows, as sums: two summaries of different rows are merged by adding.

A window's summary is the sum of its days', a day's that of its shards. Nothing is looked at twice, and no row is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiphys.watch.drift import volume
from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.quality import Strange, look
from tiphys.watch.drift.reference import ANSWER, TRUTH, Reference
from tiphys.watch.drift.residuals import FIELDS, Rows
from tiphys.watch.drift.sketch import Array, Sketch, stratum_of

_COMMONEST = 16
"""Moments whose counts are kept: enough to see a clock that stands still."""


@dataclass(frozen=True)
class Window:
    """What came between two moments of the use case's own clock (seconds since 1970): equally long vectors, one a question."""

    since: float
    until: float
    moment: Array
    columns: Mapping[str, Array]
    """Watched values by name."""
    value: Array
    low: Array
    high: Array
    labelled: Rows
    """Answers of the watched model whose truths are known by now, of the same stretch."""
    ours: Array
    """Which questions the watched model answered; the others count for what is asked only."""
    elsewhere: float = 0.0
    """Share of the questions asked meanwhile by the wall clock that are about a moment outside of the window."""
    refused: int = 0
    """Reports of that stretch, by when they say to be known, that label nothing because they cannot be true."""


@dataclass(frozen=True)
class Summary:
    """Sums over some questions and over some truths."""

    rows: int
    sketches: Mapping[str, Sketch]
    """By column; ``answer`` and ``truth`` are columns, too."""
    strange: Mapping[str, Strange]
    moments: Mapping[float, int]
    """The commonest moments and how often they came."""
    expected: tuple[int, float]
    """Answers whose error could be estimated, and the sum of the estimates."""
    volume: Ledger
    errors: Ledger

    @classmethod
    def of(cls, reference: Reference, window: Window) -> Summary:
        """Sum up a window."""
        stratum, labelled = stratum_of(window.moment), window.labelled.finite()
        vectors = {
            **{name: (values, stratum) for name, values in window.columns.items()},
            ANSWER: (window.value[window.ours], stratum[window.ours]),
            TRUTH: (labelled.actual, stratum_of(labelled.moment)),
        }
        known = {name: each for name, each in vectors.items() if name in reference.columns}
        sketches = {
            name: Sketch.of(reference.columns[name].sketch.bins, values, own) for name, (values, own) in known.items()
        }
        strange = {name: look(reference.columns[name].known, values) for name, (values, _) in known.items()}
        answered = window.ours & np.isfinite(window.value)
        estimates = reference.expected.of(window.value[answered], window.low[answered], window.high[answered])
        return cls(
            len(window.moment), sketches, strange, _commonest(window.moment), (len(estimates), float(estimates.sum())),
            volume.ledger(window.moment), reference.residuals.ledger(labelled),
        )  # fmt: skip

    @classmethod
    def nothing(cls, reference: Reference) -> Summary:
        """Sums over no rows."""
        errors = Ledger(tuple(reference.residuals.groups), FIELDS)
        return cls(0, {}, {}, {}, (0, 0.0), Ledger(volume.GROUPS, volume.FIELDS), errors)

    def __add__(self, other: Summary) -> Summary:
        """Merge with the summary of other rows, made with the same reference."""
        return Summary(
            self.rows + other.rows,
            _merged(self.sketches, other.sketches),
            _merged(self.strange, other.strange),
            _most(_merged(self.moments, other.moments)),
            (self.expected[0] + other.expected[0], self.expected[1] + other.expected[1]),
            self.volume + other.volume,
            self.errors + other.errors,
        )

    @property
    def stuck(self) -> float:
        """Share of the rows at the commonest moment; 0 where no moment came twice."""
        most = max(self.moments.values(), default=0)
        return most / self.rows if most > 1 else 0.0


def _merged(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
    """Sums by key."""
    return {key: a[key] + b[key] if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}}


def _commonest(moment: Array) -> dict[float, int]:
    found, count = np.unique(moment, return_counts=True)
    top = np.argsort(-count, kind="stable")[:_COMMONEST]
    return {float(found[at]): int(count[at]) for at in top}


def _most(moments: Mapping[float, int]) -> dict[float, int]:
    return dict(sorted(moments.items(), key=lambda each: (-each[1], each[0]))[:_COMMONEST])
