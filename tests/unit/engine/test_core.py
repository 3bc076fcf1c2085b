"""The core: DAGs, steps, retries, deadlines and stops, with no process and a clock in hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.engine.actions import PodEnded, Result, StartPod
from tiphys.engine.core import step
from tiphys.engine.load import load_text
from tiphys.engine.merge import effective_spec
from tiphys.engine.nodes import FULFILLED, Node
from tiphys.engine.run_state import RunState

pytestmark = pytest.mark.unit
LEAF = '  - {name: leaf, container: {image: "debian:12", command: ["true"]}}\n'
DIAMOND = (
    LEAF
    + """  - name: main
    dag:
      tasks:
      - {name: a, template: leaf}
      - {name: b, depends: a, template: leaf}
      - {name: c, depends: a, template: leaf}
      - {name: d, depends: b && c, template: leaf}
"""
)


def test_a_task_starts_when_its_dependencies_have_ended(machine: Any) -> None:
    """A task starts when its dependencies have ended."""
    run = machine(DIAMOND)
    assert run.started == ["wf.a"]
    run.end("wf.a")
    assert run.started == ["wf.a", "wf.b", "wf.c"]
    run.end("wf.b")
    assert "wf.d" not in run.started
    run.end("wf.c")
    run.end("wf.d")
    assert run.run.phase == "Succeeded"


def test_what_depends_on_a_failure_is_omitted_and_the_run_fails(machine: Any) -> None:
    """What depends on a failure is omitted and the run fails."""
    run = machine(DIAMOND)
    run.end("wf.a", "Failed")
    assert run.phases() == {"wf": "Failed", "wf.a": "Failed", "wf.b": "Omitted", "wf.c": "Omitted", "wf.d": "Omitted"}


def test_a_backoff_waits_by_the_clock_alone(machine: Any) -> None:
    """A backoff waits by the clock alone."""
    run = machine("""  - name: main
    retryStrategy: {limit: 2, backoff: {duration: 10s, factor: 2}}
    container: {image: "debian:12", command: ["false"]}
""")
    run.end("wf(0)", "Failed")
    assert (run.node("wf").message, run.wake, run.started) == ("Backoff for 10 seconds", 1010.0, ["wf(0)"])
    run.now = 1010.0
    run.tell()
    assert run.started == ["wf(0)", "wf(1)"]
    run.end("wf(1)", "Failed")
    assert run.wake == 1030.0
    run.now = 1030.0
    run.tell()
    run.end("wf(2)", "Failed")
    assert (run.run.phase, run.run.message) == ("Failed", "No more retries left")


def test_an_error_is_not_retried_unless_the_policy_says_so(machine: Any) -> None:
    """An error is not retried unless the policy says so."""
    body = '  - name: main\n    retryStrategy: {limit: 1%s}\n    container: {image: "debian:12", command: [x]}\n'
    plain, always = machine(body % ""), machine(body % ", retryPolicy: Always")
    plain.end("wf(0)", "Error")
    always.end("wf(0)", "Error")
    assert plain.run.phase == "Error"
    assert always.started == ["wf(0)", "wf(1)"]


def test_a_deadline_kills_and_says_so(machine: Any) -> None:
    """A deadline kills and says so."""
    run = machine('  - {name: main, activeDeadlineSeconds: 5, container: {image: "debian:12", command: [sleep]}}\n')
    assert run.wake == 1005.0
    run.now = 1005.0
    run.tell()
    assert run.killed == ["wf"]
    run.end("wf", "Failed", 143)
    assert run.run.message == "Pod was active on the node longer than the specified deadline"


def test_stop_kills_what_runs_and_nothing_new_starts(machine: Any) -> None:
    """Stop kills what runs and nothing new starts."""
    run = machine(DIAMOND)
    run.stop()
    assert run.killed == ["wf.a"]
    run.end("wf.a", "Failed", 143)
    assert run.started == ["wf.a"]
    assert (run.run.phase, run.run.message) == ("Failed", "Stopped with strategy 'Stop'")


def test_template_parallelism_holds(machine: Any) -> None:
    """Template parallelism holds."""
    run = machine(
        LEAF
        + """  - name: main
    parallelism: 2
    steps: [[{name: f, template: leaf, withSequence: {count: "5"}}]]
"""
    )
    most = 0
    while run.waiting:
        most = max(most, len(run.waiting))
        run.end(next(iter(run.waiting)))
    assert (most, len(run.started), run.run.phase) == (2, 5, "Succeeded")


def test_a_mutex_is_held_by_one_and_handed_on(machine: Any) -> None:
    """A mutex is held by one and handed on."""
    run = machine("""  - name: leaf
    synchronization: {mutexes: [{name: m}]}
    container: {image: "debian:12", command: ["true"]}
  - name: main
    dag: {tasks: [{name: a, template: leaf}, {name: b, template: leaf}]}
""")
    assert run.started == ["wf.a"]
    assert run.node("wf.b").message == "Waiting for default/Mutex/m lock. Lock status: 0/1"
    run.end("wf.a")
    assert run.started == ["wf.a", "wf.b"]


def test_suspend_ends_by_the_clock(machine: Any) -> None:
    """Suspend ends by the clock."""
    run = machine('  - {name: main, suspend: {duration: "20"}}\n')
    assert (run.wake, run.run.phase) == (1020.0, "Running")
    run.now = 1020.0
    run.tell()
    assert run.run.phase == "Succeeded"


def test_the_same_events_give_the_same_run(machine: Any) -> None:
    """The same events give the same run."""
    runs = []
    for _ in range(2):
        run = machine(DIAMOND)
        for name in ("wf.a", "wf.c", "wf.b", "wf.d"):
            run.end(name)
        runs.append(json.dumps([node.to_json() for node in run.run.nodes.values()]))
    assert runs[0] == runs[1]


@st.composite
def dags(draw: st.DrawFn) -> list[list[int]]:
    """For each task the earlier ones that it depends on."""
    size = draw(st.integers(1, 8))
    return [
        draw(st.lists(st.integers(0, max(0, index - 1)), max_size=2, unique=True)) if index else []
        for index in range(size)
    ]


def reloaded(run: RunState) -> RunState:
    """The run as a new engine reads it from the journal."""
    nodes = [Node.from_json(json.loads(json.dumps(node.to_json()))) for node in run.nodes.values()]
    return RunState.of(json.loads(json.dumps(run.header())), json.loads(json.dumps(run.progress())), nodes, run.memo)


@given(dags(), st.data())
def test_however_it_is_interrupted_every_task_ends_once_and_finished_ones_do_not_start_again(
    graph: list[list[int]], data: st.DataObject
) -> None:
    """However it is interrupted every task ends once and finished ones do not start again."""
    tasks = ", ".join(
        f"{{name: t{index}, template: leaf{', dependencies: [' + ', '.join(f't{d}' for d in needs) + ']' if needs else ''}}}"
        for index, needs in enumerate(graph)
    )
    text = f"kind: Workflow\nspec:\n  entrypoint: main\n  templates:\n{LEAF}  - {{name: main, dag: {{tasks: [{tasks}]}}}}\n"
    run = RunState("wf", "uid", 1.0, effective_spec(load_text(text)[0], lambda _kind, _name: None))
    failed: set[str] = set()
    ended: set[str] = set()
    waiting: dict[str, str] = {}
    results: list[Result] = []
    for now in range(2, 200):
        outcome = step(run, results, float(now))
        results = []
        for action in outcome.actions:
            assert isinstance(action, StartPod)
            assert action.node_name not in ended
            waiting[action.node_name] = action.node_id
        if run.done:
            break
        if data.draw(st.booleans()):
            run, waiting = reloaded(run), {}
            continue
        name = data.draw(st.sampled_from(sorted(waiting)))
        phase = data.draw(st.sampled_from(["Succeeded", "Succeeded", "Failed"]))
        results = [PodEnded(waiting.pop(name), phase, "", None)]
        ended.add(name)
        failed |= {name} if phase == "Failed" else set()
    assert run.done
    assert all(node.phase in FULFILLED for node in run.nodes.values())
    assert (run.phase == "Failed") == bool(failed)


def test_a_task_that_waits_for_a_slot_may_stand_behind_one_that_has_ended(machine: Any) -> None:
    """The edge to it is there before its node is."""
    leaf = '  - {name: leaf, container: {image: "debian:12", command: ["true"]}}'
    run = machine(
        f"""  - name: main
    parallelism: 1
    dag:
      tasks:
      - {{name: a, template: leaf, withItems: [x, y]}}
      - {{name: b, template: leaf, depends: a, withItems: [x, y]}}
      - {{name: c, template: leaf, depends: a}}
      - {{name: d, template: leaf, depends: a}}
{leaf}
"""
    )
    while run.waiting:
        run.end(next(iter(run.waiting)))
    assert run.run.phase == "Succeeded", run.run.message
