"""Rolling back through the ledger: once for each wish, and never from what was not meant."""

from __future__ import annotations

import pytest

from tests.unit.release.paper import Paper, model
from tiphys.release.rollback import Asked, MovedOnError, roll_back, way

pytestmark = pytest.mark.unit
USE_CASE = "tests.usecases.tiny"
STEP = Asked("an alert", "rollback-x7", "off by 30 %", once=True)


@pytest.fixture
def ledger() -> Paper:
    """Production served versions 1, 2 and 3."""
    paper = Paper()
    for version in (1, 2, 3):
        paper.put("production", model(version))
    return paper


def test_a_step_that_is_tried_again_goes_back_once(ledger: Paper) -> None:
    """It finds what it wrote before it died."""
    first = roll_back(ledger, "production", USE_CASE, STEP)
    assert roll_back(ledger, "production", USE_CASE, STEP) == first
    assert (first.left.number, first.recorded.number) == ("3", "2")
    assert len(ledger.written) == 4


def test_a_person_who_asks_twice_goes_back_twice(ledger: Paper) -> None:
    """Their run has no name of its own."""
    by_hand = Asked("a person", "by hand")
    assert [roll_back(ledger, "production", USE_CASE, by_hand).recorded.number for _ in range(2)] == ["2", "1"]


def test_two_alerts_about_one_generation_go_back_once(ledger: Paper) -> None:
    """The second is told that production has left it."""
    roll_back(ledger, "production", USE_CASE, STEP, leaving=3)
    with pytest.raises(MovedOnError, match="has left generation 3"):
        roll_back(ledger, "production", USE_CASE, Asked("an alert", "rollback-x8", once=True), leaving=3)
    assert len(ledger.written) == 4


def test_what_was_rolled_back_from_at_the_agent_is_off_the_way_though_the_ledger_never_heard(ledger: Paper) -> None:
    """Version 3 failed after it had served, and 4 came before the agent could say so: from 4 it goes back to 2."""
    ledger.say(ledger.written[2], "failed", "rolled back by a person")
    ledger.put("production", model(4))
    assert [each.number for each in way(ledger, "production", USE_CASE)] == ["4", "2", "1"]
    assert roll_back(ledger, "production", USE_CASE, STEP).recorded.number == "2"


def test_what_failed_at_first_and_serves_now_stays_on_the_way(ledger: Paper) -> None:
    """A repaired Triton, or an agent that could not load it once."""
    repaired = ledger.put("production", model(4))
    ledger.say(repaired, "failed", "Triton was away")
    ledger.say(repaired)
    assert [each.number for each in way(ledger, "production", USE_CASE)][:2] == ["4", "3"]
