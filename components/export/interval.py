"""The interval around an answer that holds the truth four times in five: split-conformal, by bin of the answer.

On rows that no one trained on, the residuals (truth minus answer) of each bin are put in order; the interval of an answer
in that bin reaches from its lower to its upper residual of the right rank (Vovk, Gammerman and Shafer 2005; Lei et al. 2018;
bins: Mondrian conformal prediction). It promises the coverage for rows like those, whatever the model. Plain NumPy; knows no
model and no ONNX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiphys.errors import DataError

if TYPE_CHECKING:
    from tiphys.usecase import Array

COVERAGE = 0.8
"""Share of truths that the interval is to hold."""
_MOST_BINS = 16
_ROWS_A_BIN = 100
"""With fewer rows the outermost ranks are too noisy to tell."""
_FEWEST_ROWS = 20


@dataclass(frozen=True)
class Band:
    """What is added to an answer for its interval. All arrays are float32, in the target's unit."""

    edges: Array
    """[bins - 1] ascending: an answer's bin is how many of them it exceeds."""
    low: Array
    """[bins] at most 0."""
    high: Array
    """[bins] at least 0."""
    floor: float
    """No interval reaches below: 0 where no truth does, else minus infinity."""

    def around(self, answers: Array) -> tuple[Array, Array]:
        """Return the lower and upper ends for answers [n], float32 [n] each."""
        answers = answers.astype(np.float32)
        number = (answers[:, None] > self.edges[None, :]).sum(1)
        return np.maximum(answers + self.low[number], np.float32(self.floor)), answers + self.high[number]

    def coverage(self, answers: Array, truth: Array) -> float:
        """Share of truths, 0..1, within the intervals of their answers."""
        low, high = self.around(answers)
        return float(((low <= truth) & (truth <= high)).mean())


def halves(rows: int) -> tuple[Array, Array]:
    """Split row numbers at random, always alike: one half to make a band from, the other to measure it on."""
    shuffled = np.random.default_rng(0).permutation(rows)
    return np.sort(shuffled[: rows // 2]), np.sort(shuffled[rows // 2 :])


def fit(answers: Array, truth: Array) -> Band:
    """Make a band from answers and what turned out, [n] each.

    Raises:
        DataError: there are too few rows, or an answer is no finite number.
    """
    if len(truth) < _FEWEST_ROWS or not np.isfinite(answers).all():
        message = (
            f"an interval needs {_FEWEST_ROWS} finite answers to rows of the last month; there are "
            f"{int(np.isfinite(answers).sum())} to {len(truth)} rows: give the month more rows"
        )
        raise DataError(message)
    edges = _edges(answers.astype(np.float32))
    number = (answers[:, None].astype(np.float32) > edges[None, :]).sum(1)
    residual = truth.astype(np.float64) - answers
    ends = [_ends(np.sort(residual[number == each])) for each in range(len(edges) + 1)]
    low, high = np.array(ends, np.float64).T
    floor = 0.0 if truth.min() >= 0 else -math.inf
    return Band(edges, np.minimum(low, 0).astype(np.float32), np.maximum(high, 0).astype(np.float32), floor)


def _edges(answers: Array) -> Array:
    """Between answers that split them into bins of equal numbers; answers that are all alike share a bin."""
    bins = min(_MOST_BINS, max(1, len(answers) // _ROWS_A_BIN))
    found: Array = np.unique(np.quantile(answers, np.arange(1, bins) / bins, method="midpoint").astype(np.float32))
    filled = np.bincount((answers[:, None] > found[None, :]).sum(1), minlength=len(found) + 1)
    return found if (filled >= _FEWEST_ROWS).all() else found[:0]


def _ends(residual: Array) -> tuple[float, float]:
    """Residuals, ascending, of the ranks that a further row lies between with the probability ``COVERAGE``."""
    side = (1 - COVERAGE) / 2
    rank = math.floor((len(residual) + 1) * side)
    return residual[rank - 1], residual[len(residual) - rank]
