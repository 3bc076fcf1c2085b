"""One engine per state folder: a lock that dies with its holder, and says who that is."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tiphys.engine.errors import StateLockedError

ALL_RUNS = "*"
"""What the lock names as its run where its holder drives all that have not ended."""
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.0)  # seconds between tries


class StateLock:
    """Held while an engine works on a state folder."""

    def __init__(self, folder: Path, command: str, run: str = "", artifacts: str = "") -> None:
        """`command` is what a second engine is told about this one; `run` is the run that it drives.

        `artifacts` says where it keeps them.
        """
        self._path = folder / "lock"
        self._command = command
        self._run = run
        self._artifacts = artifacts
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the lock. Raises StateLockedError that names the holder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _taken(self._descriptor):
            os.close(self._descriptor)
            raise _held(self._path.parent)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {
            "pid": os.getpid(),
            "space": _pid_space(),
            "command": self._command,
            "run": self._run,
            "since": since,
            "artifacts": self._artifacts,
        }
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back; nobody is to be taken for the next holder."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _taken(descriptor: int) -> bool:
    """Take the lock; who only asks whether it is held (`is_held`) has it for an instant, and is waited for."""
    for pause in _PAUSES:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause)
        else:
            return True
    return False


def wait_for_leftovers(folder: Path, seconds: float = 30.0) -> None:
    """Block until the last step of an engine that was killed is gone. Raises StateLockedError if that takes too long."""
    descriptor = os.open(folder / "steps.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    gone = threading.Event()

    def wait() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        gone.set()
        os.close(descriptor)

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    except BlockingIOError:
        threading.Thread(target=wait, daemon=True).start()
        if not gone.wait(seconds):
            message = (
                f"steps of an engine that was killed still run after {seconds:.0f} s in {folder}: end them, then resume"
            )
            raise StateLockedError(message) from None


def read_holder(folder: Path) -> dict[str, object]:
    """What the holder of the lock wrote about itself, whether it still lives or not."""
    try:
        found = json.loads((folder / "lock").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def holder_pid(folder: Path) -> int | None:
    """The pid of the lock's holder, as this process sees it; None if it can't: it may run in a PID namespace of its own."""
    holder = read_holder(folder)
    pid = holder.get("pid")
    return pid if isinstance(pid, int) and holder.get("space") == _pid_space() else None


def held_since(folder: Path) -> float:
    """When the lock was taken that is or was held last, in seconds since the epoch; 0 if nobody ever did."""
    try:
        return (folder / "lock").stat().st_mtime
    except OSError:
        return 0.0


def _pid_space() -> int:
    """Which PID namespace this process is in."""
    return Path("/proc/self/ns/pid").stat().st_ino


def is_held(folder: Path) -> bool:
    """Whether an engine holds the state folder now. All who ask share the lock for that instant."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def refuse_if_held(folder: Path) -> None:
    """Raises StateLockedError that names the holder."""
    if is_held(folder):
        raise _held(folder)


def _held(folder: Path) -> StateLockedError:
    holder = read_holder(folder)
    who = f"pid {holder.get('pid')}: {holder.get('command')}, since {holder.get('since')}" if holder else "unknown"
    return StateLockedError(f"the state folder {folder} is held by another engine ({who}): wait for it, or stop it")
