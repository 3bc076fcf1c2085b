"""`tiphys serve` drives all runs at once: killed it goes on with them, asked it obeys, and the command line hands it runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import _free_base
from tiphys.engine import Engine, load_text
from tiphys.engine.control import delete
from tiphys.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("serve")]
STEPS = """
kind: Workflow
metadata: {{name: {name}}}
spec:
  entrypoint: main
  {spec}
  templates:
  - name: main
    steps: [[{{name: each, template: step, withSequence: {{count: "{steps}"}}, arguments: {{parameters: [{{name: number, value: "{{{{item}}}}"}}]}}}}]]
  - name: step
    inputs: {{parameters: [{{name: number}}]}}
    container: {{image: alpine, command: [sh, -c], args: ["echo $0 >> {done}/{name}; {script}", "{{{{inputs.parameters.number}}}}"]}}
"""


class Serving:
    """A `tiphys serve` that may be killed and started again."""

    def __init__(self, home: Path) -> None:
        """It is not started yet."""
        self.home = home
        self.engine = Engine(home / "engine")
        self.environment = {**os.environ, "TIPHYS_HOME": str(home), "TIPHYS_PORT_BASE": str(_free_base())}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it holds the state folder."""
        with (self.home / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tiphys", "serve"], cwd=PROJECT, env=self.environment, stdout=log, stderr=log
            )
        self.until(self.engine.served)

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.home / "serve.log").read_text()
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Signal it, and wait until it has ended."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def submit(self, name: str, script: str = "true", steps: int = 1, spec: str = "") -> str:
        """Write a run down, whose steps each append their number to the file `done/NAME`."""
        text = STEPS.format(name=name, script=script, steps=steps, spec=spec, done=self.home / "done")
        return self.engine.submit(load_text(text))

    def done(self, name: str) -> list[str]:
        """The steps of a run that have begun, in that order."""
        path = self.home / "done" / name
        return path.read_text().split() if path.exists() else []

    def phases(self) -> dict[str, str]:
        """How each run is."""
        return {run.name: run.phase for run in self.engine.runs()}

    def tiphys(self, *words: str) -> subprocess.Popen[str]:
        """A command line."""
        return subprocess.Popen(
            [sys.executable, "-m", "tiphys", *words], cwd=PROJECT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A home where an engine may serve."""
    (tmp_path / "home" / "done").mkdir(parents=True)
    made = Serving(tmp_path / "home")
    yield made
    made.end()


def test_many_runs_go_on_at_once_and_survive_kills(serving: Serving, seed: int) -> None:
    """Killed at random while twenty runs go on, the next one ends them all; what had ended is not run again."""
    sys.stdout.write(f"seed of the kills: {seed} (repeat with --seed {seed})\n")
    chance = random.Random(seed)
    names = [serving.submit(f"run-{number}", "sleep 0.05", steps=8) for number in range(20)]
    ended: set[tuple[str, str]] = set()
    for _ in range(6):
        serving.start()
        target = sum(len(serving.done(name)) for name in names) + chance.randrange(5, 25)
        serving.until(
            lambda target=target: (
                sum(len(serving.done(name)) for name in names) >= target
                or all(phase == "Succeeded" for phase in serving.phases().values())
            )
        )
        serving.end(signal.SIGKILL)
        for name in names:
            run = serving.engine.get(name)
            before = {step for other, step in ended if other == name}
            now = {node.name for node in run.nodes.values() if node.type == "Pod" and node.phase == "Succeeded"}
            assert before <= now
            ended |= {(name, step) for step in now}
    counts = {name: serving.done(name) for name in names}
    serving.start()
    serving.until(lambda: all(phase == "Succeeded" for phase in serving.phases().values()))
    for name in names:
        assert set(serving.done(name)) == {str(number) for number in range(8)}
        again = serving.done(name)[len(counts[name]) :]
        finished = {step.rpartition("(")[2].partition(":")[0] for other, step in ended if other == name}
        assert not finished & set(again)


def test_whole_runs_wait_for_one_another_also_after_a_kill(serving: Serving) -> None:
    """A mutex of the workflow: who held it when the engine died holds it still."""
    lock = "synchronization: {mutexes: [{name: one}]}"
    serving.start()
    for number in range(3):
        serving.submit(
            f"turn-{number}",
            f"test ! -e {serving.home}/in; touch {serving.home}/in; sleep 0.3; rm {serving.home}/in",
            spec=lock,
        )
    serving.until(lambda: serving.done("turn-0") == ["0"])
    serving.end(signal.SIGKILL)
    (serving.home / "in").unlink(missing_ok=True)
    assert serving.phases() == {"turn-0": "Running", "turn-1": "Pending", "turn-2": "Pending"}
    assert "Waiting for default/Mutex/one lock" in serving.engine.get("turn-1").message
    serving.start()
    serving.until(lambda: set(serving.phases().values()) == {"Succeeded"})
    runs = [serving.engine.get(f"turn-{number}") for number in range(3)]
    assert runs[0].finished <= runs[1].started <= runs[1].finished <= runs[2].started


def test_a_stop_leaves_runs_for_the_next_one(serving: Serving) -> None:
    """SIGTERM ends the steps and the engine, not the runs."""
    serving.start()
    serving.submit("long", "sleep 300")
    serving.until(lambda: serving.done("long") == ["0"])
    serving.end()
    assert serving.phases() == {"long": "Running"}
    assert not serving.engine.drives("long")
    serving.start()
    serving.until(lambda: serving.done("long") == ["0", "0"])
    serving.engine.stop("long")
    serving.until(lambda: serving.phases() == {"long": "Failed"})


def test_a_running_run_that_is_deleted_is_ended_and_gone(serving: Serving) -> None:
    """With its logs, and without its exit handler's waiting for long."""
    serving.start()
    serving.submit("long", "sleep 300")
    serving.until(lambda: serving.done("long") == ["0"])
    delete(serving.engine, "long")
    serving.until(lambda: serving.phases() == {})
    serving.until(lambda: not (serving.engine.state / "runs" / "long").exists())


def test_a_step_that_waits_for_its_turn_ends_at_once_when_it_is_to(serving: Serving) -> None:
    """However long the steps of other runs hold all places."""
    serving.start()
    serving.submit("crowd", "sleep 300", steps=60)
    serving.until(lambda: len(serving.done("crowd")) >= 8)
    serving.submit("behind", "true")
    serving.until(lambda: "behind" in serving.engine.get("behind").nodes)
    serving.engine.stop("behind", terminate=True)
    serving.until(lambda: serving.phases()["behind"] == "Failed")
    assert serving.done("behind") == []
    delete(serving.engine, "crowd")
    serving.until(lambda: "crowd" not in serving.phases())


def test_a_delete_that_was_accepted_outlives_the_engine(serving: Serving) -> None:
    """Killed before it has ended the run, the next one ends and forgets it."""
    serving.submit("doomed", "sleep 300")
    serving.start()
    serving.until(lambda: serving.done("doomed") == ["0"])
    delete(serving.engine, "doomed")
    serving.end(signal.SIGKILL)
    serving.start()
    serving.until(lambda: serving.phases() == {})
    assert serving.done("doomed").count("0") <= 2


def test_a_run_whose_time_is_over_at_once_is_still_shown_to_its_end(serving: Serving, tmp_path: Path) -> None:
    """Whoever waits for it learns how it ended."""
    serving.start()
    manifest = tmp_path / "manifest.yaml"
    ttl = "ttlStrategy: {secondsAfterCompletion: 0}"
    manifest.write_text(STEPS.format(name="brief", script="true", steps=1, spec=ttl, done=serving.home / "done"))
    brief = serving.tiphys("run", str(manifest))
    assert "✔ brief Succeeded" in brief.communicate(timeout=60)[0]
    assert brief.returncode == 0
    serving.until(lambda: serving.phases() == {})


def test_run_hands_its_run_over_and_shows_it(serving: Serving, tmp_path: Path) -> None:
    """Its exit code is the run's; Ctrl-C asks for a stop; the same again joins the run that goes on."""
    serving.start()
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(STEPS.format(name="quick", script="true", steps=2, spec="", done=serving.home / "done"))
    quick = serving.tiphys("run", str(manifest))
    assert "✔ quick Succeeded" in quick.communicate(timeout=60)[0]
    assert quick.returncode == 0
    manifest.write_text(STEPS.format(name="slow", script="sleep 300", steps=1, spec="", done=serving.home / "done"))
    slow = serving.tiphys("run", str(manifest))
    serving.until(lambda: serving.done("slow") == ["0"])
    joined = serving.tiphys("run", str(manifest))
    assert joined.stdout is not None
    assert "going on with slow, which goes on already" in joined.stdout.readline()
    slow.send_signal(signal.SIGINT)
    output = slow.communicate(timeout=60)[0]
    assert "asked it to stop" in output
    assert "Stopped with strategy 'Stop'" in output
    assert slow.returncode == 1
    assert "Stopped with strategy 'Stop'" in joined.communicate(timeout=60)[0]


def test_a_second_engine_is_refused_and_commands_still_work(serving: Serving) -> None:
    """It names the first; retry, suspend and resume go through the engine that serves."""
    serving.start()
    second = serving.tiphys("serve")
    assert "is held by another engine" in second.communicate(timeout=60)[0]
    assert second.returncode == 2
    serving.submit("flaky", f"test -e {serving.home}/repaired")
    serving.until(lambda: serving.phases() == {"flaky": "Failed"})
    (serving.home / "repaired").touch()
    retried = serving.tiphys("retry", "flaky")
    assert "✔ flaky Succeeded" in retried.communicate(timeout=60)[0]
    serving.submit("held", "true", spec="suspend: true")
    serving.until(lambda: serving.engine.get("held").started > 0)
    assert serving.tiphys("resume", "held").wait(60) == 0
    serving.until(lambda: serving.phases()["held"] == "Succeeded")
