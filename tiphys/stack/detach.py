"""Starting the supervisor apart from its starter, and finding it again."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tiphys.settings import EngineSettings, PaceSettings, StackSettings, load
from tiphys.stack.keys import write_private
from tiphys.stack.layout import Layout


def namespace_command() -> list[str] | None:
    """The words before a program that give it a PID namespace of its own; None where the kernel allows none."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc"]
    if os.geteuid() != 0:
        words += ["--user", "--map-current-user"]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True, timeout=10)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return None
    return words


def start(settings: StackSettings) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives its starter; it does not yet hold its lock when this returns."""
    layout = Layout.of(settings)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(settings.project),
        "LANG": "C.UTF-8",
        "TIPHYS_HOME": str(settings.home),
        "TIPHYS_PORT_BASE": str(settings.port_base),
        "TIPHYS_ARTIFACTS": load(EngineSettings).artifacts,
        "TIPHYS_GOVERNOR_SPEED": str(load(PaceSettings).speed),
        "JAVA_HOME": settings.java_home,
        "MALLOC_ARENA_MAX": "2",
    }
    with (layout.log("supervisor")).open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*(namespace_command() or ()), sys.executable, "-m", "tiphys.stack.supervisor"],
            env=environment,
            cwd=settings.project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    created = psutil.Process(process.pid).create_time()
    write_private(layout.run / "supervisor.json", json.dumps({"pid": process.pid, "created": created}))
    return process


def is_running(layout: Layout) -> bool:
    """Whether a supervisor holds this home."""
    path = layout.run / "supervisor.lock"
    if not path.exists():
        return False
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def find(layout: Layout) -> psutil.Process | None:
    """The supervisor itself, as this process sees it; None where there is none (any more)."""
    try:
        told = json.loads((layout.run / "supervisor.json").read_text(encoding="utf-8"))
        started = psutil.Process(told["pid"])
        if abs(started.create_time() - told["created"]) > 1 or started.status() == psutil.STATUS_ZOMBIE:
            return None
        if started.name() != "unshare":
            return started
        children = started.children()
        return children[0] if children else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Hold a lock file; yields whether it was free at once, and waits for it if it was not."""
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_EX)
            free = False
        yield free
