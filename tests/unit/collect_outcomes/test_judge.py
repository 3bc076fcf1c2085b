"""Which outcome stands, and why the others do not."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.collect_outcomes.judge import CONTRADICTED, REFUSED, STANDS, WAITING, Rules, judge

pytestmark = pytest.mark.unit

MOMENT = datetime(2019, 7, 1, 8)  # noqa: DTZ001 - the tables' times are UTC without a zone
RECEIVED = datetime(2026, 11, 20, 6)  # noqa: DTZ001
RULES = Rules(
    possible=(60.0, 10800.0),
    trusted=frozenset({"auditor"}),
    unknown_after=timedelta(hours=1),
    now=RECEIVED + timedelta(minutes=10),
    own_clock=True,
    in_seconds=True,
)
ANSWER = {"asker": "rider", "moment": MOMENT}


def report(actual: float = 600.0, **changed: Any) -> dict[str, Any]:
    """An outcome that was told at the end of the ride."""
    known = {"at": MOMENT + timedelta(seconds=actual), "actual": actual, "asker": "rider"}
    return {**known, "received_at": RECEIVED, "origin": "one", "line": 1, **changed}


def classes(*reports: Mapping[str, Any], answer: Any = ANSWER, standing: Any = None) -> tuple[str, ...]:
    """Judge them at once."""
    return judge(answer, standing, reports, RULES).classes


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, STANDS),
        ({"actual": 60.0, "at": MOMENT + timedelta(seconds=60)}, STANDS),
        ({"asker": "stranger"}, "not the asker"),
        ({"asker": "auditor"}, STANDS),
        ({"actual": 59.9}, "impossible"),
        ({"actual": -600.0}, "impossible"),
        ({"actual": 10800.1}, "impossible"),
        ({"at": MOMENT + timedelta(seconds=539)}, "untimely"),
        ({"at": MOMENT + timedelta(seconds=541)}, STANDS),
        ({"at": MOMENT - timedelta(days=1)}, "untimely"),
        ({"at": MOMENT + timedelta(days=365)}, STANDS),
        ({"at": MOMENT + timedelta(days=367)}, "untimely"),
        ({"at": None}, STANDS),
    ],
)
def test_each_rule(changed: dict[str, Any], expected: str) -> None:
    """At its borders."""
    assert classes(report(**changed)) == (expected,)


def test_a_report_on_an_answer_that_has_not_landed_waits_and_is_given_up_later() -> None:
    """The two logs land independently of one another."""
    assert classes(report(), answer=None) == (WAITING,)
    assert classes(report(received_at=RECEIVED - timedelta(hours=1)), answer=None) == ("unknown",)


def test_the_first_stands_and_what_contradicts_it_makes_the_row_doubtful() -> None:
    """First by when it was received, then by its place in the log."""
    reports = [report(700.0, line=2), report(600.0, line=1), report(600.0, line=3)]
    found = judge(ANSWER, None, reports, RULES)
    assert found.classes == ("contradictory", STANDS, "duplicate")
    assert (found.stands, found.doubtful) == (1, CONTRADICTED)


def test_what_stands_already_goes_on_standing() -> None:
    """Whatever comes later."""
    standing = {"actual": 600.0, "trusted": False}
    found = judge(ANSWER, standing, [report(600.0)], RULES)
    assert (found.classes, found.stands, found.doubtful) == (("duplicate",), None, None)
    found = judge(ANSWER, standing, [report(601.0)], RULES)
    assert (found.classes, found.stands, found.doubtful) == (("contradictory",), None, CONTRADICTED)


def test_a_trusted_report_comes_first_and_no_rider_casts_doubt_on_it() -> None:
    """Nor later; but a trusted report casts doubt on what a rider said before, and does not take its place."""
    rider, auditor = report(600.0), report(700.0, asker="auditor", line=2)
    found = judge(ANSWER, None, [rider, auditor], RULES)
    assert (found.classes, found.doubtful) == (("contradictory", STANDS), None)
    assert judge(ANSWER, {"actual": 700.0, "trusted": True}, [rider], RULES).doubtful is None
    found = judge(ANSWER, {"actual": 600.0, "trusted": False}, [auditor], RULES)
    assert (found.classes, found.stands, found.doubtful) == (("contradictory",), None, CONTRADICTED)


def test_without_a_clock_of_its_own_nothing_is_untimely() -> None:
    """The moment of a question is then only when the gateway answered."""
    rules = Rules(**{**vars(RULES), "own_clock": False})
    assert judge(ANSWER, None, [report(at=MOMENT - timedelta(days=1))], rules).classes == (STANDS,)


reports = st.builds(
    report,
    actual=st.sampled_from([-1.0, 5.0, 600.0, 600.0 * (1 + 1e-12), 700.0, 20000.0]),
    asker=st.sampled_from(["rider", "stranger", "auditor"]),
    at=st.sampled_from([None, MOMENT, MOMENT + timedelta(hours=1), MOMENT + timedelta(days=500)]),
    received_at=st.sampled_from([RECEIVED, RECEIVED - timedelta(hours=2)]),
    line=st.integers(1, 5),
)


@given(
    st.lists(reports, max_size=8),
    st.sampled_from([None, ANSWER]),
    st.sampled_from([None, {"actual": 600.0, "trusted": False}, {"actual": 600.0, "trusted": True}]),
)
def test_every_report_ends_in_one_class_and_one_stands_at_most(
    outcomes: list[dict[str, Any]], answer: Any, standing: Any
) -> None:
    """Nothing is lost; what stands is possible and allowed; a standing row is never replaced."""
    standing = standing if answer else None
    found = judge(answer, standing, outcomes, RULES)
    assert len(found.classes) == len(outcomes)
    assert set(found.classes) <= {STANDS, WAITING, *REFUSED}
    assert found.classes.count(STANDS) == (found.stands is not None) <= (standing is None and answer is not None)
    if found.stands is not None:
        chosen = outcomes[found.stands]
        assert 60 <= chosen["actual"] <= 10800
        assert chosen["asker"] in {"rider", "auditor"}
    assert (found.doubtful is None) or "contradictory" in found.classes


@given(st.lists(reports, min_size=1, max_size=8, unique_by=lambda each: each["line"]), st.randoms())
def test_the_order_in_which_reports_are_given_changes_nothing(
    outcomes: list[dict[str, Any]], chance: random.Random
) -> None:
    """Spark gives them in any."""
    shuffled = list(outcomes)
    chance.shuffle(shuffled)

    def by_line(given: list[dict[str, Any]]) -> dict[int, str]:
        return dict(zip([each["line"] for each in given], judge(ANSWER, None, given, RULES).classes, strict=True))

    assert by_line(outcomes) == by_line(shuffled)


@given(st.lists(reports, min_size=1, max_size=8, unique_by=lambda each: each["line"]), st.integers(0, 8))
def test_a_run_that_was_killed_after_it_labelled_is_gone_on_with_to_the_same_end(
    outcomes: list[dict[str, Any]], kept: int
) -> None:
    """Its label is there, and some of what it refused may not be: judged again against the label, it gets the same class."""
    whole = judge(ANSWER, None, outcomes, RULES)
    if whole.stands is None:
        return
    chosen = outcomes[whole.stands]
    standing = {"actual": chosen["actual"], "trusted": chosen["asker"] == "auditor"}
    open_ = [n for n in range(len(outcomes)) if n != whole.stands][kept:]
    again = judge(ANSWER, standing, [outcomes[n] for n in open_], RULES)
    assert again.classes == tuple(whole.classes[n] for n in open_)
