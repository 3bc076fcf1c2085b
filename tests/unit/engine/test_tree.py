"""What a person sees of a run: one line a step, more only where there is more to say."""

from __future__ import annotations

import io

import pytest

from tiphys.engine.nodes import FAILED, RUNNING, SUCCEEDED, Node, node_id
from tiphys.engine.run_state import RunState
from tiphys.engine.tree import LiveTree, lines

pytestmark = pytest.mark.unit


def run_with(*attempts: str) -> RunState:
    """Make a run of one retried step whose attempts have these phases."""
    run = RunState("r", "uid", 0.0, {}, phase=RUNNING, started=1.0)
    retry = Node(node_id("r", "r.s"), "r.s", "s", "Retry", attempts[-1], boundary="r", started=1.0)
    found = [Node("r", "r", "r", "DAG", RUNNING, started=1.0), retry]
    for number, phase in enumerate(attempts):
        name = f"r.s({number})"
        found.append(Node(node_id("r", name), name, f"s({number})", "Pod", phase, boundary="r", started=1.0))
        retry.children.append(found[-1].id)
    run.nodes = {each.id: each for each in found}
    return run


def test_a_first_attempt_that_goes_well_is_not_said_twice() -> None:
    """The brief tree has the step alone; the full one, as Argo draws it, has its attempt too."""
    run = run_with(SUCCEEDED)
    assert not any("s(0)" in line for line in lines(run, now=2.0, brief=True))
    assert any("s(0)" in line for line in lines(run, now=2.0))


def test_every_attempt_is_shown_once_one_failed() -> None:
    """What was tried again is what a person wants to see."""
    shown = "\n".join(lines(run_with(FAILED, RUNNING), now=2.0, brief=True))
    assert "s(0)" in shown
    assert "s(1)" in shown


def test_the_run_s_own_line_comes_after_those_of_its_steps() -> None:
    """Away from a terminal each change is a line, in the order that reads well."""
    stream = io.StringIO()
    run = run_with(SUCCEEDED)
    LiveTree(stream)(run, list(run.nodes.values()))
    text = stream.getvalue()
    assert 0 < text.index("✔ s Succeeded") < text.index("● r Running")
