"""What a stop ends, and what it lets run: exit handlers, whatever their steps are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tiphys.engine import locks
from tiphys.engine.nodes import Node
from tiphys.engine.operation import Operation

pytestmark = pytest.mark.unit
MakeMachine = Callable[..., Any]
LEAF = '  - {name: leaf, container: {image: "debian:12", command: ["true"]}}\n'
ITEMS = LEAF + '  - {name: main, steps: [[{name: a, template: leaf, withItems: ["x.onExit", plain]}]]}\n'
HANDLER = (
    LEAF
    + """  - {name: main, steps: [[{name: a, template: leaf, onExit: after}]]}
  - {name: after, steps: [[{name: b, template: leaf}], [{name: c, template: leaf}]]}
"""
)


def test_a_step_that_is_called_like_an_exit_handler_is_stopped(machine: MakeMachine) -> None:
    """Items may hold any text."""
    made = machine(ITEMS)
    for name in list(made.waiting):
        made.begin(name)
    made.stop()
    assert sorted(made.killed) == ["wf[0].a(0:x.onExit)", "wf[0].a(1:plain)"]


def test_all_steps_of_an_exit_handler_run_on(machine: MakeMachine) -> None:
    """Those that run, and those that come after them; Terminate ends them."""
    made = machine(HANDLER)
    made.begin("wf[0].a")
    made.end("wf[0].a")
    made.stop()
    assert made.killed == []
    made.end("wf[0].a.onExit[0].b")
    assert made.started[-1] == "wf[0].a.onExit[1].c"
    assert [name for name, node in named(made).items() if node.on_exit] == [
        "wf[0].a.onExit", "wf[0].a.onExit[0]", "wf[0].a.onExit[0].b", "wf[0].a.onExit[1]", "wf[0].a.onExit[1].c",
    ]  # fmt: skip
    made.stop("Terminate")
    assert made.killed == ["wf[0].a.onExit[1].c"]


def test_who_waits_for_a_lock_is_looked_at_when_it_is_free(
    machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at each of thousands whenever one ends would take hours; the order stays."""
    looks: list[str] = []
    acquire = locks.acquire

    def counted(op: Operation, holder: str, synchronization: Any) -> str:
        looks.append(holder)
        return acquire(op, holder, synchronization)

    monkeypatch.setattr(locks, "acquire", counted)
    made = machine(LOCKED.replace("FIELD: 5s, ", "") + MANY)
    for number in range(50):
        made.begin(f"wf[0].a({number}:{number})")
        made.end(f"wf[0].a({number}:{number})")
    assert made.started == [f"wf[0].a({number}:{number})" for number in range(50)]
    assert made.run.phase == "Succeeded"
    assert len(looks) <= 50 * 3


def test_a_step_that_waits_for_a_lock_gets_its_display_name_meanwhile(machine: MakeMachine) -> None:
    """In the pass after the one that made it, as on Argo."""
    shown = "annotations: {workflows.argoproj.io/display-name: shown}, "
    made = machine(LOCKED.replace("FIELD: 5s, ", shown) + STEPS)
    made.begin("wf[0].a")
    assert made.node("wf[0].b").display_name == "shown"


@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_stop_ends_those_that_wait_for_a_lock(machine: MakeMachine, strategy: str) -> None:
    """At once, and the run with them when the holder has ended."""
    made = machine(LOCKED.replace("FIELD: 5s, ", "") + MANY)
    made.begin("wf[0].a(0:0)")
    made.tell()
    made.stop(strategy)
    made.end("wf[0].a(0:0)", "Failed")
    assert made.run.phase == "Failed"
    assert len(made.started) == 1


def named(made: Any) -> dict[str, Node]:
    """The run's nodes by name."""
    return {node.name: node for node in made.run.nodes.values()}


LOCKED = (
    LEAF
    + """  - {name: one, synchronization: {mutexes: [{name: k}]}, container: {image: "debian:12", command: ["true"]}}
  - {name: two, FIELD: 5s, synchronization: {mutexes: [{name: k}]}, container: {image: "debian:12", command: ["true"]}}
"""
)
STEPS = "  - {name: main, steps: [[{name: a, template: one}, {name: b, template: two, continueOn: {failed: true}}]]}\n"
TASKS = "  - {name: main, dag: {tasks: [{name: a, template: one}, {name: b, template: two}]}}\n"
MANY = "  - {name: main, steps: [[{name: a, template: two, withSequence: {count: 50}}]]}\n"
FIELDS = pytest.mark.parametrize("field", ["timeout", "pendingTimeout"])


@FIELDS
def test_a_step_that_waits_for_a_lock_too_long_fails_its_group_at_once(machine: MakeMachine, field: str) -> None:
    """Whatever continueOn says, and although the step beside it runs (Argo: steps.go, ErrTimeout)."""
    made = machine(LOCKED.replace("FIELD", field) + STEPS)
    made.begin("wf[0].a")
    assert made.wake == 1005.0
    made.now = made.wake
    made.tell()
    found = named(made)
    assert (found["wf[0].b"].phase, found["wf[0].b"].message) == ("Failed", "timeout")
    assert (found["wf[0]"].phase, found["wf[0]"].message) == ("Failed", "timeout")
    assert (made.run.phase, made.run.message) == ("Failed", "timeout")


@FIELDS
def test_a_task_that_waits_for_a_lock_too_long_fails_alone(machine: MakeMachine, field: str) -> None:
    """The others of the DAG run to their end (Argo: dag.go, ErrTimeout)."""
    made = machine(LOCKED.replace("FIELD", field) + TASKS)
    made.begin("wf.a")
    made.now = 1005.0
    made.tell()
    assert (made.node("wf.b").phase, made.node("wf.b").message, made.run.phase) == ("Failed", "timeout", "Running")
    made.end("wf.a")
    assert (made.node("wf.a").phase, made.run.phase) == ("Succeeded", "Failed")


@FIELDS
def test_a_pod_that_waits_for_a_slot_too_long_is_not_started_any_more(machine: MakeMachine, field: str) -> None:
    """It is Pending as a pod for which a cluster has no room; what its end says then changes nothing."""
    text = LEAF.replace("name: leaf", f"name: leaf, {field}: 5s")
    made = machine(text + "  - {name: main, dag: {tasks: [{name: a, template: leaf}, {name: b, template: leaf}]}}\n")
    made.begin("wf.a")
    made.now = 1005.0
    made.tell()
    made.tell()
    assert made.killed == (["wf.b"] if field == "pendingTimeout" else ["wf.a", "wf.b"])
    assert (made.node("wf.b").phase, made.node("wf.b").message) == ("Failed", "timeout")
    made.end("wf.b")
    assert (made.node("wf.b").phase, made.node("wf.b").message) == ("Failed", "timeout")
    made.end("wf.a", "Succeeded" if field == "pendingTimeout" else "Failed")
    assert made.run.phase == "Failed"
