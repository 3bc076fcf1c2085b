"""What may be told of an answer: a finite number, a moment, a few named numbers; nothing else, and nothing endless."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tiphys.serving.gateway.feedback import MOST_FACTS, Outcome
from tiphys.serving.gateway.predictions import Predictions

pytestmark = pytest.mark.unit

GOOD = {"prediction_id": "0" * 32, "actual": 61.5}


def read(**other: Any) -> Outcome:
    """An outcome as it comes."""
    found: Outcome = TypeAdapter(Outcome).validate_json(json.dumps({**GOOD, **other}))
    return found


class Lines:
    """Stands where the spool does: keeps lines."""

    def __init__(self) -> None:
        """Have none."""
        self.lines: list[tuple[str, Any]] = []

    def write(self, topic: str, line: bytes) -> None:
        """Keep one."""
        self.lines.append((topic, json.loads(line)))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"miles": 8.4},
        {"miles": 8, "stops_2": -1.5e-9},
        {"x" * 64: 1.0},
        {f"fact{number}": 1e300 for number in range(MOST_FACTS)},
    ],
)
def test_facts_are_named_numbers(facts: dict[str, float]) -> None:
    """Up to sixteen, whatever they mean: the use case knows that where the log is read."""
    assert read(facts=facts).facts == facts


@pytest.mark.parametrize(
    "other",
    [
        {"facts": {f"fact{number}": 1.0 for number in range(MOST_FACTS + 1)}},
        {"facts": {"x" * 65: 1.0}},
        {"facts": {"Miles": 1.0}},
        {"facts": {"miles\n": 1.0}},
        {"facts": {"": 1.0}},
        {"facts": {"../x": 1.0}},
        {"facts": {"miles": "8.4"}},
        {"facts": {"miles": True}},
        {"facts": {"miles": None}},
        {"facts": {"miles": [8.4]}},
        {"facts": {"miles": {"deep": 1.0}}},
        {"facts": {"miles": float("nan")}},
        {"facts": {"miles": float("inf")}},
        {"facts": {"miles": 10**400}},
        {"facts": [["miles", 8.4]]},
        {"facts": None},
        {"actual": float("nan")},
        {"actual": float("-inf")},
        {"actual": 10**400},
        {"actual": "1260"},
        {"actual": True},
        {"at": "2026-11-22T06:00:00"},
        {"at": "yesterday"},
        {"at": 10**30},
        {"asker": "auditor"},
    ],
)
def test_anything_else_is_refused(other: dict[str, Any]) -> None:
    """No text for a number, no endless number, no name that is none, and nobody says who he is."""
    with pytest.raises(ValidationError):
        read(**other)


def test_what_cannot_be_true_is_taken_down_all_the_same() -> None:
    """A negative or absurd value and a clock that is centuries off: the log has them, and its reader judges."""
    assert read(actual=-5.0).actual == -5.0
    assert read(actual=1e12, at="2999-12-31T23:59:59Z").actual == 1e12
    assert read(at="0001-01-01T00:00:00Z").at is not None


def test_the_log_has_facts_where_there_are_some() -> None:
    """One line each; without facts it is as it was before there were any."""
    spool = Lines()
    log = Predictions(spool, "tiny")  # type: ignore[arg-type]  # all that is asked of a spool
    wall = 1_795_000_000.0
    log.fed_back("0" * 32, at=None, actual=61.5, asker="rider", wall=wall)
    log.fed_back(
        "1" * 32, at="2026-11-22T06:00:00+00:00", actual=61.5, asker="auditor", wall=wall, facts={"miles": 8.4}
    )
    (topic, without), (_, with_them) = spool.lines
    assert topic.startswith("feedback/tiny/date=")
    assert set(without) == {"prediction_id", "at", "actual", "asker", "received_at"}
    assert set(with_them) == {*without, "facts"}
    assert (with_them["facts"], with_them["asker"]) == ({"miles": 8.4}, "auditor")
