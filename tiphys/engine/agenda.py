"""Which children of a group need a look: those that are new, or on which something has happened.

A pass of the core looks at every node that could go on. A child whose process runs cannot: it sleeps until the process
has ended. Without that, a pass over ten thousand running children would cost ten thousand looks for each that ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.locks import still_blocked
from tiphys.engine.nodes import Node
from tiphys.engine.operation import Operation
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
Look = Callable[[Json], bool]
"""Looks at one child; False when the ones behind it have to wait."""


@dataclass(eq=False)
class Agenda:
    """The children of one node, by name; each stands in one place or, once it has ended, in none."""

    fresh: deque[tuple[str, Json]]
    """Those without a node, in order."""
    awake: dict[str, Json] = field(default_factory=dict)
    asleep: set[str] = field(default_factory=set)
    """Ids of the pods on which the others wait."""

    @classmethod
    def of(cls, children: Iterable[tuple[str, Json]]) -> Agenda:
        """An agenda where nothing has been looked at yet."""
        return cls(deque(children))

    @property
    def busy(self) -> bool:
        """Whether some child has not ended, or has hooks that may still run."""
        return bool(self.fresh or self.awake or self.asleep)

    def look(self, op: Operation, look: Look) -> bool:
        """Look at those that are awake, then at the new ones. False if one said that the others have to wait."""
        for name, child in list(self.awake.items()):
            if still_blocked(op.run, name):
                continue
            if not look(child):
                return False
            self.settle(op, name, child)
        return self._look_at_fresh(op, look)

    def _look_at_fresh(self, op: Operation, look: Look) -> bool:
        """Without a `when`, a child that can't be made now says the same of all behind it."""
        waiting: deque[tuple[str, Json]] = deque()
        on = True
        while self.fresh and on:
            name, child = self.fresh.popleft()
            on = look(child)
            if op.node(name) is None:
                waiting.append((name, child))
                on = on and bool(child.get("when"))
            else:
                self.settle(op, name, child)
        stopped = not on and not waiting
        self.fresh.extendleft(reversed(waiting))
        return not stopped

    def settle(self, op: Operation, name: str, child: Json) -> None:
        """Put a child that has just been looked at in its place."""
        node = op.node(name)
        if node is None:
            self.awake[name] = child
        elif node.fulfilled and not hooked(child):
            self.awake.pop(name, None)
        elif pod := sleeps_on(op.run, node, child):
            self.awake.pop(name, None)
            self.asleep.add(pod)
            op.run.sleepers[pod] = (self, name, child)
        else:
            self.awake[name] = child


def hooked(child: Json) -> bool:
    """Whether a step or task has hooks: they look at every change."""
    return bool(child.get("hooks") or child.get("onExit"))


def sleeps_on(run: RunState, node: Node, child: Json) -> str:
    """The id of the pod whose end is all that `node` waits for; empty if there is more to it."""
    if hooked(child) or node.id in run.restless:
        return ""
    if node.type == "Retry" and node.children:
        node = run.nodes[node.children[-1]]
    return node.id if node.type in ("Pod", "HTTP") and not node.fulfilled and node.id in run.launched else ""


def wake(run: RunState, pod: str) -> None:
    """Something has happened to a pod."""
    agenda, name, child = run.sleepers.pop(pod, (None, "", {}))
    if agenda is not None:
        agenda.asleep.discard(pod)
        agenda.awake[name] = child
