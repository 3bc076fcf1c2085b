"""Starting, awaiting and sweeping processes for a supervisor that may be PID 1; knows no server.

One place reaps: PID 1 inherits every orphan, so exit statuses come from ``waitpid(-1)`` and are handed to who waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tiphys.stack.spec import Command

NOBODY = 65534  # uid and gid that every Linux has, with no rights of its own


@dataclass(frozen=True)
class Process:
    """One started program; ``ended`` becomes its exit status, negative for a signal."""

    pid: int
    ended: asyncio.Future[int]


class Processes:
    """All children of this supervisor."""

    def __init__(self, *, own_namespace: bool) -> None:
        """Begin to reap; needs a running loop."""
        self._own_namespace = own_namespace
        self._children: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(self, command: Command, log: Path) -> Process:
        """Start a program in a session of its own, its output at the end of a log file.

        Raises:
            OSError: it cannot be started.
        """
        with log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own argv
                [*_wrapping(command, own_namespace=self._own_namespace), *command.argv],
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        ended = self._loop.create_future()
        self._children[child.pid] = child, ended
        return Process(child.pid, ended)

    async def stop(self, process: Process, how: signal.Signals, within: float) -> None:
        """Ask a program to end, and make it when it did not in time; its session goes with it."""
        send(process.pid, how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.ended), within)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.ended

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child, ended = self._children.pop(pid, (None, None))
            if child is not None and ended is not None:
                child.returncode = os.waitstatus_to_exitcode(status)
                if not ended.done():
                    ended.set_result(child.returncode)


def send(pid: int, how: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def _wrapping(command: Command, *, own_namespace: bool) -> list[str]:
    """``setpriv`` with what this start needs: another user, and an end with its parent's."""
    words: list[str] = []
    if not own_namespace:
        words += ["--pdeathsig", "KILL"]
    if command.unprivileged and os.geteuid() == 0:
        words += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if not _passable(command.folder) or not _passable(Path(command.argv[0])):
            # A checkout below /root: this one right lets the user pass through folders that are not its own.
            words += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
        else:
            words += ["--inh-caps=-all"]
    return ["setpriv", *words] if words else []


def _passable(path: Path) -> bool:
    """Whether any user can come to that path."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def belonging(home: Path, server: str | None = None) -> Iterator[psutil.Process]:
    """Processes of this stack's servers, or of one of them, whoever their parent is now."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and _belongs(process, home, server):
                yield process
        except (psutil.Error, OSError):
            continue


def _belongs(process: psutil.Process, home: Path, server: str | None) -> bool:
    environment = told(process.pid)
    if environment.get("TIPHYS_HOME") == str(home) and "TIPHYS_SERVER" in environment:
        return server in (None, environment["TIPHYS_SERVER"])
    # Some write a title over their environment, but they stay in the folder where they were started.
    name, folder = process.name(), Path(process.cwd())
    if name.startswith("ray::"):
        return server in (None, "ray") and folder == home
    return server in (None, "postgres") and name == "postgres" and folder == home / "postgres"


def told(pid: int) -> dict[str, str]:
    """The environment that a process was given; psutil reads none past a title that was written over its beginning.

    Raises:
        OSError: it is gone, or another user's.
    """
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def sweep(home: Path, server: str | None = None) -> int:
    """Kill what is left of this stack's servers, or of one of them; returns how many there were."""
    left = list(belonging(home, server))
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    return len(left)
