"""A run that an event started goes on only where a yes of the governor meant it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tiphys.watch.governor.claims import Claim, Meant, complaint
from tiphys.watch.governor.decide import Event
from tiphys.watch.governor.desk import posted, run_name

pytestmark = pytest.mark.unit

EVENT = Event(7, "e-7", "alert", "taxi_eta", 0.0, "error", "all")
PAYLOAD = posted(EVENT, "2019-05-12T00:00:00", "the error moved", "s3://raw/2018/")
MEANT = Meant(7, "e-7", "the error moved", json.dumps(PAYLOAD), "", ended=False, uid="")
NAMES = ("use_case", "source", "recent_from", "champion", "started_by")


def claim(**changed: Any) -> Claim:
    """What the run says that was posted."""
    return Claim(**{"uid": "u-1", **{name: PAYLOAD[name] for name in NAMES}, **changed})


def why(said: Claim, meant: Meant | None = MEANT) -> str:
    """The complaint."""
    return complaint(said, meant, run_name(EVENT))


def test_the_run_that_was_meant_has_it_however_often_it_asks() -> None:
    """A step that is tried again is the same run; so is one that asks after its training was told to have ended."""
    assert why(claim()) == ""
    assert why(claim(), replace(MEANT, uid="u-1")) == ""
    assert why(claim(), replace(MEANT, uid="u-1", ended=True, phase="Failed")) == ""


@pytest.mark.parametrize("name", NAMES)
def test_whatever_else_it_was_started_with_is_refused(name: str) -> None:
    """Other raw files, say, under the name of a training that is about to be posted."""
    assert f"was started with {name} 'another'" in why(claim(**{name: "another"}))


def test_a_run_that_nobody_meant_a_second_one_and_a_late_one_are_refused() -> None:
    """Each is told why."""
    assert "no yes of the governor means a run retrain-taxi-eta-" in why(claim(), None)
    assert "one starts one training" in why(claim(uid="u-2"), replace(MEANT, uid="u-1"))
    assert "was given up before this run began (NotStarted)" in why(
        claim(), replace(MEANT, ended=True, phase="NotStarted")
    )
