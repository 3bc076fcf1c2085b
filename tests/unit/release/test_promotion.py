"""Promotion: what happens when it is tried again, when the answer is wrong, and after somebody went back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.release.paper import Paper, model
from tiphys.errors import GateError, RetryableError
from tiphys.release import passport
from tiphys.release.promotion import IN_PRODUCTION, Promoter, Promotion, check_not_gone_back
from tiphys.release.records import EvidenceRecorded, Recorded
from tiphys.release.rollback import Asked, roll_back

pytestmark = pytest.mark.unit
USE_CASE = "tests.usecases.tiny"
STEP = Asked("a schedule", "training-x7", "it is better", once=True)
PERSON = Asked("a person", "by hand", "I looked at it")


@pytest.fixture
def ledger() -> Paper:
    """Production serves version 1 and served 0 before; version 2 is in the canary with traffic, and proven."""
    paper = Paper()
    paper.put("production", model(0))
    paper.put("production", model(1))
    paper.put("canary", model(2, share=0.1, until=datetime.now(UTC) + timedelta(minutes=1)))
    paper.found = [
        EvidenceRecorded(
            use_case=USE_CASE, model_version="models:/tiny/2", manifest_sha256=model(2).manifest_sha256, kind=kind,
            held=True, content={}, number=number, made_at=paper.now(),
        )
        for number, kind in enumerate(passport.KINDS)
    ]  # fmt: skip
    return paper


def promote(
    ledger: Paper, asked: Asked = STEP, ask: Callable[[Recorded], None] = lambda _: None, canary: str = "promote"
) -> Promotion:
    """Promote version 2."""
    return Promoter(ledger, "11" * 32, ask).promote(model(2), asked, canary=canary)


def versions(ledger: Paper) -> list[str]:
    """What production was released, in order."""
    return [each.number for each in ledger.history("production")][::-1]


def test_a_promotion_that_is_tried_again_goes_on_where_it_died(ledger: Paper) -> None:
    """Released, then the gateway was away: the second try asks, and takes the canary's traffic."""

    def away(_: Recorded) -> None:
        raise RetryableError("the gateway is away")

    with pytest.raises(RetryableError):
        promote(ledger, ask=away)
    asked: list[Recorded] = []
    done = promote(ledger, ask=asked.append)
    assert [each.number for each in asked] == ["2"]
    assert done.changed
    assert ledger.current("canary").releases[USE_CASE].kind == "withdrawal"
    assert versions(ledger) == ["0", "1", "2"]


def test_what_another_run_promoted_is_left_alone(ledger: Paper) -> None:
    """Nothing is asked, nothing is written."""
    promote(ledger)
    asked: list[Recorded] = []
    done = promote(ledger, Asked("a schedule", "training-x8", once=True), asked.append, IN_PRODUCTION)
    assert (done.changed, asked, versions(ledger)) == (False, [], ["0", "1", "2"])


def test_a_wrong_answer_takes_back_the_promotion_and_the_canarys_traffic(ledger: Paper) -> None:
    """Production serves what it served; the candidate has no riders either."""

    def wrong(_: Recorded) -> None:
        raise GateError("NaN")

    with pytest.raises(GateError, match=r"NaN; rolled back to models:/tiny/1"):
        promote(ledger, ask=wrong)
    assert versions(ledger) == ["0", "1", "2", "1"]
    assert ledger.current("canary").releases[USE_CASE].kind == "withdrawal"


def test_a_wrong_answer_takes_back_nothing_that_somebody_else_released_since(ledger: Paper) -> None:
    """Only its own release is its own to take back."""

    def wrong(_: Recorded) -> None:
        ledger.put("production", model(7))
        raise GateError("NaN")

    with pytest.raises(GateError, match="has left generation 3"):
        promote(ledger, ask=wrong)
    assert versions(ledger) == ["0", "1", "2", "7"]


def test_a_pipeline_does_not_bring_back_what_somebody_went_back_from(ledger: Paper) -> None:
    """The very image; the message says who went back and why, and that a person may."""
    promote(ledger)
    roll_back(ledger, "production", USE_CASE, Asked("a person", "by hand", "kettles explode"))
    with pytest.raises(GateError, match=r"a person went back from .*kettles explode.*tiphys release promote"):
        promote(ledger, Asked("a schedule", "training-x8", once=True))
    assert versions(ledger) == ["0", "1", "2", "1"]
    ledger.put("production", model(7))
    with pytest.raises(GateError, match="kettles explode"):
        promote(ledger, Asked("a schedule", "training-x9", once=True))
    promote(ledger, PERSON, canary="")
    assert versions(ledger) == ["0", "1", "2", "1", "7", "2"]


def test_what_somebody_went_back_from_is_known_before_it_is_tried(ledger: Paper) -> None:
    """Every other candidate goes on, and so does this one once a person brought it back."""
    check_not_gone_back(ledger, model(2))
    promote(ledger)
    check_not_gone_back(ledger, model(2))
    roll_back(ledger, "production", USE_CASE, Asked("a person", "by hand", "kettles explode"))
    with pytest.raises(GateError, match=r"a person went back from .*kettles explode"):
        check_not_gone_back(ledger, model(2))
    check_not_gone_back(ledger, model(3))
    promote(ledger, PERSON, canary="")
    check_not_gone_back(ledger, model(2))


def test_what_was_judged_to_be_in_production_already_is_never_written(ledger: Paper) -> None:
    """Production moved on after the canary looked: no old evidence is signed."""
    with pytest.raises(GateError, match="moved on"):
        promote(ledger, canary=IN_PRODUCTION)
    assert (versions(ledger), ledger.passports) == (["0", "1"], [])
