"""Makes the daemons of an interrupted run start again."""

from __future__ import annotations

from tiphys.engine.nodes import PENDING, RUNNING
from tiphys.engine.run_state import RunState


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
