"""Mutexes and semaphores among the nodes of one run."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.nodes import Node
from tiphys.engine.operation import Operation
from tiphys.engine.run_state import RunState

Json = dict[str, Any]


def wanted(op: Operation, synchronization: Json) -> dict[str, int]:
    """Each lock's name as Argo shows it, and how many may hold it. Raises TemplateError."""
    found: dict[str, int] = {}
    for mutex in synchronization.get("mutexes") or []:
        found[f"{mutex.get('namespace') or op.run.namespace}/Mutex/{mutex.get('name') or ''}"] = 1
    for semaphore in synchronization.get("semaphores") or []:
        reference = semaphore.get("configMapKeyRef") or {}
        name, key = reference.get("name") or "", reference.get("key") or ""
        limit = op.run.config_maps.get(name, {}).get(key)
        lock = f"{semaphore.get('namespace') or op.run.namespace}/ConfigMap/{name}/{key}"
        if limit is None or not limit.strip().isdigit():
            msg = f"failed to initialize semaphore {lock} with limit"
            raise TemplateError(msg)
        found[lock] = int(limit)
    return found


def block(op: Operation, holder: str, child: str, synchronization: Json) -> None:
    """Note which lock keeps `child` from going on, so that nobody looks at it until that one is free."""
    for name, limit in wanted(op, synchronization).items():
        holders = op.run.locks.get(name, [])
        if holder not in holders and len(holders) >= limit:
            op.run.blocked[child] = (name, limit, op.run.version)
            return


def still_blocked(run: RunState, child: str) -> bool:
    """Whether the lock on which `child` waits is still full. Thousands may wait: this must be quick."""
    known = run.blocked.get(child)
    if known is None:
        return False
    name, limit, version = known
    if version == run.version and len(run.locks.get(name, ())) >= limit:
        return True
    del run.blocked[child]
    return False


def acquire(op: Operation, holder: str, synchronization: Json) -> str:
    """Take all locks for the node `holder`, or none: then the message to wait with. Raises TemplateError."""
    locks = wanted(op, synchronization)
    for name, limit in locks.items():
        holders = op.run.locks.get(name, [])
        if holder not in holders and len(holders) >= limit:
            return f"Waiting for {name} lock. Lock status: {limit - len(holders)}/{limit}"
    for name in locks:
        holders = op.run.locks.setdefault(name, [])
        if holder not in holders:
            holders.append(holder)
    return ""


def release(op: Operation, node: Node) -> None:
    """Give back all locks of a node."""
    for name in [name for name, holders in op.run.locks.items() if node.id in holders]:
        op.run.locks[name].remove(node.id)
        op.run.cache["lock released"] = True
        if not op.run.locks[name]:
            del op.run.locks[name]
