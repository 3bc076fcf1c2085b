"""The core as a state machine: whatever its steps do, in whatever order, it keeps its promises."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.engine.actions import KillPod, PodEnded, PodStarted, Result, Shutdown, StartPod
from tiphys.engine.core import Outcome, step
from tiphys.engine.load import load_text
from tiphys.engine.merge import effective_spec
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

pytestmark = pytest.mark.unit
Json = dict[str, Any]
LEAVES: list[Json] = [
    {"name": "plain"},
    {"name": "retried", "retryStrategy": {"limit": 2}},
    {"name": "always", "retryStrategy": {"limit": 1, "retryPolicy": "Always", "backoff": {"duration": "3"}}},
    {"name": "late", "activeDeadlineSeconds": 4},
    {"name": "locked", "synchronization": {"mutexes": [{"name": "m"}]}},
]
LEAF_NAMES = [leaf["name"] for leaf in LEAVES]
PHASES = ("Succeeded", "Succeeded", "Failed", "Error")
CONDITIONS = ("", "", ".Failed", ".Succeeded", ".Omitted", ".Errored")


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """A workflow of one dag, with steps below it, of leaves of every kind."""
    called = [*LEAF_NAMES, "inner"]
    tasks = []
    for index in range(draw(st.integers(1, 6))):
        task: Json = {"name": f"t{index}", "template": draw(st.sampled_from(called))}
        needs = draw(st.lists(st.integers(0, index - 1), max_size=2, unique=True)) if index else []
        if needs:
            joined = draw(st.sampled_from([" && ", " || "]))
            task["depends"] = joined.join(f"t{need}{draw(st.sampled_from(CONDITIONS))}" for need in needs)
        if draw(st.integers(0, 4)) == 0:
            task["withItems"] = ["x", "y"]
        if draw(st.integers(0, 4)) == 0:
            task["when"] = draw(st.sampled_from(["1 == 1", "1 == 2"]))
        tasks.append(task)
    inner = [
        [{"name": f"s{row}{column}", "template": draw(st.sampled_from(LEAF_NAMES))} for column in range(draw(st.integers(1, 2)))]
        for row in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    main: Json = {"name": "main", "dag": {"tasks": tasks, "failFast": draw(st.booleans())}}
    if draw(st.booleans()):
        main["parallelism"] = draw(st.integers(1, 3))
    body = {"container": {"image": "debian:12", "command": ["true"]}}
    spec: Json = {"entrypoint": "main", "templates": [main, {"name": "inner", "steps": inner}, *({**leaf, **body} for leaf in LEAVES)]}  # fmt: skip
    if draw(st.booleans()):
        spec["onExit"] = "plain"
    if draw(st.integers(0, 4)) == 0:
        spec["activeDeadlineSeconds"] = draw(st.integers(1, 30))
    return spec


def begun(spec: Json) -> RunState:
    """A run of that spec, as submit makes it."""
    document = load_text(json.dumps({"kind": "Workflow", "spec": spec}))[0]
    return RunState("wf", "uid", 1.0, effective_spec(document, lambda _kind, _name: None))


def reloaded(run: RunState) -> RunState:
    """The run as a new engine reads it from the journal."""
    nodes = [Node.from_json(json.loads(json.dumps(node.to_json()))) for node in run.nodes.values()]
    return RunState.of(json.loads(json.dumps(run.header())), json.loads(json.dumps(run.progress())), nodes, {})


def seen(run: RunState, outcome: Outcome) -> str:
    """All that a pass gave, as a text to compare."""
    nodes = [node.to_json() for node in run.nodes.values()]
    return json.dumps([repr(outcome), run.header(), run.progress(), nodes], sort_keys=True, default=str)


class World:
    """What the shell would know: which pods run, and what is to be told next."""

    def __init__(self, spec: Json, seed: int) -> None:
        """`seed` makes every choice."""
        self.most = spec["templates"][0].get("parallelism") or len(LEAF_NAMES) * 100
        self.random = Random(seed)
        self.running: dict[str, bool] = {}
        """Pods that were asked for, and whether they were reported as started."""
        self.calls: dict[str, tuple[str, str, bool]] = {}
        """What each of them is: the task of the outermost DAG, the template, and whether it was tried before."""
        self.stops = self.random.random() < 0.3

    def take(self, outcome: Outcome) -> None:
        """Start and kill what the core asks for."""
        for action in outcome.actions:
            if isinstance(action, StartPod):
                assert action.node_id not in self.running, "started twice"
                self.running[action.node_id] = False
                task = re.split(r"[.\[]", action.node_name)[1]
                again = re.search(r"\([1-9]\d*\)$", action.node_name) is not None
                self.calls[action.node_id] = task, action.template["name"], again
            elif isinstance(action, KillPod):
                assert action.node_id in self.running, "killed what does not run"
        running = [self.calls[node_id] for node_id in self.running]
        locked = [template for _, template, _ in running].count("locked")
        assert locked <= 1, "two hold one mutex"
        # As on Argo, a task that waits for its next attempt holds no place, and that attempt asks for none; nor does one that
        # waits for a mutex, and when it gets that it starts, whoever has taken the places since.
        tasks = {task for task, _, again in running if task != "onExit" and not again}
        assert len(tasks) <= self.most + locked, "more than its parallelism allows"

    def results(self) -> list[Result]:
        """Some pods start or end, in any order; now and then someone stops the run."""
        if self.stops and self.random.random() < 0.1:
            self.stops = False
            return [Shutdown(self.random.choice(["Stop", "Terminate"]))]
        found: list[Result] = []
        for node_id in self.random.sample(sorted(self.running), min(len(self.running), self.random.randint(1, 3))):
            if not self.running[node_id] and self.random.random() < 0.5:
                self.running[node_id] = True
                found.append(PodStarted(node_id, 1))
                continue
            del self.running[node_id]
            phase = self.random.choice(PHASES)
            code = {"Succeeded": "0", "Failed": "1", "Error": "64"}[phase]
            message = "" if phase == "Succeeded" else f"exit code {code}"
            found.append(PodEnded(node_id, phase, message, {"exitCode": code}))
        return found


@given(specs(), st.integers(0, 1 << 32))
def test_whatever_steps_do_the_core_keeps_its_promises(spec: Json, seed: int) -> None:
    """It ends; what is fulfilled stays so; nothing runs when it is done; the same input gives the same actions."""
    run, twin, world = begun(spec), begun(spec), World(spec, seed)
    fulfilled: dict[str, str] = {}
    results: list[Result] = []
    now = 1000.0
    for _ in range(400):
        outcome = step(run, results, now)
        assert seen(twin, step(twin, results, now)) == seen(run, outcome)
        world.take(outcome)
        phases = {node.id: node.phase for node in run.nodes.values() if node.fulfilled}
        assert {key: phases.get(key) for key in fulfilled} == fulfilled
        fulfilled = phases
        if run.done:
            break
        results = world.results()
        assert results or world.running or outcome.wake is not None, "nothing is to come"
        now = max(now + 1, min(outcome.wake or now, now + 10)) if not results else now + 0.5
    assert run.done
    assert not world.running, "a pod outlives its run"
    assert [node.name for node in run.nodes.values() if not node.fulfilled] == []


@given(specs(), st.integers(0, 1 << 32))
def test_the_journal_holds_all_that_counts(spec: Json, seed: int) -> None:
    """A run written down and read back while no pod runs goes on as if it had not been."""
    run, world = begun(spec), World(spec, seed)
    world.stops = False
    results: list[Result] = []
    now = 1000.0
    for _ in range(400):
        outcome = step(run, results, now)
        world.take(outcome)
        if run.done:
            break
        if not world.running:
            kept = reloaded(run)
            now = max(now, outcome.wake or now)
            one, other = step(run, [], now), step(kept, [], now)
            # Not in what order: who sleeps wakes by the clock, a new engine goes through the graph.
            assert sorted(map(repr, one.actions)) == sorted(map(repr, other.actions))
            assert {key: node.to_json() for key, node in run.nodes.items()} == {
                key: node.to_json() for key, node in kept.nodes.items()
            }
            world.take(one)
            if run.done:
                break
        results = world.results()
        now += 1
    assert run.done
