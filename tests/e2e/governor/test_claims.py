"""Who has the token of the event endpoint and is not the governor starts no training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from tests.e2e.governor.conftest import TINY, Asked
from tiphys.watch.governor.argo import DISCRIMINATOR
from tiphys.watch.governor.decide import Event
from tiphys.watch.governor.desk import posted, run_name

pytestmark = pytest.mark.e2e

OURS = "s3://landing/boilings/"


def post(governor: Asked, identity: str, payload: dict[str, str]) -> None:
    """Hand an event to the engine, with the token that the governor has."""
    headers = {
        "Authorization": f"Bearer {governor.watch.plan.keys.api_tokens['trigger']}",
        "Content-Type": "application/json",
        "webhook-id": identity,
    }
    url = f"{governor.watch.plan.ports.url('engine')}/api/v1/events/default/{DISCRIMINATOR}"
    reply = urllib3.request("POST", url, headers=headers, body=json.dumps(payload).encode(), retries=False)
    assert reply.status == 200, reply.data


def run_of(governor: Asked, name: str, within: float = 60.0) -> dict[str, Any]:
    """A run, once it has ended."""
    last = time.monotonic() + within
    while time.monotonic() < last:
        for run in governor.watch.runs():
            if run["metadata"]["name"] == name and run["status"].get("finishedAt"):
                return dict(run)
        time.sleep(0.1)
    pytest.fail(f"{name} has not ended")


def said(governor: Asked, run: dict[str, Any]) -> str:
    """What its steps printed."""
    url = f"{governor.watch.plan.ports.url('engine')}/api/v1/workflows/default/{run['metadata']['name']}/log"
    headers = {"Authorization": f"Bearer {governor.watch.plan.keys.api_tokens['admin']}"}
    reply = urllib3.request("GET", url, headers=headers, retries=False)
    return reply.data.decode()


def nodes(run: dict[str, Any]) -> dict[str, str]:
    """Phase of each task."""
    return {each["displayName"]: each["phase"] for each in run["status"]["nodes"].values()}


def forged(identity: str, source: str = OURS) -> dict[str, str]:
    """What the governor would post for an event of that id."""
    return posted(Event(1, identity, "alert", TINY, 0.0), "2019-05-12T00:00:00", "it moved", source)


def test_an_event_of_nobody_s_is_stopped_by_its_run_s_first_step(governor: Asked) -> None:
    """It never comes to the training, and says that the governor meant no such run."""
    payload = forged("nobody-s")
    post(governor, "nobody-s", payload)
    run = run_of(governor, payload["run"])
    assert run["status"]["phase"] == "Failed"
    assert "no yes of the governor means a run retrain-tiny-" in said(governor, run)
    assert nodes(run)["train"] == "Omitted"


def test_a_yes_can_neither_be_bent_nor_used_twice(new_governor: Callable[..., Asked]) -> None:
    """Under the name of a training that is decided and not posted yet: other files are refused. Once it ran, no run of its name does."""
    governor = new_governor(TIPHYS_GOVERNOR_SPEED="60")
    governor.train()
    governor.request("known")
    first = governor.ended("known")
    assert first.run_phase == "Succeeded"
    governor.watch.ask_engine("DELETE", f"/api/v1/workflows/default/{first.run}")
    again = posted(Event(1, "known", "person", TINY, 0.0), "", "it moved", OURS)
    assert again["run"] == first.run
    post(governor, "known-again", again)
    second = run_of(governor, first.run)
    assert "has started a run" in said(governor, second)
    assert nodes(second)["train"] == "Omitted"

    governor.watch.kill("engine")
    governor.request("next")
    yes = governor.decided("next")
    assert (yes.verdict, yes.run_phase) == ("yes", "to be posted")
    governor.watch.kill("governor")
    governor.watch.start("engine")
    bent = posted(Event(1, "next", "person", TINY, 0.0), "", "it moved", "s3://landing/poison/")
    assert bent["run"] == yes.run == run_name(Event(1, "next", "person", TINY, 0.0))
    post(governor, "bent", bent)
    governor.watch.start("governor")
    run = run_of(governor, yes.run, 120.0)
    assert "was started with source 's3://landing/poison/'" in said(governor, run)
    assert nodes(run)["train"] == "Omitted"
