"""Which window a retraining learns from: the plainest of a few that a quick predictor of the use case gets furthest with.

Each window is tried by fitting the use case's yardstick on what it makes of the older rows, and asking it the rows that are kept to
stop on. Seconds where training with each would take minutes. Knows no use case, no torch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tiphys.lake.window import Cut, Timed, Window, prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiphys.usecase import Array, Baseline, Examples, UseCase

log = logging.getLogger(__name__)

_BETTER = 0.98
"""A window with more to it is taken if its error is below this share of the plainer one's: less may be chance."""
_SHARES = (None, 0.2, 0.5, 0.8)
_HALF_LIVES = (None, 60.0)
_LEVELS = (0.25, 4.0)
"""No level is taken for true below and above."""


@dataclass(frozen=True)
class Asked:
    """What a person or an alert said of the window."""

    recent_from: str
    since: str = ""
    half_life_days: float | None = None


def window(use_case: UseCase, cut: Cut, asked: Asked) -> Window:
    """Choose; the same rows always give the same window."""
    part = use_case.part("baselines")
    yardstick: Baseline = part.BASELINES[getattr(part, "YARDSTICK", "status_quo")]
    best, error = None, np.inf
    for each in _windows(asked, level(yardstick, cut.train, asked)):
        found = _error(yardstick, prepared(cut.train, each).rows, cut.validation.rows)
        log.info("window %s: %.4g", each, found)
        if best is None or found < _BETTER * error:
            best, error = each, found
    assert best is not None  # noqa: S101 - there is a plainest one
    return best


def level(yardstick: Baseline, train: Timed, asked: Asked) -> float:
    """By what the recent outcomes differ from what older rows make expect, as a factor.

    It is the one that leaves the least absolute error: the median of truth / expectation, weighted with the expectation.
    """
    recent = train.moment >= Window(recent_from=asked.recent_from).begins
    old, new = train.rows.where(~recent), train.rows.where(recent)
    expected = yardstick(old)(new.features).astype(np.float64)
    usable = (expected > 0) & np.isfinite(expected) & (new.target > 0)
    if not usable.any() or (train.rows.target <= 0).any():
        return 1.0
    return float(np.clip(_median(new.target[usable] / expected[usable], expected[usable]), *_LEVELS))


def _windows(asked: Asked, found: float) -> Iterator[Window]:
    """The plainest first: older rows as they were, then at today's level, then with less and less weight."""
    halves = (asked.half_life_days,) if asked.half_life_days else _HALF_LIVES
    for share in _SHARES:
        for half_life in halves:
            for factor in (1.0, round(found, 4)):
                yield Window(
                    recent_from=asked.recent_from,
                    since=asked.since,
                    half_life_days=half_life,
                    recent_share=share,
                    level=factor,
                )


def _error(yardstick: Baseline, past: Examples, later: Examples) -> float:
    return float(np.abs(yardstick(past)(later.features) - later.target).mean())


def _median(values: Array, weight: Array) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
