"""The server: keeps launchers, hands each step to one that is free, and passes the engine's signals on.

A message of the engine is `{"step": N, "place": {...}, ...}` with two descriptors, stdout and stderr, or `{"signal": S,
"step": N}`. Launchers answer the engine themselves, on the same socket; the server speaks for one that has died.
"""

import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from tiphys.engine.launcher import launcher
from tiphys.engine.launcher.program import WATCHED, signal_quietly
from tiphys.engine.launcher.root import probe
from tiphys.engine.launcher.system import PR_SET_PDEATHSIG, fork_apart, prctl

Json = dict[str, Any]


class Kept:
    """A launcher as the server sees it."""

    def __init__(self, pid: int, ours: socket.socket, place: Json, folder: str) -> None:
        """`ours` is our end of the socket to it; `folder` is its own."""
        self.pid = pid
        self.socket = ours
        self.place = place
        self.folder = folder
        self.step: int | None = None
        self.error = ""
        self.fit = True

    @property
    def free(self) -> bool:
        """Whether it can take a step."""
        return self.fit and self.step is None


class Server:
    """All launchers of one engine."""

    def __init__(self, engine: socket.socket) -> None:
        """`engine` is the socket from which steps come."""
        self._engine = engine
        self._launchers: dict[int, Kept] = {}  # by the descriptor of its socket
        self._steps: dict[int, Kept] = {}
        self._cleaners: set[int] = set()
        self._count = 0
        self._poll = select.poll()
        self._poll.register(engine, select.POLLIN)

    def serve(self) -> None:
        """Until the engine's end of the socket closes; then everything is ended."""
        ours = self._engine.fileno()
        while True:
            # Launchers first: one that is free again need not be forked.
            for descriptor, _ in sorted(self._poll.poll(), key=lambda event: event[0] == ours):
                if descriptor != ours:
                    self._hear(self._launchers[descriptor])
                elif not self._obey():
                    self._end()
                    return

    def _obey(self) -> bool:
        """One message of the engine; False if there will be none any more."""
        text, descriptors, _, _ = socket.recv_fds(self._engine, launcher.MESSAGE, 3)
        if not text:
            return False
        head: Json = json.loads(text)
        number = head["step"]
        if "signal" in head:
            if number in self._steps:
                kept = self._steps[number]
                kept.fit = False
                signal_quietly(kept.pid, head["signal"])
            return True
        try:
            kept = self._free(head["place"]) or self._fork(head["place"], descriptors)
        except OSError as error:
            self._engine.send(json.dumps({"step": number, "report": {"error": str(error)}}).encode())
            self._engine.send(json.dumps({"step": number, "exit": 1}).encode())
            for each in descriptors:
                os.close(each)
            return True
        kept.step = number
        self._steps[number] = kept
        with suppress(BrokenPipeError, ConnectionResetError):  # it could not begin: its end is heard of soon
            socket.send_fds(kept.socket, [text], descriptors)
        for each in descriptors:
            os.close(each)
        return True

    def _free(self, place: Json) -> Kept | None:
        return next((kept for kept in self._launchers.values() if kept.free and kept.place == place), None)

    def _fork(self, place: Json, received: list[int]) -> Kept:
        """A new launcher, which keeps nothing open that we `received` for a step."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._count += 1
        folder = os.path.join(os.path.dirname(place["root"]), f"launcher-{os.getpid()}-{self._count}")
        owner = os.getuid(), os.getgid()
        child = fork_apart() if place["private"] else os.fork()
        if child == 0:
            try:
                ours.close()
                for each in received:
                    os.close(each)
                for other in self._launchers.values():
                    other.socket.close()
                launcher.be(place, folder, theirs, self._engine, owner)
            finally:
                os._exit(1)
        theirs.close()
        kept = self._launchers[ours.fileno()] = Kept(child, ours, place, folder)
        self._poll.register(ours, select.POLLIN)
        return kept

    def _hear(self, kept: Kept) -> None:
        """What a launcher says; nothing, if it has ended."""
        try:
            text = kept.socket.recv(launcher.MESSAGE)
        except ConnectionResetError:  # it left something unread
            text = b""
        if not text:
            self._bury(kept)
        elif text in (launcher.READY, launcher.DONE):
            if kept.step is not None:
                self._steps.pop(kept.step, None)
            kept.step = None
            if text == launcher.DONE:
                kept.fit = False
            elif not kept.fit:
                self._dismiss(kept)
        else:
            kept.fit, kept.error = False, json.loads(text)["error"]

    def _dismiss(self, kept: Kept) -> None:
        """Let a launcher end that is not to be used again."""
        kept.socket.shutdown(socket.SHUT_WR)

    def _bury(self, kept: Kept) -> None:
        """Reap a launcher that has ended, report its step if it had one, take its folder away."""
        self._poll.unregister(kept.socket)
        del self._launchers[kept.socket.fileno()]
        kept.socket.close()
        os.waitpid(kept.pid, 0)
        if kept.step is not None:
            self._steps.pop(kept.step, None)
            with suppress(BrokenPipeError, ConnectionResetError):
                if kept.error:
                    self._engine.send(json.dumps({"step": kept.step, "report": {"error": kept.error}}).encode())
                self._engine.send(json.dumps({"step": kept.step, "exit": 128 + signal.SIGKILL}).encode())
        self._clean(kept.folder)

    def _clean(self, folder: str) -> None:
        """Remove a launcher's folder; what a step left in it may take long.

        It is for the server to do: in a launcher's own mount namespace other folders may hang below it.
        """
        self._cleaners = {pid for pid in self._cleaners if not os.waitpid(pid, os.WNOHANG)[0]}
        try:
            os.rmdir(os.path.join(folder, "own"))
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            cleaner = os.fork()
            if cleaner == 0:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                try:
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os._exit(0)
            self._cleaners.add(cleaner)

    def _end(self) -> None:
        """End all launchers and what they run."""
        for kept in list(self._launchers.values()):
            if kept.step is not None:
                signal_quietly(kept.pid, signal.SIGUSR1)
            kept.fit = False
            self._dismiss(kept)
        for kept in list(self._launchers.values()):
            self._bury(kept)
        for pid in self._cleaners:
            os.waitpid(pid, 0)


def serve(descriptor: int, engine: int) -> None:
    """Serve the engine whose PID is `engine`, and end."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != engine:
        os._exit(137)
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    gc.disable()
    gc.freeze()
    Server(socket.socket(fileno=descriptor)).serve()
    os._exit(0)


def main() -> None:
    """`serve DESCRIPTOR PID`, or `probe`: exit 0 if this kernel lets us make private roots."""
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), int(sys.argv[3]))
    try:
        sys.exit(0 if probe() else 1)
    except OSError:
        sys.exit(1)
