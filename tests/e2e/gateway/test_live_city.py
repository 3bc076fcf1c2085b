"""The kettle's world before a real gateway: every answer is logged, every outcome lands once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway.world import KEYS, TINY, World, wait_until
from tests.usecases.tiny.simulator import arrivals
from tiphys.errors import PermanentError, RetryableError
from tiphys.serving.gateway_client import GatewayClient
from tiphys.serving.livecity.city import Answered, LiveCity
from tiphys.serving.livecity.clock import Clock
from tiphys.settings import PROJECT
from tiphys.usecase import Arrival, UseCase

pytestmark = pytest.mark.e2e

EIGHT = datetime(2024, 5, 1, 8, tzinfo=UTC).timestamp()
HOUR = 3600.0
SPOKEN = {"asked", "answered", "status_quo", "refused", "reported", "trusted", "lost", "mean_error", "until"}


def hour(rate: float = 300.0, hours: float = 1.0) -> list[Arrival]:
    """Boilings from eight o'clock on."""
    return list(arrivals(EIGHT, EIGHT + hours * HOUR, rate=rate, seed=5))


def city(world: World, *, rate: float = 300.0, speed: float = 0.0, key: str = "rider", **more: Any) -> LiveCity:
    """An hour of the kettle before the gateway, and as long after as outcomes come."""
    return LiveCity(
        UseCase(TINY), hour(rate), Clock(EIGHT, speed),
        asker=GatewayClient(world.url, key=KEYS[key], connections=9),
        auditor=GatewayClient(world.url, key=KEYS["auditor"]),
        linger=2 * HOUR, **more,
    )  # fmt: skip


def serving(world: World) -> str:
    """A gateway with a model in production; its version."""
    version = world.serve("production", 200.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    return version


def command(world: World, folder: Path, **inputs: Any) -> subprocess.Popen[bytes]:
    """The step as a process of its own."""
    (folder / "inputs.json").write_text(
        json.dumps({"use_case": TINY, "start": "2024-05-01T08:00:00", "seed": 5, **inputs})
    )
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "TIPHYS_GATEWAY_URL": world.url,
        "TIPHYS_GATEWAY_KEY": KEYS["rider"],
        "TIPHYS_AUDITOR_KEY": KEYS["auditor"],
    }
    arguments = ["--inputs", str(folder / "inputs.json"), "--outputs", str(folder / "out"), "--artifacts", str(folder)]
    with (folder / "simulate.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "components.simulate", *arguments],
            env=environment,
            cwd=PROJECT,
            stdout=log,
            stderr=log,
        )


def told(folder: Path) -> dict[str, Any]:
    """What the step told."""
    assert {each.name for each in (folder / "out").iterdir()} == SPOKEN
    texts = {each.name: each.read_text() for each in (folder / "out").iterdir()}
    return {name: text if name == "until" else json.loads(text) for name, text in texts.items()}


def test_an_hour_of_the_city_lands_whole(world: World, tmp_path: Path) -> None:
    """Each question's answer is in the log, and each outcome once, in the order in which they became known."""
    version = serving(world)
    process = command(world, tmp_path, hours=1, rate=300)
    assert process.wait(120) == 0, (tmp_path / "simulate.log").read_text()
    world.end()
    expected = hour()
    said, answers, outcomes = told(tmp_path), world.logged("predictions"), world.logged("feedback")
    booked = [each for each in expected if each.actual is not None]
    assert (said["asked"], said["answered"], said["refused"], said["lost"]) == (len(expected), len(expected), 0, 0)
    assert (said["reported"], said["trusted"]) == (len(booked), sum(each.trusted for each in booked))
    assert said["until"] == "2024-05-01T09:00:00"
    ours = {each["prediction_id"]: each for each in answers if each["asker"] == "rider"}
    assert len(outcomes) == len(booked)
    assert len({each["prediction_id"] for each in outcomes}) == len(booked)
    assert {each["prediction_id"] for each in outcomes} <= set(ours)
    assert [each["at"] for each in outcomes] == sorted(each["at"] for each in outcomes)
    assert Counter(each["asker"] for each in outcomes) == {
        "rider": len(booked) - said["trusted"],
        "auditor": said["trusted"],
    }
    assert all(EIGHT <= each["facts"]["switched_on"] < EIGHT + HOUR for each in outcomes)
    off = [abs(ours[each["prediction_id"]]["value"] - each["actual"]) for each in outcomes]
    assert said["mean_error"] == pytest.approx(sum(off) / len(off), abs=0.01)
    assert {each["model_version"] for each in ours.values()} == {version}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_gateway_that_goes_and_comes_back_hears_nothing_twice(world: World, how: signal.Signals) -> None:
    """Questions wait for it; what it was told before it went is not told again."""
    serving(world)
    seen: list[Answered] = []
    live = city(world, rate=2000.0, observe=seen.append)
    live.start()
    wait_until(lambda: live.counts().reported > 200)
    world.end(how)
    wait_until(lambda: live.counts().open > 0)
    assert not live.wait(0.5), "nobody answers, and it goes on all the same"
    world.start()
    assert live.wait(120)
    counts = live.counts()
    world.end()
    told_of = [each["prediction_id"] for each in world.logged("feedback")]
    assert len(set(told_of)) == len(told_of)
    assert counts.asked == counts.answered + sum(counts.refused.values())
    assert counts.answered == len(seen)
    assert set(told_of) <= {each.prediction for each in seen if each.arrival.actual is not None}
    booked = sum(each.arrival.actual is not None for each in seen)
    assert counts.reported + sum(counts.lost.values()) == booked
    if how == signal.SIGTERM:  # killed, it forgets what it had not written down: half a second at most
        assert counts.reported <= len(told_of) <= counts.reported + sum(counts.lost.values())
    else:
        assert len(told_of) <= counts.reported + sum(counts.lost.values())


def test_outcomes_wait_for_their_time_on_a_fast_clock(world: World) -> None:
    """At 600 times our pace an hour takes six seconds: whoever is told to end reports what has ended by then, and no more."""
    serving(world)
    seen: list[Answered] = []
    live = city(world, speed=600.0, observe=seen.append)
    live.start()
    wait_until(lambda: live.counts().reported >= 20)
    live.stop()
    assert live.wait(20)
    counts, now = live.counts(), live.counts().moment
    world.end()
    known = [each for each in hour() if each.actual is not None and each.known_at <= now]
    assert counts.asked == len(seen) < len(hour())
    outcomes = world.logged("feedback")
    assert len(known) <= len(outcomes) == counts.reported
    asked_last = datetime.fromisoformat(outcomes[-1]["at"]).timestamp()
    assert asked_last < now + 600.0, "an outcome was reported long before it was known"


def test_told_to_end_the_step_publishes_its_counts(world: World, tmp_path: Path) -> None:
    """SIGTERM is 143 with all outputs: the next one goes on where this one was."""
    serving(world)
    process = command(world, tmp_path, hours=12, rate=300, speed=60)
    wait_until(lambda: b" asked" in (tmp_path / "simulate.log").read_bytes())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143, (tmp_path / "simulate.log").read_text()
    said = told(tmp_path)
    world.end()
    ours = [each for each in world.logged("predictions") if each["asker"] == "rider"]
    assert 0 < said["asked"] == said["answered"] <= len(ours)
    until = datetime.fromisoformat(said["until"]).replace(tzinfo=UTC).timestamp()
    assert said["asked"] == sum(1 for _ in arrivals(EIGHT, until, rate=300, seed=5))
    assert said["reported"] == len(world.logged("feedback"))


def test_its_riders_meet_the_canary_each_by_himself(world: World) -> None:
    """A share of them, as the release says: they are not one asker to the gateway."""
    serving(world)
    version = world.serve("canary", 210.0, share=0.3, until=time.time() + 60)
    wait_until(lambda: world.answers_from("canary", version, path="/canary/v1/kettle", key="tester"))
    seen: list[Answered] = []
    live = city(world, observe=seen.append)
    live.start()
    assert live.wait(60)
    arms = Counter(each.arm for each in seen)
    assert set(arms) == {"production", "canary"}
    assert 0.2 < arms["canary"] / len(seen) < 0.4


def test_a_key_that_may_ask_slowly_is_waited_for(world: World) -> None:
    """429 says when to come again, and the city does; nothing is lost."""
    world.keys = {
        name: {**each, "rate": 40.0, "burst": 40} if each["name"] == "rider" else each
        for name, each in world.keys.items()
    }
    serving(world)
    live = city(world, rate=60.0)
    live.start()
    assert live.wait(60)
    counts = live.counts()
    assert (counts.asked, sum(counts.refused.values()), sum(counts.lost.values())) == (len(hour(60.0)), 0, 0)
    traffic = world.admin("/metrics").data.decode()
    assert 'status="429"' in traffic or "429" in traffic


def test_a_key_that_is_not_known_ends_it(world: World) -> None:
    """Nothing can come of it: an error, at once."""
    serving(world)
    live = LiveCity(UseCase(TINY), hour(), Clock(EIGHT, 0.0), asker=GatewayClient(world.url, key="nobody's"))
    live.start()
    with pytest.raises(PermanentError, match="refuses our key"):
        live.wait(30)


def test_a_gateway_without_anything_to_answer_with_ends_it(world: World) -> None:
    """One question's patience, not that of each: no model, no status quo."""
    world.start()
    live = city(world, patience=1.0)
    live.start()
    with pytest.raises(RetryableError, match=r"nothing was answered at /v1/kettle .* in production"):
        live.wait(30)
    assert live.counts().asked < 100


def test_a_flood_of_outcomes_from_one_key_is_cut_off(world: World) -> None:
    """What one key may tell is bounded by its rate, whatever it tells; another key is not held up."""
    world.start()
    outcome = {"prediction_id": "0" * 32, "actual": 1.0}
    path = "/v1/kettle/feedback"
    statuses: list[int] = []

    def flood() -> None:
        statuses.extend(world.ask(outcome, path, "slow").status for _ in range(25))

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for each in threads:
        each.start()
    assert world.ask(outcome, path).status == 202
    for each in threads:
        each.join(30)
    world.end()
    taken = [each for each in world.logged("feedback") if each["asker"] == "slow"]
    assert Counter(statuses)[429] >= 90
    assert len(taken) == Counter(statuses)[202] <= 10
