"""Runs the containers of one pod: init containers one by one, then mains and sidecars side by side, each a process.

A container of a containerSet waits for its `dependencies`, as Argo's emissary does. A main that fails ends the others;
when all mains have ended, the sidecars do. The first success of a readiness probe, and what becomes of each container,
are told as they happen, before the launcher's own report.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from tiphys.engine.launcher.contained import AGAIN, Termination
from tiphys.engine.launcher.program import WATCHED, exit_code, find_program, obey_the_end, signal_quietly
from tiphys.engine.launcher.root import bind
from tiphys.engine.launcher.system import NEWNS, check, libc

Json = dict[str, Any]
NOT_STARTED, STOPPED = 64, 143
FIRST_PROBE = 0.05  # seconds; later ones come more slowly, up to the period that the manifest gives


class Container:
    """One container: how it is started, and how it ended. `seen` is the exit code that those who wait for it see."""

    def __init__(self, spec: Json) -> None:
        """`spec` is one entry of the launcher's `containers`."""
        self.spec = spec
        self.name: str = spec["name"]
        self.role: str = spec["role"]
        self.attempts: int = spec.get("attempts", 1)
        self.pid = 0
        self.exit: int | None = None
        self.seen: int | None = None
        self.message = ""
        self.not_before = 0.0
        self.termination = Termination(spec["state"]) if "state" in spec else None

    @property
    def waits(self) -> bool:
        """Neither running nor ended."""
        return self.pid == 0 and self.exit is None

    def terminate(self) -> None:
        """SIGTERM, if it runs."""
        if self.pid and self.termination is not None:
            self.termination.bring()
        elif self.pid:
            self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """A signal to its process group, if it runs."""
        if self.pid:
            signal_quietly(-self.pid if _leads(self.pid) else self.pid, number)

    @property
    def still_to_end(self) -> bool:
        """SIGTERM has to be brought once more."""
        return bool(self.pid and self.termination is not None and self.termination.wanted)


class Pod:
    """The containers of one pod while they run."""

    def __init__(self, spec: Json, tell: Callable[[Json], None]) -> None:
        """`tell` passes on what happens."""
        self.tell = tell
        self.grace: float = spec["grace"]
        self.containers = [Container(entry) for entry in spec["containers"]]
        self.inits = [item for item in self.containers if item.role == "init"]
        self.mains = [item for item in self.containers if item.role == "main"]
        self.sidecars = [item for item in self.containers if item.role == "sidecar"]
        self.probe = Probe(spec.get("probe"), spec["containers"][-1]) if spec.get("daemon") else None
        self.stopping = self.sidecars_told = False
        self.kill_at: float | None = None

    def run(self) -> Json:
        """Until all has ended; the report."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        while True:
            self.start_what_may()
            if self.over():
                break
            self.wait()
            self.reap()
            self.react()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        main = next((item for item in self.mains if item.name == "main"), None)
        ended = [{"name": item.name, "role": item.role, "exit": item.exit, "message": item.message}
                 for item in self.containers]  # fmt: skip
        return {"exit": main.exit if main else None, "containers": ended}

    def over(self) -> bool:
        """An init container failed, or every main and sidecar has ended."""
        if any(item.exit for item in self.inits):
            return True
        return all(item.exit is not None for item in (*self.inits, *self.mains, *self.sidecars))

    def say(self, **fields: Any) -> None:
        """One line to the engine."""
        self.tell(fields)

    def end(self, item: Container, code: int, message: str = "", seen: int | None = None) -> None:
        """Note how a container ended."""
        item.exit, item.message = code, message
        item.seen = code if seen is None else seen
        self.say(container=item.name, exit=code, message=message)

    # --- starting

    def start_what_may(self) -> None:
        """Start every container whose turn it is; one that can never run ends here, and may end others."""
        changed = True
        while changed and not any(item.exit for item in self.inits):
            changed = False
            for item in self.containers:
                if item.waits and item.not_before <= time.monotonic():
                    changed = self.consider(item) or changed

    def consider(self, item: Container) -> bool:
        """Start or end a waiting container if it is time; whether anything happened."""
        before = self.inits[: self.inits.index(item)] if item.role == "init" else self.inits
        if any(other.exit is None for other in before):
            return False
        by_name = {other.name: other for other in self.mains}
        for name in item.spec.get("dependencies") or []:
            other = by_name[name]
            if other.exit is None:
                if self.stopping:
                    break
                return False
            if other.seen:
                self.end(item, NOT_STARTED, f'dependency "{name}" exited with non-zero code: {other.seen}', other.seen)
                return True
        if self.stopping:
            self.end(item, STOPPED)
            return True
        self.start(item)
        return True

    def start(self, item: Container) -> None:
        """Fork and exec the container's program."""
        path, missing = find_program(item.spec["argv"][0], item.spec["env"])
        missing = item.spec.get("missing") or missing
        if missing:
            self.end(item, NOT_STARTED, missing)
            return
        item.pid = self.fork(item.spec, path, item.spec["argv"])
        self.say(container=item.name, running=True)
        if self.probe is not None and item.role == "main":
            self.probe.begin()
            self.tell_if_ready()

    def fork(self, container: Json, path: str, argv: list[str]) -> int:
        """A new process in the container's surroundings; its PID."""
        child = os.fork()
        if child:
            return child
        try:
            self.become(container)
            os.execve(path, argv, container["env"])  # noqa: S606
        except OSError as error:
            os.write(2, f"exec {path}: {error.strerror}\n".encode())
        os._exit(126)

    def become(self, container: Json) -> None:
        """In the child: signals, session, volumes of its own, log, folder."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        if container.get("volumes"):
            check(libc.unshare(NEWNS), "unshare")
            for volume in container["volumes"]:
                bind(volume["source"], volume["path"])
        if container.get("log"):
            log = os.open(container["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
        os.chdir(container["cwd"])

    # --- waiting

    def wait(self) -> None:
        """Until a child ends, SIGTERM comes, or something is due."""
        moments = [item.not_before for item in self.containers if item.waits and item.not_before]
        moments += [self.kill_at] if self.kill_at is not None else []
        moments += [time.monotonic() + AGAIN] if any(item.still_to_end for item in self.containers) else []
        moments += [self.probe.due] if self.probe is not None and self.probe.due is not None else []
        if not moments:
            number = signal.sigwaitinfo(WATCHED).si_signo
        else:
            found = signal.sigtimedwait(WATCHED, max(0.0, min(moments) - time.monotonic()))
            number = found.si_signo if found else 0
        if number == signal.SIGTERM:
            self.stopping = True
            self.terminate([*self.inits, *self.mains, *self.sidecars])
        elif number == signal.SIGUSR1:
            obey_the_end()

    def reap(self) -> None:
        """Take in every child that has ended."""
        running = {item.pid: item for item in self.containers if item.pid}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in running:
                self.ended(running[pid], exit_code(status))
            elif self.probe is not None and pid == self.probe.pid:
                self.probe.answered(success=status == 0)
                self.tell_if_ready()

    def ended(self, item: Container, code: int) -> None:
        """A container's process has ended: once more, or for good."""
        item.pid = 0
        item.attempts -= 1
        code = item.termination.code(code) if item.termination is not None else code
        if code != 0 and item.attempts > 0 and not self.stopping:
            item.not_before = time.monotonic() + item.spec.get("pause", 0.0)
            if item.termination is not None:
                item.termination.begin_again()
        else:
            self.end(item, code)

    def react(self) -> None:
        """End mains when one has failed, sidecars when all mains have ended; kill what does not go; probe."""
        now = time.monotonic()
        if any(item.exit for item in self.mains) and not self.stopping:
            self.stopping = True
            self.terminate(self.mains)
        if all(item.exit is not None for item in self.mains) and not self.sidecars_told:
            self.stopping = self.sidecars_told = True
            self.kill_at = None
            self.terminate(self.sidecars)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + self.grace
            for item in self.containers:
                item.signal(signal.SIGKILL)
        for item in self.containers:
            if item.still_to_end:
                item.terminate()
        if self.probe is not None and self.probe.due is not None and now >= self.probe.due:
            self.probe.ask(self)

    def terminate(self, items: list[Container]) -> None:
        """SIGTERM now, SIGKILL after the grace period."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.grace
        for item in items:
            item.terminate()

    def tell_if_ready(self) -> None:
        """Say once that the daemon is ready."""
        if self.probe is not None and self.probe.ready and not self.probe.told:
            self.probe.told = True
            self.say(ready=True)


def _leads(pid: int) -> bool:
    """Whether a container's process has begun its own process group; before that it has no children either."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


class Probe:
    """A readiness probe, asked until it has succeeded as often as the manifest wants; without one, ready at the start."""

    def __init__(self, spec: Json | None, container: Json) -> None:
        """`container` is the one that is probed."""
        self.spec = spec
        self.container = container
        self.needed = int((spec or {}).get("successThreshold") or 1)
        self.period = float((spec or {}).get("periodSeconds") or 10)
        self.pause = FIRST_PROBE
        self.due: float | None = None
        self.pid = 0
        self.ready = self.told = False

    def begin(self) -> None:
        """The container runs."""
        if self.spec is None:
            self.ready = True
        else:
            self.due = time.monotonic() + float(self.spec.get("initialDelaySeconds") or 0)

    def ask(self, pod: Pod) -> None:
        """Probe in a process of its own, which is not let run longer than the timeout."""
        self.due = None
        spec = self.spec or {}
        command = (spec.get("exec") or {}).get("command")
        limit = int(spec.get("timeoutSeconds") or 1)
        self.pid = os.fork()
        if self.pid:
            return
        try:
            pod.become({**self.container, "log": os.devnull})
            signal.alarm(limit)
            if command:
                words = [*self.container.get("enter", ()), *command]
                path, _missing = find_program(words[0], self.container["env"])
                os.execve(path, words, self.container["env"])  # noqa: S606
            os._exit(0 if _reachable(spec, limit) else 1)
        except OSError:
            os._exit(1)

    def answered(self, *, success: bool) -> None:
        """The probe's process has ended."""
        self.pid = 0
        if success:
            self.needed -= 1
        else:
            self.needed = int((self.spec or {}).get("successThreshold") or 1)
        if self.needed <= 0:
            self.ready = True
            return
        self.due = time.monotonic() + min(self.pause, self.period)
        self.pause *= 2


def _reachable(probe: Json, limit: int) -> bool:
    """Whether a tcpSocket or httpGet probe succeeds: a connection, or a status from 200 to 399."""
    import socket  # noqa: PLC0415

    target = probe.get("httpGet") or probe["tcpSocket"]
    host, port = target.get("host") or "127.0.0.1", int(target["port"])
    with socket.create_connection((host, port), timeout=limit) as connection:
        if "httpGet" not in probe:
            return True
        return _answers(_secured(connection, target), target, host)


def _secured(connection: Any, target: Json) -> Any:
    """TLS that checks no certificate, as a kubelet's probes, where the scheme says so."""
    if (target.get("scheme") or "HTTP").upper() != "HTTPS":
        return connection
    import ssl  # noqa: PLC0415

    return ssl._create_unverified_context().wrap_socket(connection)  # noqa: S323, SLF001


def _answers(connection: Any, target: Json, host: str) -> bool:
    headers = {"Host": host, "User-Agent": "kube-probe", "Connection": "close"}
    headers.update({entry["name"]: entry["value"] for entry in target.get("httpHeaders") or []})
    lines = [f"GET {target.get('path') or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n" not in answer and (chunk := connection.recv(4096)):
        answer += chunk
    words = answer.split(b" ", 2)
    return len(words) > 1 and words[1].isdigit() and 200 <= int(words[1]) < 400  # noqa: PLR2004


def supervise(spec: Json, tell: Callable[[Json], None]) -> Json:
    """Run the containers of `spec`; the launcher's report."""
    return Pod(spec, tell).run()
