"""What runs and what it takes: the supervisor's state with process ids and memory as seen from outside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from tiphys.settings import StackSettings
from tiphys.stack import detach, state
from tiphys.stack.layout import Layout
from tiphys.stack.processes import told
from tiphys.stack.state import Name


@dataclass(frozen=True)
class Row:
    """One server; ``memory`` is summed PSS in bytes, None where this user may not read it."""

    name: str
    state: Name
    address: str
    pid: int | None
    restarts: int
    since: float
    memory: int | None
    reason: str
    log: str


def status(settings: StackSettings) -> list[Row]:
    """Every server of a running stack and the supervisor itself; empty when nothing runs."""
    layout = Layout.of(settings)
    known = state.read(layout.run / "state.json")
    supervisor = detach.find(layout)
    if known is None or supervisor is None or not detach.is_running(layout):
        return []
    family = supervisor.children(recursive=True)
    outer = {_inner_pid(each.pid): each.pid for each in family} if known.own_namespace else {}
    rows = []
    for each in known.servers.values():
        pid = outer.get(each.pid) if known.own_namespace else each.pid
        memory = _memory_of(pid, each.name, family)
        rows.append(
            Row(each.name, each.state, each.address, pid, each.restarts, each.since, memory, each.reason, each.log)
        )
    since = supervisor.create_time()
    memory = _pss(supervisor.pid)
    rows.append(Row("supervisor", "ready", "", supervisor.pid, 0, since, memory, "", str(layout.log("supervisor"))))
    return rows


def _memory_of(pid: int | None, server: str, family: list[psutil.Process]) -> int | None:
    """PSS of a server's process, its descendants, and those that it left to the supervisor."""
    if pid is None:
        return None
    pids = {pid}
    for each in family:
        try:
            if each.ppid() in pids or told(each.pid).get("TIPHYS_SERVER") == server:
                pids.add(each.pid)
        except (psutil.Error, OSError):
            continue
    known = [found for found in map(_pss, pids) if found is not None]
    return sum(known) if known else None


def _pss(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _inner_pid(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^NSpid:.*\s(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None
