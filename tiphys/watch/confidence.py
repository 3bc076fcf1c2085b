"""Confidence sequences for means: intervals that may be looked at after every answer without raising the false alarm rate.

A test that is repeated at each look is wrong more often with each look. A confidence sequence holds at all times at once: the
chance that it *ever* leaves out the true mean is at most alpha (Ville's inequality), so whoever judges may stop when they like.

:class:`BoundedMean` is a sequence by betting (Waudby-Smith & Ramdas, "Estimating means of bounded random variables by
betting", J. R. Stat. Soc. B 2023, section 4): against each candidate mean m a gambler with one unit bets that the truth is
larger (or smaller); if m were true, the wealth would be a martingale, so a wealth of 1/alpha refutes m. Bets are a mixture of
seven constant fractions, which stands in for the best one in hindsight at a cost of log 7. It adapts to the variance, needs
no sample size in advance and no distribution: only bounds, and that each value's mean given the past is the same.

:func:`asymptotic` is for streams of which only sums are known (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Ann. Stat. 2024, theorem 2.2).

Background: Howard, Ramdas, McAuliffe & Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann. Stat.
2021; Johari, Koomen, Pekelis & Walsh, "Peeking at A/B tests", KDD 2017 (the mixture test of sequential likelihood ratios).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FRACTIONS = np.array([0.95, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625])
"""Shares of the wealth that are bet: from nearly all, which finds gross faults within a few answers, to little, for small ones."""
_SHARES = np.full(len(FRACTIONS), 1 / len(FRACTIONS))
_CELLS = 160
_TUNED_TO = 300.0
"""Sample size at which the asymptotic sequence is tightest."""


@dataclass(frozen=True)
class Interval:
    """What is known of a mean: an estimate, and between which values it lies."""

    count: int
    mean: float
    """NaN while there is nothing."""
    low: float
    high: float


def log_wealth(values: Floats, candidate: float, edge: float) -> Floats:
    """Log of the wealth of who bets that the mean lies further from ``edge`` than ``candidate``, after each value.

    ``values`` [..., n] lie on one side of ``edge``, their least or their largest possible value; returns [..., n].
    """
    return np.asarray(_mixed(np.cumsum(_log_gains(values - edge, _slopes(candidate, edge)), axis=-2)))


def _slopes(candidates: Floats | float, edge: float) -> Floats:
    """What each fraction gains by a value's distance from ``edge``: f / (m - edge), last axis fractions."""
    slopes: Floats = FRACTIONS / (np.asarray(candidates)[..., None] - edge)
    return slopes


def _log_gains(distances: Floats, slopes: Floats) -> Floats:
    """Log of what each fraction's unit becomes by each value: 1 - f + f (x - edge) / (m - edge), for all of both."""
    gains: Floats = np.multiply.outer(distances, slopes)
    gains -= FRACTIONS
    return np.log1p(gains, out=gains)


def _mixed(logs: Floats) -> Floats:
    """Log of the mean wealth over the fractions, the last axis."""
    top = logs.max(axis=-1)
    mixed: Floats = top + np.log(np.exp(logs - top[..., None]) @ _SHARES)
    return mixed


class BoundedMean:
    """A confidence sequence for the mean of values in [least, most], fed bit by bit.

    ``alpha_low`` is the chance that ``low`` ever exceeds the true mean, ``alpha_high`` that ``high`` ever falls below it.
    The interval's ends are candidates of a grid, to which ``at`` adds those that decide something.
    """

    def __init__(
        self, least: float, most: float, *, alpha_low: float, alpha_high: float, at: Sequence[float] = ()
    ) -> None:
        """Start with nothing known."""
        inner = np.linspace(least, most, _CELLS + 1)[1:-1]
        self._candidates: Floats = np.unique(np.concatenate([inner, np.asarray(at, np.float64)]))
        self._edges = (least, most)
        self._limits = (-math.log(alpha_low), -math.log(alpha_high))
        self._slopes = [_slopes(self._candidates, edge) for edge in self._edges]
        self._logs = [np.zeros_like(each) for each in self._slopes]
        self._sum = 0.0
        self.count = 0
        self.low, self.high = least, most

    def add(self, values: Sequence[float] | Floats) -> None:
        """Take more values; what lies outside of the bounds counts as the bound."""
        given, times = np.unique(np.clip(np.asarray(values, np.float64), *self._edges), return_counts=True)
        if not len(given):
            return
        self.count += int(times.sum())
        self._sum += float((given * times).sum())
        refuted = []
        for side, (edge, limit) in enumerate(zip(self._edges, self._limits, strict=True)):
            gains = _log_gains(given - edge, self._slopes[side]).reshape(len(given), -1)
            self._logs[side] += (times.astype(np.float64) @ gains).reshape(self._logs[side].shape)
            refuted.append(self._candidates[_mixed(self._logs[side]) >= limit])
        # Not the narrowest interval so far, which would hold as well: a candidate that breaks late must not stay within.
        self.low = float(refuted[0].max(initial=self._edges[0]))
        self.high = float(refuted[1].min(initial=self._edges[1]))

    @property
    def interval(self) -> Interval:
        """What is known now."""
        return Interval(self.count, self._sum / self.count if self.count else math.nan, self.low, self.high)


def asymptotic(count: int, total: float, squares: float, alpha: float) -> Interval:
    """Return a two-sided sequence's interval now from count, sum and sum of squares; all reals below two values.

    It holds for large samples only: who decides by it asks for a minimum of some hundred.
    """
    if count < 2:  # noqa: PLR2004
        return Interval(count, total / count if count else math.nan, -math.inf, math.inf)
    mean = total / count
    variance = max(0.0, squares / count - mean * mean)
    tuning = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _TUNED_TO
    scale = count * tuning + 1
    half = math.sqrt(variance * 2 * scale / (count * count * tuning) * math.log(math.sqrt(scale) / alpha))
    return Interval(count, mean, mean - half, mean + half)
