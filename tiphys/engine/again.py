"""Prepares a run to go on: for a retry what failed goes and what succeeded stays; daemons are made to run again."""

from __future__ import annotations

from tiphys.engine.nodes import PENDING, RUNNING, Node
from tiphys.engine.run_state import RunState

_CONTAINERS = {"Steps", "DAG", "StepGroup", "TaskGroup", "Retry"}


def reset_failed(run: RunState) -> tuple[list[str], list[str]]:
    """Take failed steps, and what came after them, out of the run; the ids that are gone, the names that run again."""
    again = [node for node in run.nodes.values() if node.unsuccessful and node.type not in _CONTAINERS]
    gone = _gone(run, again)
    reopened = _reopened(run, gone)
    for node_id in gone:
        del run.nodes[node_id]
    for node in run.nodes.values():
        node.children = [child for child in node.children if child not in gone]
        if node.id in reopened:
            node.phase, node.message, node.finished, node.outbound = RUNNING, "", 0.0, []
    if again:
        run.phase, run.message, run.finished, run.shutdown = RUNNING, "", 0.0, ""
        run.cache.clear()
    return sorted(gone), [node.display_name for node in again]


def revive_daemons(run: RunState) -> None:
    """Let the daemons that died with the last engine start again, before what comes after them goes on."""
    daemons = [node for node in run.nodes.values() if node.daemoned]
    if not daemons:
        return
    for node in daemons:
        node.daemoned, node.pod_ip = False, ""
        node.phase = RUNNING if node.type == "Retry" else PENDING
    run.cache["reviving"] = reviving = {node.id for node in daemons}
    run.dirty.update(dict.fromkeys(reviving))
    front = set(reviving)
    while front:
        groups = {
            node.id
            for node in run.nodes.values()
            if node.type in ("StepGroup", "TaskGroup", "Retry") and front & set(node.children)
        } - reviving
        for identity in groups:
            run.nodes[identity].phase, run.nodes[identity].finished = RUNNING, 0.0
        reviving |= groups
        run.dirty.update(dict.fromkeys(groups))
        front = groups


def _gone(run: RunState, again: list[Node]) -> set[str]:
    """The failed nodes, all that hangs below them, unfinished groups after them, and the exit handler."""
    gone: set[str] = set()
    front = [node.id for node in again]
    front += [node.id for node in run.nodes.values() if node.name.startswith(f"{run.name}.onExit")]
    front += [
        node.id for node in run.nodes.values() if node.phase in ("Omitted", "Skipped") and _after_failure(node, again)
    ]
    while front:
        current = front.pop()
        if current in gone or current not in run.nodes:
            continue
        gone.add(current)
        front += run.nodes[current].children
    return gone


def _after_failure(node: Node, again: list[Node]) -> bool:
    return node.phase == "Omitted" and bool(again)


def _reopened(run: RunState, gone: set[str]) -> set[str]:
    """The containers around what is gone: they are not done any more."""
    parents: dict[str, list[str]] = {}
    for node in run.nodes.values():
        for child in node.children:
            parents.setdefault(child, []).append(node.id)
    reopened: set[str] = set()
    for node_id in gone:
        boundary = run.nodes[node_id].boundary
        while boundary and boundary not in reopened:
            reopened.add(boundary)
            boundary = run.nodes[boundary].boundary
        reopened.update(parent for parent in parents.get(node_id, []) if run.nodes[parent].type in _CONTAINERS)
    groups = {node.id for node in run.nodes.values() if node.unsuccessful and node.type in _CONTAINERS}
    return (reopened | groups) - gone
