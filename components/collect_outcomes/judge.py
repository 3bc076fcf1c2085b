"""Which outcome stands for an answer, and why the others do not. Plain Python over plain rows; knows no Spark, no use case.

Every outcome ends in exactly one class, and stays in it; one whose answer has not landed yet waits. The rules, in this
order; the first that holds decides:

================= ======================================================================================
class             when
================= ======================================================================================
``waiting``       no such answer has landed, and the report is younger than ``unknown_after`` (wall clock)
``unknown``       no such answer has landed, and the report is older: the gateway never gave that answer, or lost it
``not the asker`` somebody else asked: only who asked may report, or the operator's own meters
``impossible``    the value lies outside of what the use case says a true value can be
``untimely``      by the own clock it was known before it can have been over, or more than a year after
``duplicate``     an outcome stands already and says the same
``contradictory`` an outcome stands already and says something else: the first stands, and its row becomes doubtful
``labelled``      it stands
================= ======================================================================================

Of reports that come in together a trusted one is looked at first. A rider's contradiction casts no doubt on a trusted
outcome; a trusted contradiction casts doubt on a rider's, but does not take its place: a row that may have been trained on
never becomes part of the trusted holdout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

STANDS, WAITING = "labelled", "waiting"
REFUSED = ("unknown", "not the asker", "impossible", "untimely", "duplicate", "contradictory")
CONTRADICTED = "contradicted"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rules:
    """What decides."""

    possible: tuple[float, float]
    trusted: frozenset[str]
    unknown_after: timedelta
    now: datetime
    """The wall clock, UTC."""
    own_clock: bool
    """Whether questions name their moment: only then, and where a report says when it became known, can it be untimely."""
    in_seconds: bool
    """Whether the true value is a time in seconds that passes between ``moment`` and the end."""
    slack: timedelta = timedelta(seconds=60)
    longest_wait: timedelta = timedelta(days=366)


@dataclass(frozen=True)
class Judged:
    """What became of the outcomes of one answer."""

    classes: tuple[str, ...]
    """The class of each outcome, in the given order."""
    stands: int | None
    """Number of the outcome that newly stands."""
    doubtful: str | None
    """What the row's ``doubtful`` becomes; None: it stays."""


def judge(answer: Row | None, standing: Row | None, outcomes: Sequence[Row], rules: Rules) -> Judged:
    """Judge the reports of one answer.

    Args:
        answer: the row of the answer, if it has landed.
        standing: its labelled row, if an outcome stands already.
        outcomes: what was reported and is not yet judged.
        rules: what decides.
    """
    classes = [""] * len(outcomes)
    stands, doubtful = None, None
    value = None if standing is None else standing["actual"]
    trusted = standing is not None and standing["trusted"]
    for n in sorted(range(len(outcomes)), key=lambda n: _order(outcomes[n], rules)):
        each = outcomes[n]
        classes[n] = _refused(answer, each, rules) or _against(value, each["actual"])
        if classes[n] == STANDS:
            stands, value, trusted = n, each["actual"], each["asker"] in rules.trusted
        if classes[n] == "contradictory" and (not trusted or each["asker"] in rules.trusted):
            doubtful = CONTRADICTED
    return Judged(tuple(classes), stands, doubtful)


def known_at(outcome: Row) -> datetime:
    """When an outcome became known: as the asker says, else when it was received."""
    found: datetime = outcome["at"] or outcome["received_at"]
    return found


def _order(outcome: Row, rules: Rules) -> tuple[bool, datetime, str, int]:
    return (
        outcome["asker"] not in rules.trusted,
        outcome["received_at"],
        outcome["origin"],
        outcome["line"],
    )


def _refused(answer: Row | None, outcome: Row, rules: Rules) -> str:
    if answer is None:
        return WAITING if rules.now - outcome["received_at"] < rules.unknown_after else "unknown"
    if outcome["asker"] != answer["asker"] and outcome["asker"] not in rules.trusted:
        return "not the asker"
    if not rules.possible[0] <= outcome["actual"] <= rules.possible[1]:
        return "impossible"
    return "untimely" if _untimely(answer["moment"], outcome, rules) else ""


def _untimely(moment: datetime, outcome: Row, rules: Rules) -> bool:
    if not rules.own_clock or outcome["at"] is None:
        return False
    took = timedelta(seconds=outcome["actual"]) if rules.in_seconds else timedelta()
    waited = known_at(outcome) - moment
    return waited + rules.slack < took or waited > rules.longest_wait


def _against(value: float | None, actual: float) -> str:
    if value is None:
        return STANDS
    return "duplicate" if math.isclose(value, actual, rel_tol=1e-9) else "contradictory"
