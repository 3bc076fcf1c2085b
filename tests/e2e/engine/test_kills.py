"""SIGKILL of the engine at random moments: a rich run always comes to the same end, and no step is run again in vain."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine
from tiphys.engine.argo_shape import workflow_json

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[3]
RICH = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: rich}
spec:
  entrypoint: main
  onExit: bye
  arguments: {parameters: [{name: greeting, value: "hello; $(HOME) `x` é"}]}
  hooks:
    ended: {expression: workflow.status == "Succeeded", template: say, arguments: {parameters: [{name: v, value: hook}]}}
  templates:
  - name: main
    dag:
      tasks:
      - {name: fan, template: say, withItems: [a, b, "{{workflow.parameters.greeting}}"], arguments: {parameters: [{name: v, value: "{{item}}"}]}}
      - name: flaky
        template: flaky
      - name: remember
        template: remember
      - name: make
        template: make
        hooks: {done: {expression: tasks.make.status == "Succeeded", template: say, arguments: {parameters: [{name: v, value: made}]}}}
      - name: nested
        depends: fan && flaky && make
        template: nested
        arguments:
          parameters: [{name: all, value: "{{tasks.fan.outputs.parameters}}"}]
          artifacts: [{name: tree, from: "{{tasks.make.outputs.artifacts.tree}}"}]
      - {name: never, depends: flaky.Failed, template: say, arguments: {parameters: [{name: v, value: never}]}}
      - {name: fails, template: fails}
      - {name: after, depends: fails.Failed, template: say, arguments: {parameters: [{name: v, value: after}]}}
  - name: nested
    inputs: {parameters: [{name: all}], artifacts: [{name: tree}]}
    steps:
    - - {name: read, template: read, arguments: {artifacts: [{name: tree, from: "{{inputs.artifacts.tree}}"}]}}
      - {name: say, template: say, arguments: {parameters: [{name: v, value: "{{inputs.parameters.all}}"}]}}
    - - {name: last, template: say, arguments: {parameters: [{name: v, value: "{{steps.read.outputs.result}} {{steps.say.outputs.parameters.said}}"}]}}
    outputs: {parameters: [{name: sum, valueFrom: {parameter: "{{steps.last.outputs.parameters.said}}"}}]}
  - name: say
    inputs: {parameters: [{name: v}]}
    container: &step
      image: debian:12
      command: [sh, -c]
      env: [{name: MARK, value: "@MARK@"}, {name: V, value: "{{inputs.parameters.v}}"}]
      args: ['@COUNT@; printf %s "$V" > /tmp/said']
    outputs: {parameters: [{name: said, valueFrom: {path: /tmp/said}}]}
  - name: flaky
    retryStrategy: {limit: 2}
    container: {<<: *step, env: &mark [{name: MARK, value: "@MARK@"}], args: ['@COUNT@; setsid sleep 987654 & exit $((1 - {{retries}}))']}
  - name: remember
    memoize: {key: "of-{{workflow.name}}", cache: {configMap: {name: memo}}}
    container: {<<: *step, env: *mark, args: ['@COUNT@; echo 42 > /tmp/said']}
    outputs: {parameters: [{name: said, valueFrom: {path: /tmp/said}}]}
  - name: make
    container: {<<: *step, env: *mark, args: ['@COUNT@; mkdir -p /tmp/tree/sub; seq 2000 > /tmp/tree/sub/numbers; ln -s sub/numbers /tmp/tree/link']}
    outputs:
      artifacts: [{name: tree, path: /tmp/tree}, {name: plain, path: /tmp/tree/sub/numbers, archive: {none: {}}}]
  - name: read
    inputs: {artifacts: [{name: tree, path: /data/tree}]}
    script: {image: "debian:12", command: [sh], env: *mark, source: '@COUNT@; sha256sum < /data/tree/link | cut -c1-12'}
  - name: fails
    container: {<<: *step, env: *mark, args: ['@COUNT@; exit 3']}
  - name: bye
    container: {<<: *step, env: *mark, args: ["@COUNT@; test '{{workflow.status}}' = Succeeded"]}
"""
# Runs or resumes the workflow; given a point and a number, dies there the Nth time that it is reached.
ENGINE = """
import os, signal, sys
from pathlib import Path
from tiphys.engine import Engine, artifacts, driver, executor, journal, load_file
state, manifest, point, number, private = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]

def die_at(owner, name, before):
    whole = getattr(owner, name)
    def wrapped(*arguments, **named):
        global number
        number -= 1
        if before and number < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*arguments, **named)
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapped)

if point == "before commit":
    die_at(journal.Journal, "save", True)
elif point == "after commit":
    die_at(journal.Journal, "save", False)
elif point == "after start":
    die_at(executor.Executor, "start", False)
elif point == "half an artifact":
    die_at(artifacts, "_copy", False)
engine = Engine(state, private=private == "private")
name = "rich" if any(run.name == "rich" for run in engine.runs()) else engine.submit(load_file(manifest))
print("end:", engine.run(name).phase)
"""
POINTS = ("moment", "moment", "before commit", "after commit", "after start", "half an artifact")


@dataclass
class Place:
    """Where one run and its engine live."""

    state: Path
    counts: Path
    manifest: Path
    mark: str
    private: str = "private"

    def engine(self, point: str = "", number: int = 0) -> subprocess.Popen[str]:
        """Start an engine that runs or resumes the workflow, and dies at a point if one is given."""
        arguments = [str(self.state), str(self.manifest), point, str(number), self.private]
        return subprocess.Popen(
            [sys.executable, "-c", ENGINE, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )  # fmt: skip

    def runs_of_steps(self) -> dict[str, int]:
        """How often each step's program has been started, by node id."""
        return {path.name: len(path.read_text().splitlines()) for path in self.counts.iterdir()}

    def finished(self) -> set[str]:
        """The steps whose end the journal has."""
        if not (self.state / "journal.db").exists():
            return set()
        engine = Engine(self.state)
        return {
            node.id for run in engine.runs() for node in engine.get(run.name).nodes.values()
            if node.type == "Pod" and node.fulfilled
        }  # fmt: skip

    def wait_for_leftovers(self) -> None:
        """Block until nothing holds the lock that every step holds."""
        if (self.state / "steps.lock").exists():
            subprocess.run(["flock", "--timeout", "20", str(self.state / "steps.lock"), "true"], check=True)

    def survivors(self) -> list[str]:
        """Processes of this run's steps that live, by their environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in path.read_bytes():
                    found.append(path.parent.name)
            except OSError:
                continue
        return found


@pytest.fixture(params=["private", "shared"])
def folder(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """A folder that steps see as we do, with private roots and without."""
    path = Path("/var/tmp") / f"tiphys-kills-{os.getpid()}-{request.param}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    yield path, request.param
    shutil.rmtree(path)


def new_place(folder: Path, private: str) -> Place:
    """A fresh state folder and the manifest that counts into a folder of its own."""
    mark = f"mark-{uuid.uuid4().hex}"
    base = folder / mark
    counts = base / "counts"
    counts.mkdir(parents=True)
    text = RICH.replace("@MARK@", mark).replace("@COUNT@", f"echo >> {counts}/$ARGO_NODE_ID")
    if private == "shared":
        text = text.replace("/tmp/", f"{base}/").replace("/data/", f"{base}/")
    (base / "manifest.yaml").write_text(text)
    return Place(base / "state", counts, base / "manifest.yaml", mark, private)


def outcome(place: Place) -> Any:
    """The run's phases, messages, outputs, names and edges; without times, paths and the number of starts."""
    shape = json.loads(json.dumps(workflow_json(Engine(place.state).get("rich"))).replace(place.mark, ""))
    return without_times(shape)


def without_times(tree: Any) -> Any:
    """`tree` without what differs between any two runs."""
    if isinstance(tree, dict):
        gone = (
            "startedAt",
            "finishedAt",
            "creationTimestamp",
            "uid",
            "progress",
            "resourcesDuration",
            "estimatedDuration",
        )
        return {key: without_times(value) for key, value in tree.items() if key not in gone}
    if isinstance(tree, list):
        return [without_times(value) for value in tree]
    return tree


def differences(found: Any, wanted: Any, path: str = "") -> list[str]:
    """Where two trees differ; a set of edges has no order."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return [line for key in keys for line in differences(found.get(key), wanted.get(key), f"{path}.{key}")]
    if path.endswith((".children", ".outboundNodes")):
        found, wanted = sorted(found or []), sorted(wanted or [])
    return [] if found == wanted else [f"{path}: {found!r}, undisturbed {wanted!r}"]


def kill_until_done(place: Place, chance: random.Random, duration: float, kills: list[str]) -> None:
    """Run and resume until the workflow has ended, killing the engine until enough kills are left in `kills`."""
    while True:
        point = kills[-1] if kills else ""
        done_before, runs_before = place.finished(), place.runs_of_steps()
        engine = place.engine(point, chance.randrange(12))
        if point == "moment":
            time.sleep(chance.uniform(0, duration))
            engine.kill()
        output = engine.communicate(timeout=60)[0]
        place.wait_for_leftovers()
        assert place.survivors() == []
        runs = place.runs_of_steps()
        assert {step: runs.get(step, 0) for step in done_before} == {
            step: runs_before.get(step, 0) for step in done_before
        }
        if engine.returncode == 0:
            assert "end: Succeeded" in output
            return
        assert engine.returncode == -signal.SIGKILL, output
        kills.pop()


def check_kills(folder: Path, private: str, seed: int, count: int) -> None:
    """`count` kills, over as many runs as it takes."""
    chance = random.Random(seed)  # it chooses moments
    sys.stdout.write(f"seed of the kills: {seed} (repeat with --seed {seed})\n")
    undisturbed = new_place(folder, private)
    begun = time.monotonic()
    kill_until_done(undisturbed, chance, 0.0, [])
    duration = time.monotonic() - begun
    wanted = outcome(undisturbed)
    kills = [chance.choice(POINTS) for _ in range(count)]
    while kills:
        place = new_place(folder, private)
        kill_until_done(place, chance, duration, kills)
        assert differences(outcome(place), wanted) == []


def test_after_twenty_kills_the_run_ends_as_if_nothing_had_happened(folder: tuple[Path, str], seed: int) -> None:
    """Ten kills with private roots and ten without: same outputs, no finished step run again, no orphan."""
    check_kills(*folder, seed, 10)


@pytest.mark.long
def test_after_two_hundred_kills_the_run_ends_as_if_nothing_had_happened(folder: tuple[Path, str], seed: int) -> None:
    """The same, a hundred kills each way."""
    check_kills(*folder, seed, 100)
