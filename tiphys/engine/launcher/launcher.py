"""A launcher: a process that runs one step after another, each to its last descendant."""

import fcntl
import json
import os
import select
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
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    fork_into,
    prctl,
    settle,
)

Json = dict[str, Any]
MESSAGE = 16384  # bytes; a longer spec comes as a file
READY, DONE = b"ready", b"done"
OOM_SCORE = 500  # of 1000, which would be to go whatever the size; Kubernetes gives such values to pods


class Launcher:
    """What a launcher has while it lives. SIGTERM goes on to the program; SIGUSR1 kills everything of the step.

    SIGUSR1 also comes when the server dies. A launcher to which the server has sent a signal gets no other step, so a
    signal that comes late ends nobody else's program.
    """

    def __init__(
        self, place: Json, folder: str, asked: socket.socket, engine: socket.socket, owner: tuple[int, int]
    ) -> None:
        """`place` is what all steps share; specs come from `asked`, reports go to `engine`. Raises OSError.

        `folder` is for the launcher alone; the server takes it away. With private roots this process is PID 1, which
        has yet to become `owner`, user and group, again.
        """
        self._asked = asked
        self._engine = engine
        self._number = 0
        if place["private"]:
            settle(*owner)
        # Held until everything of the steps is gone: an engine that takes over waits for it.
        alive = os.open(place["alive"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(alive, fcntl.LOCK_SH)
        self._own = os.path.join(folder, "own")
        os.makedirs(self._own, exist_ok=True)
        self._root: Root | None = None
        if place["private"]:
            os.chmod(self._own, 0o1777)  # noqa: S103  # a /tmp
            os.makedirs(place["root"], exist_ok=True)
            self._root = Root(place["root"], place["keep"], self._own)
            prctl(PR_SET_DUMPABLE, 0)  # no step may meddle with it
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
            if self._root is None or self._root.serves(spec):
                code = self._here(spec, *descriptors)
            else:
                code = self._apart(self._root, spec, *descriptors)
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

    def _apart(self, root: Root, spec: Json, out: int, err: int) -> int:
        """Run the step with mounts of its own, as PID 1 of a namespace with which all that it left running dies."""
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

    def _here(self, spec: Json, out: int, err: int) -> int:
        """Run the step as a child of ours; what it leaves running is killed when it ends; its exit code."""
        redirect(out, err)
        signal.signal(signal.SIGUSR1, self._kill_all)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        if self._root is None:
            self._give_home(spec)
            report = self._run_with_links(spec)
        else:
            report = step.run(spec, self._event)
            self._end_the_rest()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        while signal.sigtimedwait({signal.SIGTERM}, 0):
            pass  # of the step's own, to PID 1; if it is the server's, there is no next step
        os.chdir("/")
        for standard in (1, 2):  # whoever reads the step's output waits for the end of it
            os.dup2(0, standard)
        if self._root is None and os.listdir(self._own):
            shutil.rmtree(self._own, ignore_errors=True)
            os.makedirs(self._own, exist_ok=True)
        return self._report(report)

    def _run_with_links(self, spec: Json) -> Json:
        try:
            files.link_volumes(spec)
            report = step.run(spec, self._event)
        except OSError as error:
            report = {"error": f"the step's volumes can't be mounted: {error}"}
        self._end_the_rest()
        files.unlink_volumes(spec)
        return report

    def _end_the_rest(self) -> None:
        """Kill what a step has left running."""
        if self._root is None:
            program.kill_descendants()
        else:
            program.kill_namespace()

    def _kill_all(self, *_: object) -> None:
        """What SIGUSR1 does."""
        self._end_the_rest()
        os._exit(137)

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


def be_the_first_to_go() -> None:
    """When the machine runs out of memory, let the kernel end a step, and neither the engine nor a server."""
    with open("/proc/self/oom_score_adj", "r+") as file:
        score = int(file.read())
        file.seek(0)
        file.write(str(max(score, OOM_SCORE)))


def be(place: Json, folder: str, asked: socket.socket, engine: socket.socket, owner: tuple[int, int]) -> None:
    """Be a launcher for a user and group, and end."""
    prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    alone = select.poll()
    alone.register(asked, 0)
    if alone.poll(0):
        os._exit(137)  # the server was gone before we asked to hear of it
    os.setsid()
    be_the_first_to_go()
    try:
        Launcher(place, folder, asked, engine, owner).serve()
    except OSError as error:
        asked.send(json.dumps({"error": f"the step's launcher can't begin: {error}"}).encode())
    os._exit(0)
