"""What two models said to the same question, and how much worse the one may be: the words that the judges share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tiphys.watch.confidence import Interval

UNSAFE = ("not_finite", "wrong_shape", "bad_answer")
"""Failures that a sound model never has: one is enough. The gateway says ``bad_answer`` to askers for either of the others."""

PARTS = {
    "failures": 0.2, "late": 0.1, "very late": 0.1, "shift": 0.15, "spread": 0.1, "error": 0.2,
    "live failures": 0.05, "live late": 0.05, "live shift": 0.05,
}  # fmt: skip
"""How the chance of a false alarm is split over all that can roll a candidate back; they sum to one."""

State = Literal["harm", "within", "open"]
"""Proven to be worse than tolerated; proven not to be; neither yet."""
Verdict = Literal["promote", "rollback", "not_enough"]


@dataclass(frozen=True, slots=True)
class Said:
    """One answer as the asker got it."""

    value: float | None
    """The prediction; None of a failure."""
    latency_ms: float
    failure: str = ""
    """Why it is none: error, late, not_finite, wrong_shape, ...; empty for a right answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The candidate's answer beside that of the baseline: what serves now, or the status quo."""

    canary: Said
    baseline: Said | None = None
    """None where there is nothing to compare with."""
    actual: float | None = None
    """What came of it, where it is known."""
    first: bool = True
    """Whether this question was not asked before: the same one again says nothing new of what is answered."""


@dataclass(frozen=True)
class Tolerances:
    """How much worse a candidate may be. Within is promoted, beyond is rolled back, each with proof.

    They are far above what chance does to a few hundred answers and far below what a user would not forgive. What is
    smaller was decided before, by `evaluate`, on the whole of the test month.
    """

    alpha: float = 0.05
    """Chance that a candidate which is as good as tolerated is rolled back, over all measures and looks together; and
    that one which is worse than tolerated in a measure is promoted."""
    failures: float = 0.02
    """More failures than the baseline, as a share of the answers; and at most so many altogether to be promoted."""
    late: float = 0.15
    """More answers above the SLO's p95 than the baseline, as a share."""
    very_late: float = 0.05
    """More answers above the SLO's p99 than the baseline, as a share."""
    shift: float = 0.15
    """Mean log ratio of the answers to the baseline's, either way: 0.15 is a sixth."""
    spread: float = 0.15
    """Distance of the two distribution functions, at any of nine values."""
    error: float = 0.2
    """More error than the baseline, as a share of the baseline's."""
    minimum: int = 100
    """Questions that have to be answered before anything is promoted."""


@dataclass(frozen=True)
class Scale:
    """What the use case says that figures are to be held against."""

    p95_ms: float
    p99_ms: float
    close: float
    """Error with which a user is content, in the target's unit: errors count up to five times that."""
    unit: str
    edges: tuple[float, ...] = ()
    """Values at which the distributions are compared: deciles of past outcomes, fixed before the first answer."""
    expected_error: float | None = None
    """Error that the evaluation found: what the candidate's is held against while nothing else serves."""


@dataclass(frozen=True)
class Finding:
    """One measure, what is known of it, and what that means."""

    measure: str
    state: State
    known: Interval
    tolerated: float
    says: str
    """In plain words, with figures."""
    needed: bool = True
    """Whether it must be within before the candidate is promoted."""


@dataclass(frozen=True)
class Judgement:
    """What is to be done with the candidate, and why."""

    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
