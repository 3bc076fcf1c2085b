"""The system calls that Python lacks."""

import ctypes
import os
import signal

NEWNS, NEWPID, NEWUSER = 0x20000, 0x20000000, 0x10000000
BIND, REC, PRIVATE, NOSUID, NODEV, NOEXEC = 0x1000, 0x4000, 0x40000, 2, 4, 8
DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError if a C call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount something. Raises OSError."""
    check(libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()), f"mount {target}")


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process. Raises OSError."""
    check(libc.prctl(option, value, 0, 0, 0), "prctl")


def fork_into(flags: int) -> int:
    """os.fork(), the child in new namespaces: one process where unshare(2) and fork would take two."""
    python = ctypes.pythonapi  # keeps the interpreter's lock, so that the child has it too
    python.PyOS_BeforeFork()
    child = int(python.syscall(SYS_CLONE[os.uname().machine], flags | signal.SIGCHLD, 0, 0, 0, 0))
    if child == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    if child < 0:
        raise OSError("clone: this machine gives no new namespaces now")
    return child


def fork_apart() -> int:
    """os.fork(), the child as PID 1 with mounts of its own, which must `settle`. Raises OSError."""
    try:
        return fork_into(NEWNS | NEWPID)
    except OSError:  # we are not root
        return fork_into(NEWUSER | NEWNS | NEWPID)


def settle(uid: int, gid: int) -> None:
    """In the child of fork_apart: be who we were, and let no mount of ours be seen by others. Raises OSError."""
    with open("/proc/self/uid_map") as file:
        unknown = not file.read().strip()
    if unknown:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount("", "/", "", REC | PRIVATE)
