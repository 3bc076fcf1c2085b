"""A launcher: a process that runs one step after another, each to its last descendant."""

import fcntl
import json
import os
import shutil
import signal
import socket
from typing import Any

from tiphys.engine.launcher import files, program, step
from tiphys.engine.launcher.program import WATCHED
from tiphys.engine.launcher.root import Root
from tiphys.engine.launcher.system import (
    NEWNS,
    NEWPID,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    fork_into,
    prctl,
)

Json = dict[str, Any]
MESSAGE = 16384  # bytes; a longer spec comes as a file
READY, DONE = b"ready", b"done"


def folder_of(place: Json, launcher: int) -> str:
    """The folder of a launcher's own, which the server takes away."""
    return os.path.join(os.path.dirname(place["root"]), f"launcher-{launcher}")


class Launcher:
    """What a launcher has while it lives. SIGTERM goes on to the program; SIGUSR1 kills everything of the step.

    SIGUSR1 also comes when the server dies. A launcher to which the server has sent a signal gets no other step, so a
    signal that comes late ends nobody else's program.
    """

    def __init__(self, place: Json, asked: socket.socket, engine: socket.socket) -> None:
        """`place` is what all steps share; specs come from `asked`, reports go to `engine`. Raises OSError."""
        self._asked = asked
        self._engine = engine
        self._number = 0
        # Held until everything of the steps is gone: an engine that takes over waits for it.
        alive = os.open(place["alive"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(alive, fcntl.LOCK_SH)
        self._own = os.path.join(folder_of(place, os.getpid()), "own")
        os.makedirs(self._own, exist_ok=True)
        self._root: Root | None = None
        if place["private"]:
            os.chmod(self._own, 0o1777)  # noqa: S103  # a /tmp
            os.makedirs(place["root"], exist_ok=True)
            self._root = Root(place["root"], place["keep"], self._own)
        else:
            prctl(PR_SET_CHILD_SUBREAPER, 1)

    def serve(self) -> None:
        """Run step after step, until the server closes its end or the root is no longer fit for another."""
        fit = True
        while fit:
            text, descriptors, _, _ = socket.recv_fds(self._asked, MESSAGE, 3)
            if not text:
                return
            spec = read_spec(text, descriptors)
            self._number = spec["step"]
            code = self._private(self._root, spec, *descriptors) if self._root else self._shared(spec, *descriptors)
            fit = self._root is None or self._root.untouched
            # The server first: the engine may send the next step at once.
            self._asked.send(READY if fit else DONE)
            self._tell({"exit": code})

    def _tell(self, message: Json) -> None:
        """Something about this step to the engine; `exit` is the last."""
        self._engine.send(json.dumps({"step": self._number, **message}).encode())

    def _event(self, event: Json) -> None:
        self._tell({"event": event})

    def _report(self, report: Json) -> int:
        """Tell what is more than an exit code; the exit code."""
        if report.keys() != {"exit"}:
            self._tell({"report": report})
        return int(report.get("exit") or 0)

    def _private(self, root: Root, spec: Json, out: int, err: int) -> int:
        """Run the step as PID 1 of a namespace, with which all that it left running dies; its exit code."""
        try:
            child = fork_into(NEWNS | NEWPID)
        except OSError as error:
            return self._report({"error": str(error)})
        if child == 0:
            try:
                self._be_first(root, spec, out, err)
            finally:
                os._exit(1)
        os.close(out)
        os.close(err)
        while True:
            number = signal.sigwaitinfo(WATCHED).si_signo
            if number != signal.SIGCHLD:
                program.signal_quietly(child, signal.SIGTERM if number == signal.SIGTERM else signal.SIGKILL)
                continue
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return program.exit_code(status)

    def _be_first(self, root: Root, spec: Json, out: int, err: int) -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        redirect(out, err)
        try:
            root.add(spec)
            report = step.run(spec, self._event)
        except OSError as error:
            report = {"error": f"the step's private root can't be made: {error}"}
        except Exception as defect:  # noqa: BLE001  # its exit code must not pass for the program's
            report = {"error": f"defect of the launcher: {type(defect).__name__}: {defect}"}
        os._exit(self._report(report))

    def _shared(self, spec: Json, out: int, err: int) -> int:
        """Run the step on the host's own folders; what it leaves running is killed when it ends; its exit code."""
        redirect(out, err)
        signal.signal(signal.SIGUSR1, kill_all)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        self._give_home(spec)
        try:
            files.link_volumes(spec)
            report = step.run(spec, self._event)
        except OSError as error:
            report = {"error": f"the step's volumes can't be mounted: {error}"}
        program.kill_descendants()
        files.unlink_volumes(spec)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.chdir("/")
        for standard in (1, 2):  # whoever reads the step's output waits for the end of it
            os.dup2(0, standard)
        if os.listdir(self._own):
            shutil.rmtree(self._own, ignore_errors=True)
            os.makedirs(self._own, exist_ok=True)
        return self._report(report)

    def _give_home(self, spec: Json) -> None:
        """A home for a step that was given none."""
        for each in (spec, *spec.get("containers", ())):
            if each["env"].get("HOME") == spec["home"]:
                each["env"]["HOME"] = self._own


def read_spec(text: bytes, descriptors: list[int]) -> Json:
    """The spec of the next step; one that is too long for a message is in a file, the first of `descriptors`."""
    spec: Json = json.loads(text)
    if spec.pop("file", False):
        with os.fdopen(descriptors.pop(0), "rb") as file:
            spec |= json.load(file)
    place: Json = spec.pop("place")
    return spec | place


def redirect(out: int, err: int) -> None:
    """Let stdout and stderr of this process be two that were received, which no program inherits otherwise."""
    for descriptor, standard in ((out, 1), (err, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)


def kill_all(*_: object) -> None:
    """What SIGUSR1 does where there is no PID namespace to end."""
    program.kill_descendants()
    os._exit(137)


def be(place: Json, asked: socket.socket, engine: socket.socket, server: int) -> None:
    """Be a launcher, and end."""
    prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() != server:
        os._exit(137)
    os.setsid()
    try:
        Launcher(place, asked, engine).serve()
    except OSError as error:
        asked.send(json.dumps({"error": f"the step's launcher can't begin: {error}"}).encode())
    os._exit(0)
