"""Workflows that grow without end: stopped at a stated bound, in one bounded pass, and everything in them ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tiphys.engine.actions import StartPod
from tiphys.engine.core import step
from tiphys.engine.load import load_text
from tiphys.engine.run_state import RunState

pytestmark = pytest.mark.unit
HEAD = "kind: Workflow\nspec:\n  entrypoint: main\n  templates:\n"
LEAF = '  - {name: leaf, container: {image: "debian:12", command: ["true"]}}\n'
FORKS = {
    "steps": "{name: main, steps: [[{name: l, template: leaf}, {name: a, template: main}, {name: b, template: main}]]}",
    "dag": "{name: main, dag: {tasks: [{name: l, template: leaf}, {name: a, template: main}, {name: b, template: main}]}}",
    "loops": "{name: main, steps: [[{name: l, template: leaf}, {name: a, template: main, withItems: [1, 2, 3]}]]}",
}


@pytest.fixture(autouse=True)
def frames() -> Iterator[None]:
    """As many frames as the engine gives itself for a hundred templates inside each other."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("kind", list(FORKS))
def test_forking_recursion_ends_in_error_at_the_bound(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Two calls of itself would be 2 to the power of 100 nodes: the run ends with none more than it may have."""
    monkeypatch.setattr("tiphys.engine.operation.MAX_NODES", 700)
    run = RunState("wf", "uid", 1.0, load_text(f"{HEAD}{LEAF}  - {FORKS[kind]}\n")[0]["spec"])
    outcome = step(run, [], 1000.0)
    assert (run.phase, len(run.nodes)) == ("Error", 700)
    assert run.message.startswith("a run may have 700 nodes and ")
    assert [action for action in outcome.actions if isinstance(action, StartPod)] == []
    assert all(node.ended for node in run.nodes.values())


def test_a_fan_out_as_wide_as_the_bound_is_none_too_many(monkeypatch: pytest.MonkeyPatch, machine: Any) -> None:
    """Root, group and ten steps."""
    monkeypatch.setattr("tiphys.engine.operation.MAX_NODES", 12)
    wide = "  - {name: main, steps: [[{name: a, template: leaf, withSequence: {count: 10}}]]}\n"
    run = machine(LEAF + wide)
    assert (len(run.started), run.run.phase) == (10, "Running")


def test_a_text_that_doubles_at_each_call_is_an_error(machine: Any) -> None:
    """A hundred calls deep it would be longer than any memory."""
    run = machine(
        """  - name: main
    inputs: {parameters: [{name: x, value: "0123456789abcdef"}]}
    steps:
    - - name: a
        template: main
        arguments: {parameters: [{name: x, value: "{{inputs.parameters.x}}{{inputs.parameters.x}}"}]}
"""
    )
    assert run.run.phase in ("Error", "Failed")
    assert any("becomes longer than 32 MiB" in node.message for node in run.run.nodes.values())
