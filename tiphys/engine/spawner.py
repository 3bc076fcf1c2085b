"""Starts steps through a small process that keeps launchers for them: `launcher/server.py`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Tell = Callable[[Json], None]
_LIBRARY = str(Path(__file__).parents[2])
_START = "import sys; sys.path.append(sys.argv.pop(1)); from tiphys.engine.launcher.server import main; main()"
# Isolated and without site-packages: it starts in a third of the time, and forks quicker for being small.
LAUNCHER = (sys.executable, "-I", "-S", "-c", _START, _LIBRARY)
_MESSAGE = 16384  # bytes; what is longer goes into a file
_REPORT = 65536  # bytes, the most that a launcher says at once
# What is the same for all steps of a launcher: of images it sees those that were mounted when it began.
_SHARED = ("private", "root", "alive", "keep", "images")


class Launched:
    """One step that was started."""

    def __init__(self, spawner: Spawner, number: int, tell: Tell | None) -> None:
        """`tell` is to hear what the launcher says of a pod's containers."""
        self._tell = tell
        self._spawner = spawner
        self._number = number
        self._report: Json = {}
        self._ended: asyncio.Future[Json] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        """Send a signal to the step's launcher, if it still runs."""
        if not self._ended.done():
            self._spawner.signal(self._number, number)

    async def report(self) -> Json:
        """Wait until nothing of the step is left; what the launcher says of it."""
        return await self._ended

    def hear(self, message: Json) -> bool:
        """Take a message of the launcher; whether it was the last."""
        if "event" in message and self._tell is not None:
            self._tell(message["event"])
        elif "report" in message:
            self._report = message["report"]
        elif "exit" in message:
            self.end(message["exit"])
        return self._ended.done()

    def end(self, code: int) -> None:
        """Nothing of the step is left; `code` counts where the launcher has reported nothing else."""
        if not self._ended.done():
            self._ended.set_result(self._report or {"exit": code})


class Spawner:
    """The server of launchers, started when it is first needed and again should it be gone."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._steps: dict[int, Launched] = {}
        self._count = 0

    def start(self, spec: Json, stdout: int, stderr: int, tell: Tell | None = None) -> Launched:
        """Start the step that `spec` describes; the descriptors stay the caller's. Raises OSError.

        `tell` hears what the launcher says of a pod's containers while they run.
        """
        self._count += 1
        step = Launched(self, self._count, tell)
        place = {name: spec[name] for name in _SHARED if name in spec}
        rest = {name: value for name, value in spec.items() if name not in _SHARED}
        text = json.dumps({"step": self._count, "place": place, **rest}).encode()
        if len(text) <= _MESSAGE:
            self._ask(text, [stdout, stderr])
        else:
            file = _in_memory(json.dumps(rest).encode())
            try:
                head = {"step": self._count, "place": place, "file": True}
                self._ask(json.dumps(head).encode(), [file, stdout, stderr])
            finally:
                os.close(file)
        self._steps[self._count] = step
        return step

    def signal(self, step: int, number: int) -> None:
        """Pass a signal on to the launcher of a step; one that is gone needs none."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(json.dumps({"step": step, "signal": number}).encode())

    def close(self) -> None:
        """End the server; what it has started is killed with it."""
        if self._socket is not None and self._server is not None:
            self._forget()
            self._server.wait()

    def _ask(self, text: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._serving(), [text], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            socket.send_fds(self._serving(), [text], descriptors)

    def _serving(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(  # noqa: S603 - our own program
                    [*LAUNCHER, "serve", str(theirs.fileno()), str(os.getpid())],
                    pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True, env={}, cwd="/",
                )  # fmt: skip
            self._socket = ours
            asyncio.get_running_loop().add_reader(ours, self._read)
        return self._socket

    def _read(self) -> None:
        """Hand every message that has come to its step; none come any more when server and launchers are gone."""
        while self._socket is not None:
            try:
                text = self._socket.recv(_REPORT, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:  # a server that was killed had not read all
                text = b""
            if not text:
                self._forget()
                return
            message = json.loads(text)
            step = self._steps.get(message["step"])
            if step is not None and step.hear(message):
                del self._steps[message["step"]]

    def _forget(self) -> None:
        """Close our end of the socket; the steps of which nothing was heard were killed."""
        if self._socket is not None:
            with suppress(RuntimeError):  # no loop runs any more
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for step in self._steps.values():
            step.end(128 + signal.SIGKILL)
        self._steps.clear()


def _in_memory(text: bytes) -> int:
    """A file that has no name: so that no secret is in an argument list or on a disk."""
    file = os.memfd_create("step", os.MFD_CLOEXEC)
    view = memoryview(text)
    while view:
        view = view[os.write(file, view) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file
