"""Mutexes and semaphores: of the nodes of a run, and of whole runs. `shared_locks.py` counts those of other runs."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.nodes import Node
from tiphys.engine.operation import Operation
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
WHOLE_RUN = ""
"""Who holds a lock of the whole run: no node has this id."""


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
        if holder not in op.run.locks.get(name, []) and not _has_room(op.run, name, limit):
            op.run.blocked[child] = (name, limit, op.run.version)
            return


def still_blocked(run: RunState, child: str) -> bool:
    """Whether the lock on which `child` waits is still full. Thousands may wait: this must be quick."""
    known = run.blocked.get(child)
    if known is None:
        return False
    name, limit, version = known
    if version == run.version and not _has_room(run, name, limit):
        _wait(run, name)
        return True
    del run.blocked[child]
    return False


def acquire(op: Operation, holder: str, synchronization: Json) -> str:
    """Take all locks for the node `holder`, or none: then the message to wait with. Raises TemplateError."""
    run, locks = op.run, wanted(op, synchronization)
    for name, limit in locks.items():
        if holder not in run.locks.get(name, []) and not _has_room(run, name, limit):
            _wait(run, name)
            return f"Waiting for {name} lock. Lock status: {max(0, limit - _taken(run, name))}/{limit}"
    for name in locks:
        holders = run.locks.setdefault(name, [])
        if holder not in holders:
            holders.append(holder)
            _count(run, name)
    return ""


def acquire_for_run(op: Operation) -> str:
    """Take the locks of the whole run, or none: then the message to wait with. Raises TemplateError."""
    synchronization = op.spec.get("synchronization")
    return acquire(op, WHOLE_RUN, synchronization) if synchronization else ""


def release(op: Operation, node: Node) -> None:
    """Give back all locks of a node."""
    for name in [name for name, holders in op.run.locks.items() if node.id in holders]:
        op.run.locks[name].remove(node.id)
        op.run.cache["lock released"] = True
        _count(op.run, name)
        if not op.run.locks[name]:
            del op.run.locks[name]


def release_all(run: RunState) -> None:
    """The run has ended: it holds nothing any more."""
    names = list(run.locks)
    run.locks.clear()
    for name in names:
        _count(run, name)


def look_anew(run: RunState) -> None:
    """A pass begins: what the run still waits for, it will find out again."""
    if run.shared is not None:
        run.cache.setdefault("waited", set()).update(run.shared.wait_no_more(run))


def looked(run: RunState) -> None:
    """All passes are over: who waits behind the run for what it waited for until now goes on."""
    if run.shared is not None and (waited := run.cache.pop("waited", None)):
        run.shared.pass_on(run, waited)


def waits_for_others(run: RunState) -> bool:
    """Whether the run waits for a lock that another run may hold."""
    return run.shared is not None and run.shared.waits(run)


def _taken(run: RunState, name: str) -> int:
    return len(run.locks.get(name, ())) + (run.shared.others(run, name) if run.shared else 0)


def _has_room(run: RunState, name: str, limit: int) -> bool:
    return _taken(run, name) < limit and (run.shared is None or run.shared.is_next(run, name))


def _wait(run: RunState, name: str) -> None:
    if run.shared is not None:
        run.shared.wait(run, name)


def _count(run: RunState, name: str) -> None:
    if run.shared is not None:
        run.shared.count(run, name, len(run.locks.get(name, ())))
