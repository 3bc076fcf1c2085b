"""A step's program: found, started, waited for, and ended with all that it started."""

import os
import signal
from typing import Any

from tiphys.engine.launcher.contained import AGAIN, Termination

Json = dict[str, Any]
MISSING_PROGRAM = 64
# Blocked in a launcher from its first moment and taken by sigwaitinfo: to a Python handler a signal that comes just
# before a call that waits is lost until the call returns.
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1}


def find_program(name: str, environment: dict[str, str]) -> tuple[str, str]:
    """The program's path, or a message in Go's words."""
    if "/" in name:
        if os.path.isfile(name) and os.access(name, os.X_OK):
            return name, ""
        reason = "permission denied" if os.path.exists(name) else "no such file or directory"
        return "", f'failed to find name in PATH: exec: "{name}": stat {name}: {reason}'
    for folder in environment.get("PATH", "").split(":"):
        candidate = os.path.join(folder or ".", name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate, ""
    return "", f'failed to find name in PATH: exec: "{name}": executable file not found in $PATH'


def start_program(spec: Json) -> tuple[int, Json | None]:
    """Start the program; its PID, or a report if there is no such program."""
    path, missing = find_program(spec["argv"][0], spec["env"])
    if missing:
        return 0, {"exit": MISSING_PROGRAM, "message": missing}
    if not os.path.isdir(spec["cwd"]):
        return 0, {"error": f"workingDir {spec['cwd']} is not there"}
    os.chdir(spec["cwd"])
    defaults = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)
    try:
        # Cheaper than fork: the page tables of this interpreter are not copied.
        return os.posix_spawn(path, spec["argv"], spec["env"], setsid=True, setsigdef=defaults, setsigmask=()), None
    except OSError as error:
        os.write(2, f"exec {path}: {error.strerror}\n".encode())
        return 0, {"exit": 126}


def supervise(spec: Json) -> Json:
    """Start the program, pass SIGTERM on, reap until it ends; the report."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    termination = Termination(spec["state"]) if "state" in spec else None
    child, report = start_program(spec)
    while report is None:
        if termination is not None and termination.wanted:
            found = signal.sigtimedwait(WATCHED, AGAIN)
            number = found.si_signo if found else signal.SIGTERM
        else:
            number = signal.sigwaitinfo(WATCHED).si_signo
        if number == signal.SIGUSR1:
            obey_the_end()
        elif number == signal.SIGCHLD:
            report = reap_until(child)
        elif termination is not None:
            termination.bring()
        else:
            signal_quietly(child, signal.SIGTERM)
    if termination is not None and "exit" in report:
        report["exit"] = termination.code(report["exit"])
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return report


def reap_until(child: int) -> Json | None:
    """Reap whatever has ended; the report if `child` is among it."""
    report = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return report
        if not pid:
            return report
        if pid == child:
            report = {"exit": exit_code(status)}


def obey_the_end() -> None:
    """What SIGUSR1 asks for, where it is not for a PID namespace to do."""
    handler = signal.getsignal(signal.SIGUSR1)
    if callable(handler):
        handler(signal.SIGUSR1, None)


def signal_quietly(pid: int, number: int) -> None:
    """kill(2) on a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def exit_code(status: int) -> int:
    """The exit code of a wait status; 128 + n for signal n."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def descendants() -> list[int]:
    """The PIDs of all processes below this one."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    found: list[int] = []
    front = {os.getpid()}
    while front:
        front = {pid for pid, parent in parents.items() if parent in front}
        found += front
    return found


def kill_descendants() -> None:
    """SIGKILL everything below this process."""
    for _ in range(20):
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # orphans come to us: there are none, without a look at every process of the machine
        below = descendants()
        if not below:
            return
        for pid in below:
            signal_quietly(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def kill_namespace() -> None:
    """SIGKILL everything of the PID namespace whose PID 1 this process is, and wait until all of it is gone."""
    if os.getpid() != 1:  # it would be everything of this machine
        raise RuntimeError("only PID 1 of a namespace may end all of it")
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass
