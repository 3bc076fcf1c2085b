"""SIGTERM for the program of a container and its process group: not before it runs, and obeyed as outside of PID 1.

Until the program is there, the runtime stands in its place, and makes of a signal an end of its own, with exit code 1, 2
or 143. And from PID 1, which the program then is, the kernel keeps a signal that would end it by default; in Argo the
emissary is PID 1 and signals the program's group, so there the signal ends the program, and its children hear it too.
When PID 1 ends, the kernel kills what is left in the container. So one that does not care for SIGTERM is stopped first,
which is as good as ended, and killed when those of its group that care have ended. The end of the grace is others' to see to.
"""

import contextlib
import json
import os
import shutil
import signal

AGAIN = 0.01  # seconds until the next look at a program that is not there yet, or has yet to end
_SETTING_UP = "runc:["  # how the runtime's own process is called, before it becomes the program
_KILLED, _TERMINATED = 128 + signal.SIGKILL, 128 + signal.SIGTERM


class Termination:
    """A SIGTERM on its way to the program of one container; while `wanted` it has to be brought again."""

    def __init__(self, state: str) -> None:
        """`state` is the file in which the runtime keeps the container's."""
        self._state = state
        self._told = self._stopped = self._killed = False
        self._awaited: list[int] = []
        self.wanted = False

    def bring(self) -> None:
        """End the program as SIGTERM does, as far as that has come by now; never waits."""
        first = _first_process(self._state)
        with contextlib.suppress(ProcessLookupError):
            if first and not self._told:
                self._tell(first)
            self.wanted = not first or any(map(_heeds, self._awaited))
            if self._stopped and not self.wanted:
                self._killed = True
                os.kill(first, signal.SIGKILL)

    def _tell(self, first: int) -> None:
        """Signal the group. What PID 1 would do after the end of its children it must not do: it would be dead."""
        self._told = True
        if _dies_of_it(first):
            self._stopped = True
            os.kill(first, signal.SIGSTOP)
            self._awaited = [pid for pid in _group(first) if _heeds(pid)]
        os.kill(-first, signal.SIGTERM)

    def begin_again(self) -> None:
        """Let the runtime make a container that has ended once more: it refuses one of which there is a state."""
        shutil.rmtree(os.path.dirname(self._state), ignore_errors=True)

    def code(self, code: int) -> int:
        """The exit code to tell, from the one that the runtime had."""
        return _TERMINATED if self._killed and code == _KILLED else code


def _first_process(state: str) -> int:
    """The PID of the container's program; 0 while there is none."""
    try:
        with open(state) as file:
            pid = int(json.load(file)["init_process_pid"])
        with open(f"/proc/{pid}/comm") as file:
            return 0 if file.read().startswith(_SETTING_UP) else pid
    except (OSError, ValueError, KeyError):
        return 0


def _group(leader: int) -> list[int]:
    """The processes of a process group but its leader."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(ProcessLookupError):
            if name.isdigit() and int(name) != leader and os.getpgid(int(name)) == leader:
                found.append(int(name))
    return found


def _dies_of_it(pid: int) -> bool:
    """Whether a process leaves SIGTERM to the kernel."""
    return _kept_by(pid) == set()


def _heeds(pid: int) -> bool:
    """Whether a process does something at a SIGTERM, or will when it no longer blocks it; none that has ended."""
    kept = _kept_by(pid) or set()
    return bool(kept) and "SigIgn" not in kept


def _kept_by(pid: int) -> set[str] | None:
    """In which sets of a process SIGTERM is, of those it catches, ignores and blocks; none if it has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        return None
    if fields["State"].strip()[0] in "ZX":
        return None
    return {name for name in ("SigCgt", "SigIgn", "SigBlk") if int(fields[name], 16) >> (signal.SIGTERM - 1) & 1}
