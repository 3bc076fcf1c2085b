"""Killed at any moment and started again, nothing is lost and nothing is doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import psutil
import pytest

from tests.e2e.lake.conftest import Steps
from tests.e2e.live.conftest import Log
from tiphys import recent_values
from tiphys import stack as servers
from tiphys.lake import live
from tiphys.lake.catalog import Lake
from usecases.taxi_eta.recent import RECENT

pytestmark = pytest.mark.e2e

OBJECTS = 30
LINES = 20


@dataclass
class World:
    """A log that grows, and what must come of it."""

    log: Log
    chance: random.Random
    objects: int = 0
    rides: int = 0

    def grow(self) -> None:
        """Land more answers, their outcomes (some twice, some false), and some old objects once more."""
        for _ in range(OBJECTS):
            numbers = range(self.rides, self.rides + LINES)
            self.rides += LINES
            self.objects += 1
            self.log.land("predictions", str(self.objects), [self.log.answer(n) for n in numbers])
            self.log.land("feedback", str(self.objects), [line for n in numbers for line in self._reports(n)])
        for number in self.chance.sample(range(1, self.objects + 1), 5):
            self._land_again(number)

    def _land_again(self, number: int) -> None:
        numbers = range((number - 1) * LINES, number * LINES)
        self.log.land("predictions", str(number), [self.log.answer(n) for n in numbers])

    def _reports(self, number: int) -> Iterator[dict[str, Any] | bytes]:
        yield self.log.outcome(number)
        if number % 5 == 0:
            yield self.log.outcome(number)
        if number % 10 == 1:
            yield self.log.outcome(number, 5.0)
        if number % LINES == 2:
            yield b"broken"

    def expected(self) -> Counter[str]:
        """Reports by class."""
        return Counter(
            labelled=self.rides,
            duplicate=self.rides // 5,
            impossible=self.rides // 10,
            **{"no JSON": self.rides // LINES},
        )

    def found(self, lake: Lake) -> Counter[str]:
        """Reports by class as the lake has them, and every row that is there twice under ``doubled``."""
        mine = self.log.identity(0)[:16]
        answers = _column(lake, "predictions", "prediction_id")
        labelled = [each for each in _column(lake, "labelled", "prediction_id") if each.startswith(mine)]
        refused = live.read("taxi_eta", "outcomes_quarantine", columns=["origin", "line", "reason"], lake=lake)
        rows = [
            (each["origin"], each["line"], each["reason"])
            for each in refused.to_pylist()
            if self.log.name in each["origin"]
        ]
        assert Counter(each for each in answers if each.startswith(mine)) == {
            self.log.identity(n): 1 for n in range(self.rides)
        }
        assert len(set(rows)) == len(rows)
        assert len(set(labelled)) == len(labelled)
        return Counter(reason for _, _, reason in rows) + Counter(labelled=len(labelled))


def _column(lake: Lake, table: live.Name, name: str) -> list[str]:
    found: list[str] = live.read("taxi_eta", table, columns=[name], lake=lake)[name].to_pylist()
    return found


def outcomes(lake: Lake, log: Log) -> Counter[tuple[str, int]]:
    """How often each readable report is there."""
    rows = live.read("taxi_eta", "outcomes", columns=["origin", "line"], lake=lake).to_pylist()
    return Counter((row["origin"], row["line"]) for row in rows if log.name in row["origin"])


def stages(lake: Lake, before: dict[str, int]) -> dict[str, Callable[[], bool]]:
    """Moments of a run to be killed at, as they can be seen from outside."""

    def grown(table: live.Name) -> Callable[[], bool]:
        return lambda: live.rows("taxi_eta", table, lake) > before[table]

    checkpoint = "s3://checkpoints/taxi_eta/live/predictions/offsets/"
    known = len(lake.store.list(checkpoint))
    return {
        "outcomes are in": grown("outcomes"),
        "answers are planned": lambda: len(lake.store.list(checkpoint)) > known,
        "answers are in": grown("predictions"),
        "labels are in": grown("labelled"),
        "live values are in": grown("recent"),
    }


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_a_run_that_is_killed_at_any_moment_neither_loses_nor_doubles(
    steps: Steps, new_log: Callable[[str], Log], lake: Lake, seed: int, kills: int
) -> None:
    """Python alone, or Java as well; at a random stage, a random while later; the log goes on growing between."""
    chance = random.Random(seed)
    world = World(new_log(f"kill{kills}"), chance)
    for number in range(kills):
        world.grow()
        before = {each: live.rows("taxi_eta", each, lake) for each in live.TABLES}
        stage, when = chance.choice(list(stages(lake, before).items()))
        begun = time.monotonic()
        step = subprocess.Popen(
            steps.command("collect_outcomes", {"unknown_after_s": 1e9}),
            env=steps.surroundings("collect_outcomes"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while step.poll() is None and not when():
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 2))
        _kill(step, with_java=chance.random() < 0.5)
        print(f"kill {number}: when {stage}, exit code {step.returncode}, {time.monotonic() - begun:.0f} s")  # noqa: T201 - to repeat a failure
        assert step.returncode in {0, -signal.SIGKILL}, "it ended by itself, and not well"
    done = steps.run("collect_outcomes", unknown_after_s="1e9")
    assert done.code == 0, done.log
    assert world.found(lake) == world.expected()
    reports = outcomes(lake, world.log)
    assert set(reports.values()) == {1}
    assert len(reports) == world.expected().total() - world.expected()["no JSON"]
    said = live.read("taxi_eta", "recent", columns=["definition", "number", "valid_from"], lake=lake).to_pylist()
    assert set(Counter(tuple(row.values()) for row in said).values()) == {1}
    assert set(recent_values.parse(lake.store.get(recent_values.where("taxi_eta"))).steps) <= {
        row["valid_from"].replace(tzinfo=UTC).timestamp() // RECENT.step_s for row in said
    }


def _kill(step: subprocess.Popen[bytes], *, with_java: bool) -> None:
    children = psutil.Process(step.pid).children(recursive=True) if step.poll() is None else []
    step.kill()  # does nothing where it has ended
    for each in children:
        if with_java and "java" in each.name():
            os.kill(each.pid, signal.SIGKILL)
    step.wait()


@pytest.mark.long
def test_a_run_outlives_an_s3_that_goes_away_or_can_be_tried_again(
    steps: Steps, stack: Any, new_log: Callable[[str], Log], lake: Lake, seed: int
) -> None:
    """S3 is killed while the run works: the run ends well, or says that it can be tried again; then nothing is lost."""
    world = World(new_log("away"), random.Random(seed))
    world.grow()
    before = live.rows("taxi_eta", "outcomes", lake)
    step = subprocess.Popen(
        steps.command("collect_outcomes", {"unknown_after_s": 1e9}), env=steps.surroundings("collect_outcomes"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while step.poll() is None and live.rows("taxi_eta", "outcomes", lake) == before:
        time.sleep(0.05)
    pid = next(row.pid for row in servers.status(stack.settings) if row.name == "s3")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    said = step.communicate(timeout=300)[0]
    assert step.returncode in {0, 75}, said
    done = steps.run("collect_outcomes", unknown_after_s="1e9")
    assert done.code == 0, done.log
    assert world.found(lake) == world.expected()
