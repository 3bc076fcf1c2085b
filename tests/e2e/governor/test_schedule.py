"""A schedule passes the same door as an alert, and what it starts is the same pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.governor.conftest import TINY, Asked
from tiphys.engine import load_file
from tiphys.settings import PROJECT

pytestmark = pytest.mark.e2e


def requests(governor: Asked) -> list[dict[str, Any]]:
    """The runs of ``scheduled-training`` that have ended, the latest first."""
    found = governor.watch.runs()
    return [
        run
        for run in found
        if run["metadata"]["labels"].get("tiphys/workflow") == "scheduled-training" and run["status"].get("finishedAt")
    ]


def outputs(run: dict[str, Any]) -> dict[str, str]:
    """What its step told."""
    assert run["status"]["phase"] == "Succeeded", run["status"]
    return {
        each["name"].removeprefix("request-training-"): each["value"] for each in run["status"]["outputs"]["parameters"]
    }


def test_the_clock_asks_and_the_governor_decides(new_governor: Callable[..., Asked]) -> None:
    """The first is a yes, the next comes within the cool-down: a step that is told no has done its work."""
    governor = new_governor()
    governor.train()
    _, cron = load_file(PROJECT / "workflows" / "rendered" / "scheduled-training.yaml")
    assert cron["spec"]["suspend"] is True
    cron["spec"] |= {
        "suspend": False,
        "schedules": ["@every 2s"],
        "stopStrategy": {"expression": "cronworkflow.succeeded >= 2"},
    }
    cron["spec"]["workflowSpec"]["arguments"]["parameters"].append({"name": "use-case", "value": TINY})
    governor.watch.apply(cron)
    last = time.monotonic() + 120
    while len(requests(governor)) < 2:
        assert time.monotonic() < last
        time.sleep(0.2)
    second, first = (outputs(each) for each in requests(governor)[:2])
    assert (first["verdict"], second["verdict"]) == ("yes", "no")
    told = governor.ended(first["event"])
    assert (told.sender, told.run) == ("request_training", first["training"])
    (run,) = [each for each in governor.watch.runs() if each["metadata"]["name"] == told.run]
    assert run["metadata"]["labels"]["tiphys/started-by"] == "schedule"
    assert governor.told(second["event"]).reason == second["why"]
