"""A candidate among live riders: its share, its shadows, and that nothing it does wrong ever reaches anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.gateway.world import Riders, World, kettle, wait_until

pytestmark = pytest.mark.e2e


def in_production(world: World) -> str:
    """A gateway that answers from production; the version."""
    version = world.serve("production", 30.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    return version


def asked_by(world: World, number: int) -> str:
    """Who answers that rider."""
    return str(world.ask(**{"X-Rider-Id": f"rider-{number}"}).headers["x-tiphys-arm"])


def test_a_share_of_the_riders_meets_the_canary_every_time(world: World) -> None:
    """The same ones, also after the share was renewed; more when it grows, none who was in goes out; none at its end."""
    in_production(world)
    canary = world.serve("canary", 40.0, share=0.3, manifest_sha256="a" * 64)
    wait_until(lambda: "canary" in {asked_by(world, number) for number in range(20)})
    first = {number for number in range(200) if asked_by(world, number) == "canary"}
    assert 30 < len(first) < 90
    assert {number for number in range(200) if asked_by(world, number) == "canary"} == first
    world.say("canary", canary, share=0.6, manifest_sha256="a" * 64)
    wait_until(lambda: len({number for number in range(40) if asked_by(world, number) == "canary"} - first) > 0)
    more = {number for number in range(200) if asked_by(world, number) == "canary"}
    assert first < more
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    world.say("canary", canary, share=1.0, until=soon, manifest_sha256="a" * 64)
    wait_until(lambda: {asked_by(world, number) for number in range(20)} == {"production"})


def test_shadows_are_asked_and_compared_and_reach_nobody(world: World) -> None:
    """Riders get production's answer; the canary's is counted as a pair, a third larger."""
    in_production(world)
    canary = world.serve("canary", 40.0, shadow=1.0)
    wait_until(lambda: bool(world.ask()) and _pairs(world, canary)["count"] >= 20)
    pairs = _pairs(world, canary)
    assert pairs["sum_log_ratio"] / pairs["count"] == pytest.approx(0.2877, abs=1e-3)
    assert asked_by(world, 1) == "production"


def _pairs(world: World, version: str) -> Any:
    found = [each for each in world.arms()["arms"] if (each["arm"], each["version"]) == ("canary", version)]
    return found[0]["pairs"] if found else {"count": 0}


@pytest.mark.parametrize("share", [{"share": 1.0}, {"shadow": 1.0}])
@pytest.mark.parametrize(
    ("odd", "failure"),
    [("nan!", "not_finite"), ("inf!", "not_finite"), ("broken!", "error"), ("twice", "wrong_shape"), ("slow", "late")],
)
def test_a_bad_canary_never_reaches_a_rider(world: World, odd: str, failure: str, share: dict[str, float]) -> None:
    """Every rider gets production's answer in time; after five failures the canary is not asked any more."""
    production = in_production(world)
    canary = world.serve("canary", onnx=kettle(40.0, odd=odd), **share)
    with Riders(world, 4) as riders:
        wait_until(lambda: world.arms()["breakers"]["canary"].get("tiny", {}).get("state") == "open")
        riders.wait_for(20)
    assert {(each.status, each.arm, each.version) for each in riders.asked} == {(200, "production", production)}
    figures = world.figures("canary", canary)
    assert figures["answers"] == 0
    failures = {name: count for name, count in figures["failures"].items() if count}
    assert failures.keys() <= {failure, "error"}
    assert 5 <= sum(failures.values()) <= 20


def test_a_canary_that_crashes_is_production_s_to_answer_for(world: World) -> None:
    """Its Triton is killed under load: no rider notices."""
    production = in_production(world)
    canary = world.serve("canary", 40.0, share=1.0)
    with Riders(world, 4) as riders:
        riders.wait_for(10)
        wait_until(lambda: riders.asked[-1].version == canary)
        world.tritons["canary"].kill()
        wait_until(lambda: riders.asked[-1].version == production)
        riders.wait_for(30)
    assert {each.status for each in riders.asked} == {200}
    assert {each.arm for each in riders.asked} == {"canary", "production"}
    assert all(each.body["seconds"] == (80.0 if each.arm == "canary" else 60.0) for each in riders.asked)


def test_a_withdrawn_canary_gets_no_more_riders(world: World) -> None:
    """Withdrawal is a page without it, or without its share."""
    in_production(world)
    canary = world.serve("canary", 40.0, share=1.0)
    wait_until(lambda: world.answers_from("canary", canary))
    world.say("canary", canary, share=0.0)
    wait_until(lambda: asked_by(world, 1) == "production")
    reply = world.ask(path="/canary/v1/kettle", key="tester")
    assert (reply.status, reply.json()["seconds"]) == (200, 80.0)
    world.agents["canary"].say("tiny")
    wait_until(lambda: world.ask(path="/canary/v1/kettle", key="tester").status == 503)
