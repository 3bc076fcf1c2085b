"""The core on its own: no process, a clock that the test holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from tiphys.engine.actions import KillPod, PodEnded, PodStarted, Result, Shutdown, StartPod
from tiphys.engine.core import step
from tiphys.engine.load import load_text
from tiphys.engine.merge import effective_spec
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState
from tiphys.engine.shared_locks import SharedLocks

Outcome = tuple[str, str]
HEAD = "kind: Workflow\nspec:\n  entrypoint: main\n  templates:\n"


class Machine:
    """A run whose pods end as the test says, at the time that it says."""

    def __init__(self, text: str, name: str = "wf", created: float = 1.0, **spec: Any) -> None:
        """`text` holds the templates, indented by two; `spec` what else stands in the spec."""
        whole = {**effective_spec(load_text(HEAD + text)[0], lambda _kind, _name: None), **spec}
        self.run = RunState(name, "a8a8a8a8-0000-4000-8000-000000000000", created, whole)
        self.run.config_maps = {"limits": {"two": "2"}}
        self.now = 1000.0
        self.waiting: dict[str, StartPod] = {}
        self.killed: list[str] = []
        self.started: list[str] = []
        self.wake: float | None = None
        self.woken: list[Machine] = []

    def tell(self, *results: Result) -> None:
        """One pass of the core, then of those that it has woken."""
        self._pass(*results)
        for _ in range(1000):
            if not self.woken:
                return
            self.woken.pop(0)._pass()
        pytest.fail("they wake one another for ever")

    def _pass(self, *results: Result) -> None:
        outcome = step(self.run, results, self.now)
        self.wake = outcome.wake
        for action in outcome.actions:
            if isinstance(action, StartPod):
                self.waiting[action.node_name] = action
                self.started.append(action.node_name)
            elif isinstance(action, KillPod):
                self.killed.append(self.run.nodes[action.node_id].name)

    def begin(self, name: str) -> None:
        """The pod's process runs."""
        self.tell(PodStarted(self.waiting[name].node_id, 1))

    def end(self, name: str, phase: str = "Succeeded", exit_code: int = 0, **outputs: str) -> None:
        """The pod ends."""
        pod = self.waiting.pop(name)
        code = exit_code or (0 if phase == "Succeeded" else 1)
        message = "" if phase == "Succeeded" else f"main: Error (exit code {code})"
        parameters = [{"name": key, "value": value} for key, value in outputs.items()]
        self.tell(PodEnded(pod.node_id, phase, message, {"exitCode": str(code), "parameters": parameters}))

    def stop(self, strategy: str = "Stop") -> None:
        """`argo stop` or `argo terminate`."""
        self.tell(Shutdown(strategy))

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.run.nodes.values() if node.name == name)

    def phases(self) -> dict[str, str]:
        """Every node's phase by name."""
        return {node.name: node.phase for node in self.run.nodes.values()}


@pytest.fixture(scope="session")
def machine() -> Callable[..., Machine]:
    """Make a machine that has done its first pass."""
    woken: WeakKeyDictionary[SharedLocks, list[Machine]] = WeakKeyDictionary()

    def make(text: str, locks: SharedLocks | None = None, **spec: Any) -> Machine:
        """`locks` are shared with other machines, which have a pass of their own whenever one may be free for them."""
        made = Machine(text, **spec)
        if locks is not None:
            made.woken = woken.setdefault(locks, [])
            locks.enter(made.run, lambda: made.woken.append(made))
        made.tell()
        return made

    return make
