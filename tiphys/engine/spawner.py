"""Starts steps through one small process that forks for each: `launcher.py --serve`."""

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
LAUNCHER = str(Path(__file__).with_name("launcher.py"))


class Launched:
    """One step that was started."""

    def __init__(self, spawner: Spawner, number: int, status: int, tell: Tell | None) -> None:
        """`status` is the descriptor from which the report comes, and before it what `tell` is to hear of a pod."""
        self._tell = tell
        self._spawner = spawner
        self._number = number
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._status = status
        self._text = b""
        os.set_blocking(status, False)
        asyncio.get_running_loop().add_reader(status, self._read)

    def signal(self, number: int) -> None:
        """Send a signal to the step's launcher, if it still runs."""
        if not self._ended.done():
            self._spawner.signal(self._number, number)

    async def report(self) -> Json:
        """Wait until nothing of the step is left; what the launcher says of it."""
        await self._ended
        if not self._text.strip():
            return {"exit": 128 + signal.SIGKILL}
        report: Json = json.loads(self._text.splitlines()[-1])
        return report

    def _hand_on(self, tell: Tell) -> None:
        """Tell every whole line but the report, which comes last."""
        while (end := self._text.find(b"\n")) >= 0:
            event = json.loads(self._text[:end])
            if "containers" in event or "error" in event:
                return
            self._text = self._text[end + 1 :]
            tell(event)

    def _read(self) -> None:
        chunk = os.read(self._status, 65536)
        if chunk:
            self._text += chunk
            if self._tell is not None:
                self._hand_on(self._tell)
            return
        asyncio.get_running_loop().remove_reader(self._status)
        os.close(self._status)
        self._ended.set_result(None)


class Spawner:
    """The process that forks, started when it is first needed and again should it be gone."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._count = 0

    def start(self, spec: Json, stdout: int, stderr: int, tell: Tell | None = None) -> Launched:
        """Start the step that `spec` describes; the descriptors stay the caller's. Raises OSError.

        `tell` hears what the launcher says of a pod's containers while they run.
        """
        self._count += 1
        status, theirs = os.pipe()
        source = os.memfd_create("step", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(source), "wb") as file:
                file.write(json.dumps(spec).encode())
            os.lseek(source, 0, os.SEEK_SET)
            self._ask({"step": self._count}, [source, theirs, stdout, stderr])
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(source)
            os.close(theirs)
        return Launched(self, self._count, status, tell)

    def signal(self, step: int, number: int) -> None:
        """Pass a signal on to the launcher of a step; one that is gone needs none."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(json.dumps({"step": step, "signal": number}).encode())

    def close(self) -> None:
        """End the server; what it has started is killed with it."""
        if self._socket is not None and self._server is not None:
            self._socket.close()
            self._server.wait()
            self._socket = self._server = None

    def _ask(self, request: Json, descriptors: list[int]) -> None:
        text = json.dumps(request).encode()
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
                    [sys.executable, "-I", "-S", LAUNCHER, "--serve", str(theirs.fileno()), str(os.getpid())],
                    pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True, env={}, cwd="/",
                )  # fmt: skip
            self._socket = ours
        return self._socket
