"""Prepares a run that has ended for a retry, as Argo does: what failed goes, what is around it opens again.

A step that failed and what hangs below it is taken out. From there every group up to the root (DAG, Steps, their groups,
a failed Retry) is Running again. A failed step after which something succeeded was forgiven, and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tiphys.engine.locks import release_all
from tiphys.engine.merge import set_parameters
from tiphys.engine.nodes import FULFILLED, RUNNING, SKIPPED, SUCCEEDED, Node, node_id
from tiphys.engine.run_state import RunState

_GROUPS = frozenset({"DAG", "Steps", "StepGroup", "TaskGroup"})
_EXECUTED = frozenset({"Pod", "Container", "HTTP", "Plugin"})
_NESTING = frozenset({"Retry", "StepGroup", "TaskGroup"})


@dataclass
class Reset:
    """What a retry does: the ids that go, those that are Running again, the names of the steps that run again."""

    gone: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)


class Graph:
    """The nodes of a run with one parent each, in the order of their ids as Argo chooses it."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        """`nodes` by id."""
        self.nodes = nodes
        self._parents: dict[str, str] = {}
        for identity in sorted(nodes):
            for child in nodes[identity].children:
                if child in nodes:
                    self._parents[child] = identity

    def parent(self, node: Node) -> Node | None:
        """The node above."""
        return self.nodes.get(self._parents.get(node.id, ""))

    def below(self, *starts: str) -> set[str]:
        """The ids of all that hangs below `starts`."""
        found: set[str] = set()
        front = list(starts)
        while front:
            for child in self.nodes[front.pop()].children:
                if child in self.nodes and child not in found:
                    found.add(child)
                    front.append(child)
        return found

    def downwards(self, root: str) -> Iterator[Node]:
        """Breadth first from the root: what stands above comes first."""
        queue, seen = [root] if root in self.nodes else [], {root}
        for identity in queue:
            yield self.nodes[identity]
            for child in self.nodes[identity].children:
                if child in self.nodes and child not in seen:
                    seen.add(child)
                    queue.append(child)


def plan(run: RunState, chosen: Iterable[str] = ()) -> Reset:
    """What a retry of `run` would do; `chosen` are ids of nodes that run again whether they failed or not."""
    graph, reset = Graph(run.nodes), Reset()
    starts = set(chosen)
    starts |= {node.id for node in _failed(run, graph, starts)}
    if not starts:
        starts = {node.id for node in run.nodes.values() if node.unsuccessful and _has_no_culprit(run, graph, node)}
    reset.steps = [
        run.nodes[each].display_name for each in run.nodes if each in starts and not _in_exit(run, run.nodes[each])
    ]
    for node in graph.downwards(run.name):
        if node.id in starts and node.id not in reset.gone:
            reset.gone |= {node.id} | graph.below(node.id)
            _open_path(graph, node, reset)
    reset.gone |= {node.id for node in run.nodes.values() if _in_exit(run, node)}
    reset.opened -= reset.gone
    return reset


def apply(run: RunState, reset: Reset, now: float, parameters: Mapping[str, str] | None = None) -> None:
    """Do it: the run is as before what failed, and not done any more. `now` is in seconds since the epoch."""
    if parameters:
        set_parameters(run.spec, parameters)
        groups = [each for each in reset.opened if run.nodes[each].type in ("TaskGroup", "StepGroup")]
        reset.gone |= Graph(run.nodes).below(*groups)
        reset.opened -= reset.gone
    for identity in reset.gone:
        run.nodes.pop(identity, None)
    for node in run.nodes.values():
        node.children = [child for child in node.children if child not in reset.gone]
        node.outbound = [last for last in node.outbound if last not in reset.gone]
        if node.id in reset.opened:
            _open(node, now)
    run.phase, run.message, run.started, run.finished, run.shutdown = RUNNING, "", now, 0.0, ""
    run.spec.pop("shutdown", None)
    run.suspended = False
    release_all(run)
    run.cache.clear()
    run.deadlines.clear()
    run.waits.clear()
    run.version += 1
    run.sleepers.clear()
    run.blocked.clear()
    run.restless.clear()
    run.dirty.update(dict.fromkeys(run.nodes))


def _failed(run: RunState, graph: Graph, chosen: set[str]) -> Iterator[Node]:
    for node in run.nodes.values():
        if not node.unsuccessful or not (node.type in _EXECUTED or _ended_unstarted(node)):
            continue
        above = graph.parent(node) if node.flag("retried") else None
        if not _something_succeeded_below(graph, above or node, chosen):
            yield node


def _ended_unstarted(node: Node) -> bool:
    """A suspended step that was stopped, or a step that never got so far; Argo leaves these as they are."""
    return node.type in ("Suspend", "Skipped")


def _something_succeeded_below(graph: Graph, node: Node, chosen: set[str]) -> bool:
    return any(graph.nodes[each].phase == SUCCEEDED and each not in chosen for each in graph.below(node.id))


def _has_no_culprit(run: RunState, graph: Graph, node: Node) -> bool:
    """A group that failed by itself: no step in it did."""
    return not any(run.nodes[each].unsuccessful for each in graph.below(node.id))


def _in_exit(run: RunState, node: Node) -> bool:
    return node.name.startswith(f"{run.name}.onExit")


def _open_path(graph: Graph, start: Node, reset: Reset) -> None:
    """Open what is above `start`, up to the root."""
    current: Node | None = start
    while current is not None:
        if current.type in _GROUPS:
            reset.opened.add(current.id)
            current = _open_boundaries(graph, current, reset)
        elif current.type == "Container":
            current = _take_out_pod(graph, current, reset)
        else:
            if current.type == "Retry" and current.unsuccessful:
                reset.opened.add(current.id)
            current = graph.parent(current)


def _open_boundaries(graph: Graph, node: Node, reset: Reset) -> Node | None:
    current: Node | None = node
    while current is not None:
        above = graph.parent(current)
        if above is not None and above.type == "Retry":
            reset.opened.add(above.id)
            current, above = above, graph.parent(above)
        if above is not None and above.type in _NESTING:
            reset.opened.add(above.id)
        if not current.boundary:
            return above
        wanted, current = current.boundary, above
        while current is not None and current.id != wanted:
            current = graph.parent(current)
        if current is not None:
            reset.opened.add(current.id)
    return None


def _take_out_pod(graph: Graph, container: Node, reset: Reset) -> Node | None:
    """The containers of one pod run again together."""
    current: Node | None = container
    while current is not None and current.type != "Pod":
        current = graph.parent(current)
    if current is None:
        return None
    reset.gone |= {current.id} | graph.below(current.id)
    return graph.parent(current)


def _open(node: Node, now: float) -> None:
    if node.type == "Suspend":
        for entry in (node.outputs or {}).get("parameters") or []:
            entry.pop("value", None)
            entry["valueFrom"] = {"supplied": {}}
    if node.phase != SKIPPED:
        node.phase = RUNNING
    node.message, node.started, node.finished = "", now, 0.0


def renamed(run: RunState, name: str, now: float) -> dict[str, Node]:
    """The nodes of a failed run under a new name, for `resubmit --memoized`: what succeeded is Skipped, with its outputs.

    As on Argo, the message of such a step says which it was. What failed is not there, nor is the exit handler.
    """
    reset = plan(run)
    ids = {
        old: node_id(name, name + node.name.removeprefix(run.name))
        for old, node in run.nodes.items()
        if old not in reset.gone
    }
    nodes = {}
    for old, identity in ids.items():
        node = Node.from_json(run.nodes[old].to_json())
        node.id, node.name = identity, name + node.name.removeprefix(run.name)
        node.boundary = ids.get(node.boundary, "")
        node.children = [ids[child] for child in node.children if child in ids]
        node.outbound = [ids[last] for last in node.outbound if last in ids]
        node.started, node.attempts = now, 0
        node.display_name = name if old == run.name else node.display_name
        if old in reset.opened:
            _open(node, now)
        elif node.phase in FULFILLED:
            node.finished = now
        if node.type == "Pod" and not node.unsuccessful:
            node.type, node.phase, node.message = "Skipped", SKIPPED, f"original pod: {old}"
        nodes[identity] = node
    return nodes
