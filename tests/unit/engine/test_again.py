"""What a retry resets is what Argo resets, and the core goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tiphys.engine import again
from tiphys.engine.actions import Suspend
from tiphys.engine.errors import EngineError
from tiphys.engine.selector import matches, parse_selector

pytestmark = pytest.mark.unit
MakeMachine = Callable[..., Any]
SAY = '  - {name: say, container: {image: "debian:12", command: ["true"]}}\n'
CHAIN = (
    """
  - name: main
    dag:
      tasks:
      - {name: a, template: say}
      - {name: b, template: say, depends: a}
      - {name: c, template: say, depends: b}
      - {name: side, template: say, depends: a}
"""
    + SAY
)


def play(machine: Any, **endings: str) -> None:
    """End every pod that waits, in the phase given for its task, until none does."""
    while machine.waiting:
        for name in list(machine.waiting):
            machine.begin(name)
            machine.end(name, endings.get(name.rpartition(".")[2].partition("(")[0], "Succeeded"))


def retry(machine: Any, *chosen: str, **parameters: str) -> list[str]:
    """Retry the run; the names of what was started because of it."""
    run = machine.run
    again.apply(run, again.plan(run, chosen), machine.now, parameters)
    before = len(machine.started)
    machine.tell()
    play(machine)
    return machine.started[before:]


def test_what_failed_runs_again_with_what_comes_after_it_and_nothing_else(machine: MakeMachine) -> None:
    """The task after the failed one was Omitted: it is made anew."""
    made = machine(CHAIN)
    play(made, b="Failed")
    assert made.phases()["wf.c"] == "Omitted"
    assert retry(made) == ["wf.b", "wf.c"]
    assert set(made.phases().values()) == {"Succeeded"}
    assert made.run.phase == "Succeeded"


def test_all_attempts_of_a_failed_retry_go(machine: MakeMachine) -> None:
    """The attempts are counted from zero again."""
    made = machine(
        """
  - name: main
    dag: {tasks: [{name: a, template: flaky}]}
  - name: flaky
    retryStrategy: {limit: 1}
    container: {image: "debian:12", command: ["true"]}
"""
    )
    play(made, a="Failed")
    assert made.run.phase == "Failed"
    assert retry(made) == ["wf.a(0)"]
    assert made.node("wf.a").children == [made.node("wf.a(0)").id]


def test_a_forgiven_failure_stays(machine: MakeMachine) -> None:
    """What succeeded after it depends on its failure: only the other one runs again."""
    made = machine(
        """
  - name: main
    dag:
      tasks:
      - {name: forgiven, template: say, continueOn: {failed: true}}
      - {name: after, template: say, dependencies: [forgiven]}
      - {name: bad, template: say}
"""
        + SAY
    )
    play(made, forgiven="Failed", bad="Failed")
    assert retry(made) == ["wf.bad"]
    assert made.phases()["wf.forgiven"] == "Failed"


def test_steps_open_from_the_failed_group_on(machine: MakeMachine) -> None:
    """A nested template's groups open up to the root; later groups come after."""
    made = machine(
        """
  - name: main
    steps: [[{name: one, template: inner}], [{name: two, template: say}]]
  - name: inner
    steps: [[{name: x, template: say}, {name: q, template: say}]]
"""
        + SAY
    )
    play(made, q="Failed")
    assert made.run.phase == "Failed"
    assert retry(made) == ["wf[0].one[0].q", "wf[1].two"]
    assert made.run.phase == "Succeeded"


def test_only_the_failed_item_of_a_loop_runs_again(machine: MakeMachine) -> None:
    """Unless parameters change: then the loop is made anew."""
    loop = (
        """
  - name: main
    dag: {tasks: [{name: a, template: say, withItems: [x, z]}]}
"""
        + SAY
    )
    for parameters, wanted in (({}, ["wf.a(1:z)"]), ({"p": "new"}, ["wf.a(0:x)", "wf.a(1:z)"])):
        made = machine(loop)
        for name, phase in (("wf.a(0:x)", "Succeeded"), ("wf.a(1:z)", "Failed")):
            made.begin(name)
            made.end(name, phase)
        assert retry(made, **parameters) == wanted
        assert made.run.phase == "Succeeded"


def test_a_chosen_step_runs_again_although_it_succeeded(machine: MakeMachine) -> None:
    """With all that came after it."""
    made = machine(CHAIN)
    play(made)
    assert made.run.phase == "Succeeded"
    assert retry(made, made.node("wf.b").id) == ["wf.b", "wf.c"]


def test_the_exit_handler_runs_again(machine: MakeMachine) -> None:
    """It belongs to the end, and the end is to come."""
    made = machine(CHAIN, onExit="say")
    play(made, side="Error")
    assert made.started.count("wf.onExit") == 1
    assert retry(made) == ["wf.side", "wf.onExit"]


def test_a_stopped_run_goes_on_where_it_was_stopped(machine: MakeMachine) -> None:
    """Also where it waited to be resumed."""
    made = machine(
        """
  - name: main
    dag: {tasks: [{name: ask, template: ask}, {name: b, template: say, depends: ask}]}
  - {name: ask, suspend: {}}
"""
        + SAY
    )
    made.stop()
    assert made.run.phase == "Failed"
    assert again.plan(made.run).steps == ["ask"]
    retry(made)
    assert (made.run.phase, made.phases()["wf.ask"]) == ("Running", "Running")


def test_a_memoized_copy_takes_over_what_succeeded(machine: MakeMachine) -> None:
    """As Skipped steps that keep their outputs and say which pod it was; the rest runs under the new name."""
    made = machine(CHAIN)
    play(made, b="Failed")
    old = made.node("wf.a").id
    made.run.nodes = again.renamed(made.run, "wf-new", made.now)
    made.run.name, made.run.phase, made.run.finished = "wf-new", "Running", 0.0
    made.run.cache.clear()
    taken = made.node("wf-new.a")
    assert (taken.type, taken.phase, taken.message) == ("Skipped", "Skipped", f"original pod: {old}")
    made.started.clear()
    made.tell()
    play(made)
    assert made.started == ["wf-new.b", "wf-new.c"]
    assert made.run.phase == "Succeeded"


def test_a_suspended_run_starts_nothing_more_until_it_is_resumed(machine: MakeMachine) -> None:
    """What runs goes on to its end; stopping lifts the suspension."""
    made = machine(CHAIN)
    made.begin("wf.a")
    made.tell(Suspend(), Suspend())
    made.end("wf.a")
    assert made.started == ["wf.a"]
    made.stop()
    assert made.run.phase == "Failed"


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("displayName=b", ["wf.b"]),
        ("phase=Failed", ["wf", "wf.b"]),
        ("phase!=Failed,templateName=say,displayName!=c", ["wf.a", "wf.side"]),
        ("name==wf.a", ["wf.a"]),
    ],
)
def test_a_selector_means_what_it_means_on_argo(machine: MakeMachine, selector: str, found: list[str]) -> None:
    """Clauses are joined by commas, and all of them hold."""
    made = machine(CHAIN)
    play(made, b="Failed")
    clauses = parse_selector(selector)
    assert sorted(node.name for node in made.run.nodes.values() if matches(node, clauses)) == found


@pytest.mark.parametrize("selector", ["b", "colour=red", "displayName"])
def test_a_selector_that_makes_no_sense_is_refused(selector: str) -> None:
    """With the fields that there are."""
    with pytest.raises(EngineError, match="displayName, templateName"):
        parse_selector(selector)
