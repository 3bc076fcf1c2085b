"""What a stop ends, and what it lets run: exit handlers, whatever their steps are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tiphys.engine.nodes import Node

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


def named(made: Any) -> dict[str, Node]:
    """The run's nodes by name."""
    return {node.name: node for node in made.run.nodes.values()}
