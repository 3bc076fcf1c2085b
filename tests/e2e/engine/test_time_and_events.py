"""Schedules and events with real engines: SIGKILL at any write, and `tiphys serve` with its API."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, load_text
from tiphys.engine.events import accept, history
from tiphys.engine.schedules.cron_workflow import LABEL, moment_from, moment_of
from tiphys.settings import StackSettings

pytestmark = pytest.mark.e2e
log = logging.getLogger(__name__)
PROJECT = Path(__file__).resolve().parents[3]
BINDING_LABEL = "workflows.argoproj.io/workflow-event-binding"
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: greet}
spec:
  entrypoint: main
  arguments: {parameters: [{name: message}]}
  templates: [{name: main, container: {image: "debian:12", command: [test, "{{workflow.parameters.message}}", "!=", ""]}}]
"""
BINDINGS = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: first}
spec:
  event: {selector: 'discriminator == "hello" && payload.message != ""'}
  submit:
    workflowTemplateRef: {name: greet}
    arguments: {parameters: [{name: message, valueFrom: {event: payload.message}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: second}
spec:
  event: {selector: 'payload.message matches "^m"'}
  submit:
    workflowTemplateRef: {name: greet}
    metadata: {generateName: '"second-"'}
    arguments: {parameters: [{name: message, valueFrom: {event: payload.message}}]}
"""
CRON = """
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: often}
spec:
  schedules: ["@every 1s"]
  concurrencyPolicy: Forbid
  successfulJobsHistoryLimit: 100
  stopStrategy: {expression: cronworkflow.succeeded >= 3}
  workflowSpec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}
"""
# A service that ends when all is done, and dies before or after its Nth write if a number is given.
SERVICE = """
import asyncio, os, signal, sys
from pathlib import Path
from tiphys.engine import Engine
from tiphys.engine.events import Deliveries
from tiphys.engine.events.store import EventStore
from tiphys.engine.journal import Journal
from tiphys.engine.objects import ObjectStore
from tiphys.engine.schedules.service import Schedules
from tiphys.engine.service import Service
number, before = int(sys.argv[2]), sys.argv[3] == "before"

def die_at(owner, name):
    whole = getattr(owner, name)
    def wrapped(*arguments, **named):
        global number
        number -= 1
        if before and number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*arguments, **named)
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapped)

for owner, name in ((EventStore, "intend"), (EventStore, "finish"), (Journal, "create"), (Journal, "save"), (ObjectStore, "update")):
    die_at(owner, name)

async def main():
    engine, stop = Engine(Path(sys.argv[1])), asyncio.Event()
    def end(now):
        with EventStore(engine.state) as store:
            waiting = store.waiting(1)
        cron = engine.objects.get("CronWorkflow", "often")
        status = cron.get("status") or {}
        quiet = status.get("phase") == "Stopped" and not status["active"]
        if quiet and not waiting and not engine.journal.unfinished_names():
            stop.set()
    await Service(engine, [Schedules(engine).tick, Deliveries(engine).tick, end]).run(stop)

asyncio.run(main())
"""


def live(state: Path, number: int = 0, where: str = "") -> int:
    """One life of an engine; its exit code."""
    command = [sys.executable, "-c", SERVICE, str(state), str(number), where]
    process = subprocess.run(
        command,
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert process.returncode in (0, -signal.SIGKILL), process.stderr
    return process.returncode


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_write_every_event_and_moment_has_its_run_once(seed: int, tmp_path: Path) -> None:
    """Three events for two bindings and a schedule, three deaths at writes that the seed chooses."""
    state, rng = tmp_path / "engine", random.Random(seed)
    engine = Engine(state)
    engine.apply(load_text(TEMPLATE + "---" + BINDINGS + "---" + CRON))
    for message in ("m1", "other", "m2"):
        accept(engine, "default", "hello", {"message": message}, event_id=message)
    deaths = [(rng.randint(1, 25), rng.choice(["before", "after"])) for _ in range(3)]
    log.info("seed %d: deaths %s", seed, deaths)
    for number, where in deaths:
        live(state, number, where)
        for message in ("m1", "other", "m2"):
            accept(engine, "default", "hello", {"message": "sent again"}, event_id=message)
    assert live(state) == 0
    started = Counter(run.labels[BINDING_LABEL] for run in engine.runs() if BINDING_LABEL in run.labels)
    assert started == {"first": 3, "second": 2}
    assert all("run" in step for event in history(state) for step in event.outcome)
    assert {run.phase for run in engine.runs()} == {"Succeeded"}
    cron: dict[str, Any] = engine.objects.get("CronWorkflow", "often") or {}
    moments = sorted(moment_of(cron, run.name) or 0 for run in engine.runs() if run.labels.get(LABEL) == "often")
    assert cron["status"]["succeeded"] == len(moments)
    assert len(moments) >= 3
    assert moment_from(cron["status"]["lastScheduledTime"]) == moments[-1]


class Served:
    """A `tiphys serve` of a test's own."""

    def __init__(self, settings: StackSettings) -> None:
        """Not yet started."""
        from tiphys.stack.ports import Ports  # noqa: PLC0415

        self.url = Ports(settings.port_base).url("engine")
        self.settings = settings
        self.environment = {
            **os.environ, "PYTHONPATH": str(PROJECT), "TIPHYS_HOME": str(settings.home),
            "TIPHYS_PORT_BASE": str(settings.port_base),
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may not answer yet."""
        log = (self.settings.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tiphys", "serve"], stdout=log, stderr=log, env=self.environment
        )

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def cli(self, *arguments: str) -> str:
        """What a command prints."""
        command = [sys.executable, "-m", "tiphys", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=self.environment)
        return done.stdout

    def token(self) -> str:
        """The token of its API."""
        lines = dict(line.removeprefix("export ").split("=", 1) for line in self.cli("env", "argo").splitlines())
        return lines["ARGO_TOKEN"].strip("'").removeprefix("Bearer ")

    def post(self, discriminator: str, payload: Any, **headers: str) -> int:
        """Send an event; the status of the answer, 0 where nobody answers."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/api/v1/events/default/{discriminator}",
            json.dumps(payload).encode(),
            {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


@pytest.fixture
def served(new_stack: Callable[[Path], StackSettings], tmp_path: Path) -> Iterator[Served]:
    """It runs, and answers."""
    (tmp_path / "home").mkdir()
    found = Served(new_stack(tmp_path / "home"))
    found.start()
    yield found
    found.kill()


def test_a_served_engine_keeps_schedules_and_takes_events_over_http(
    served: Served, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """A binding and a schedule of a file start runs; an id that comes again, also after kill -9, starts nothing."""
    engine = Engine(served.settings.home / "engine")
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(TEMPLATE + "---" + BINDINGS + "---" + CRON)
    eventually(engine.served)
    said = served.cli("run", str(manifest))
    assert "CronWorkflow often installed" in said
    eventually(lambda: served.post("hello", {"message": "m"}, **{"webhook-id": "id-1"}) == 200)
    assert served.post("hello", {"message": "m"}, **{"webhook-id": "id-1"}) == 200
    eventually(lambda: len(_of(engine, BINDING_LABEL)) == 2)
    eventually(lambda: _phase(engine) == "Stopped")
    served.kill()
    served.start()
    eventually(lambda: served.post("hello", {"message": "m"}, **{"webhook-id": "id-1"}) == 200)
    assert served.post("hello", {"message": "other"}) == 200
    eventually(lambda: all(event.done for event in history(engine.state)))
    assert Counter(_of(engine, BINDING_LABEL)) == {"first": 2, "second": 1}
    eventually(lambda: {run.phase for run in engine.runs()} == {"Succeeded"})
    assert "often" in served.cli("cron", "list")
    assert "first" in served.cli("events", "get", history(engine.state)[0].id)


def _phase(engine: Engine) -> str:
    return str(((engine.objects.get("CronWorkflow", "often") or {}).get("status") or {}).get("phase"))


def _of(engine: Engine, label: str) -> list[str]:
    return [run.labels[label] for run in engine.runs() if label in run.labels]
