# This starts for every step: what pathlib and contextlib cost at import counts.
# ruff: noqa: PTH101, PTH103, PTH108, PTH110, PTH112, PTH113, PTH114, PTH115, PTH118, PTH120, PTH123, PTH208, PTH211
# ruff: noqa: SIM105, S108, PLC0415, D402
"""Runs one step: private root, PID namespace, files in, the program, files out. A script of its own: no imports of ours.

Started once an engine as `python -I -S launcher.py --serve SOCKET_FD ENGINE_PID`; it forks for each step, because to
start Python takes longer than most small programs run. A request on the socket brings four descriptors: the spec (a
file of JSON, so that no secret is in an argument list), the status pipe, stdout and stderr. The fork writes one JSON
line to the status pipe: `{"exit": N}`, or `{"error": TEXT}` when the step could not be started. SIGTERM goes on to the
program; SIGUSR1, which also comes when the server or its engine dies, kills everything.

As root, or where the kernel allows user namespaces, the step gets a root of its own: a tmpfs with the host's folders
bound in, a fresh /tmp, a fresh /proc, and overlays where it declares files, so that two steps may write the same
absolute path. `"private": false` in the spec does without.
"""

import ctypes
import fcntl
import json
import os
import signal
import stat
import sys
from typing import Any

NEWNS, NEWPID, NEWUSER = 0x20000, 0x20000000, 0x10000000
BIND, REC, PRIVATE, NOSUID, NODEV, NOEXEC = 0x1000, 0x4000, 0x40000, 2, 4, 8
DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
MISSING_PROGRAM = 64

Json = dict[str, Any]
libc = ctypes.CDLL(None, use_errno=True)
# Blocked in a launcher from its first moment and taken by sigwaitinfo: to a Python handler a signal that comes just
# before a call that waits is lost until the call returns.
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1}


def check(result: int, what: str) -> None:
    """Raise OSError if a C call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call mount(2)."""
    check(libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()), f"mount {target}")


def prctl(option: int, value: int) -> None:
    """Call prctl(2)."""
    check(libc.prctl(option, value, 0, 0, 0), "prctl")


def unshare() -> None:
    """New mount and PID namespaces; with a user namespace that maps us to ourselves where we are not root."""
    if libc.unshare(NEWNS | NEWPID) == 0:
        return
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(NEWUSER | NEWNS | NEWPID), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def bind(source: str, target: str) -> None:
    """Show `source` at `target`, with what is mounted below it."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    mount(source, target, "", BIND | REC)


def build_root(spec: Json) -> None:
    """Make the private root and move into it."""
    mount("", "/", "", REC | PRIVATE)
    root = spec["root"]
    mount("tiphys", root, "tmpfs", NOSUID, "mode=755")
    for name in sorted(os.listdir("/")):
        host, inside = "/" + name, os.path.join(root, name)
        mode = os.lstat(host).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(host), inside)
        elif name not in ("tmp", "proc"):
            try:
                bind(host, inside)
            except OSError:
                if stat.S_ISDIR(mode):
                    os.makedirs(inside, exist_ok=True)
    bind(spec["tmp"], os.path.join(root, "tmp"))
    mount_proc(os.path.join(root, "proc"))
    shelter(spec, root)
    for path in spec["keep"]:
        if covered(spec, path) and os.path.exists(path):
            bind(path, root + path)
    for volume in spec["volumes"]:
        bind(volume["source"], root + volume["path"])
    enter(root)


def mount_proc(target: str) -> None:
    """A /proc of the new PID namespace; the host's where the kernel does not let us."""
    os.makedirs(target, exist_ok=True)
    try:
        mount("proc", target, "proc", NOSUID | NODEV | NOEXEC)
    except OSError:
        mount("/proc", target, "", BIND | REC)


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def covered(spec: Json, path: str) -> bool:
    """Whether what we put over the host's folders hides `path`."""
    return inside(path, "/tmp") or any(inside(path, folder) for folder in spec["sheltered"])


def shelter(spec: Json, root: str) -> None:
    """Lay an overlay over each host folder in which the step declares a file."""
    spec["sheltered"] = []
    for path in sorted(map(real, spec["declared"]), key=len):
        if inside(path, "/tmp") or inside(path, "/dev") or any(inside(path, kept) for kept in spec["keep"]):
            continue
        folder = os.path.dirname(path)
        while folder != "/" and not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        if folder == "/" or any(inside(folder, other) for other in spec["sheltered"]):
            continue
        place = os.path.join(spec["overlays"], str(len(spec["sheltered"])))
        os.makedirs(place + "/upper")
        os.makedirs(place + "/work")
        try:
            overlay(folder, place, root + folder)
        except OSError:
            # The state folder's file system may be no good for an overlay (another overlay, say): memory is.
            mount("tiphys", place, "tmpfs", NOSUID, "mode=755")
            os.makedirs(place + "/upper")
            os.makedirs(place + "/work")
            overlay(folder, place, root + folder)
        spec["sheltered"].append(folder)


def real(path: str) -> str:
    """The path without links in the folders that lead to it: `/var/run/x` may be `/run/x`."""
    folder, _, name = path.rstrip("/").rpartition("/")
    return os.path.join(os.path.realpath(folder or "/"), name)


def guard(spec: Json, path: str) -> None:
    """Raise OSError where a declared path is something of this machine that the step would take away or write over."""
    if os.path.normpath(path) != path.rstrip("/") or not path.startswith("/"):
        raise OSError(f"{path!r} is no plain absolute path: write it without . and ..")
    found = real(path)
    own = ["/tmp", *(volume["path"] for volume in spec["volumes"])]
    own += spec["sheltered"] if spec["private"] else ["/var/tmp"]
    kept = any(inside(found, folder) for folder in spec["keep"])
    if os.path.lexists(found) and (kept or not any(found != folder and inside(found, folder) for folder in own)):
        raise OSError(f"{path} is there on this machine and would be replaced: choose a path that is the step's own")


def overlay(lower: str, place: str, target: str) -> None:
    """Show `lower` at `target`; what is written there goes to `place`."""
    options = f"lowerdir={lower},upperdir={place}/upper,workdir={place}/work"
    mount("overlay", target, "overlay", 0, options)


def enter(root: str) -> None:
    """Make `root` the root."""
    os.chdir(root)
    number = SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is not None and libc.syscall(number, b".", b".") == 0:
        check(libc.umount2(b".", DETACH), "umount the old root")
    else:
        mount(".", "/", "", 0x2000)
        os.chroot(".")
    os.chdir("/")


def place(spec: Json, entry: Json) -> None:
    """Put an input file or folder at its path."""
    import shutil

    source, path = entry["source"], entry["path"]
    guard(spec, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    remove(path)
    if os.path.isdir(source):
        shutil.copytree(source, path, symlinks=True)
    else:
        shutil.copy2(source, path)
    if entry.get("mode") is not None:
        set_mode(path, entry["mode"], recursive=entry.get("recursive", False))


def set_mode(path: str, mode: int, *, recursive: bool) -> None:
    """chmod, of everything below too when `recursive`."""
    os.chmod(path, mode)
    if recursive:
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                each = os.path.join(folder, name)
                if not os.path.islink(each):  # what it leads to may be anyone's
                    os.chmod(each, mode)


def remove(path: str) -> None:
    """Take away a file or folder that is in the way."""
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def measure(path: str, limit: int) -> None:
    """Raise OSError if an output is too large, holes included, or holds what can't be stored."""
    total = 0
    paths = [path]
    for folder, folders, files in os.walk(path):
        paths += [os.path.join(folder, name) for name in folders + files]
    for each in paths:
        try:
            found = (os.stat if each == path else os.lstat)(each)
        except OSError:
            continue
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            raise OSError(f"{each} is a device, pipe or socket, which can't be an output")
        total += found.st_size if stat.S_ISREG(found.st_mode) else 0
        if total > limit:
            raise OSError(f"{path} has more than {limit:,} bytes, the engine's limit for one output")


def collect(entry: Json, limit: int) -> None:
    """Copy an output out of the private root; one that is not there is left out."""
    import shutil

    path, target = entry["path"], entry["target"]
    measure(path, limit)
    if os.path.isdir(path):
        shutil.copytree(path, target, symlinks=True)
    elif os.path.isfile(path):
        shutil.copy2(path, target)


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
    child, report = start_program(spec)
    while report is None:
        number = signal.sigwaitinfo(WATCHED).si_signo
        if number == signal.SIGTERM:
            signal_quietly(child, signal.SIGTERM)
        elif number == signal.SIGUSR1:
            obey_the_end()
        else:
            report = reap_until(child)
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


def load_containers() -> Any:
    """The part that runs several containers; loaded while the checkout is still in sight."""
    sys.path.append(os.path.dirname(__file__))
    import importlib

    return importlib.import_module("launch_containers")


def signal_quietly(pid: int, number: int) -> None:
    """kill(2) on a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def exit_code(status: int) -> int:
    """The exit code of a wait status; 128 + n for signal n."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def run_step(spec: Json) -> Json:
    """Files in, program, files out; the report."""
    try:
        if not spec["private"]:
            for entry in spec["collect"]:
                guard(spec, entry["path"])
                remove(entry["path"])
        for entry in spec["files"]:
            place(spec, entry)
        for folder in spec["folders"]:
            os.makedirs(folder, exist_ok=True)
    except OSError as error:
        return {"error": f"the step's files can't be put in place: {error}"}
    module = spec.get("module")
    report = module.supervise(spec, sys.modules[__name__]) if module else supervise(spec)
    try:
        for entry in spec["collect"]:
            collect(entry, spec["limit"])
    except OSError as error:
        report.setdefault("error", f"the step's outputs can't be read: {error}")
    if not spec["private"]:
        for entry in (*spec["files"], *spec["collect"]):
            clear(entry["path"])
    return report


def clear(path: str) -> None:
    """Take what the step declared off the host's folders again; `guard` has seen that it was not there before."""
    try:
        remove(path)
    except OSError:
        pass


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


def send(descriptor: int, report: Json) -> None:
    """Write the report."""
    os.write(descriptor, json.dumps(report).encode() + b"\n")


def private(spec: Json, status: int) -> None:
    """Run the step as PID 1 of a namespace of its own."""
    unshare()
    init = os.fork()
    if init == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            build_root(spec)
            report = run_step(spec)
        except OSError as error:
            report = {"error": f"the step's private root can't be made: {error}"}
        send(status, report)
        os._exit(0)
    while os.waitpid(init, os.WNOHANG)[0] == 0:
        number = signal.sigwaitinfo(WATCHED).si_signo
        if number != signal.SIGCHLD:
            signal_quietly(init, signal.SIGTERM if number == signal.SIGTERM else signal.SIGKILL)


def shared(spec: Json, status: int) -> None:
    """Run the step on the host's own folders; what it leaves running is killed when it ends."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)

    def kill_all(*_: object) -> None:
        kill_descendants()
        os._exit(137)

    signal.signal(signal.SIGUSR1, kill_all)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    try:
        link_volumes(spec)
        report = run_step(spec)
    except OSError as error:
        report = {"error": f"the step's volumes can't be mounted: {error}"}
    kill_descendants()
    unlink_volumes(spec)
    send(status, report)


def link_volumes(spec: Json) -> None:
    """Without a private root a volume is a link at its path, which must be free; /tmp is that of the machine."""
    for volume in spec["volumes"]:
        path = volume["path"]
        attempts = os.path.dirname(os.path.dirname(spec["overlays"]))
        if os.path.islink(path) and not os.path.exists(path) and inside(os.readlink(path), attempts):
            os.unlink(path)  # of a step that was killed
        if os.path.lexists(path) and path != "/tmp":
            raise OSError(17, f"{path} exists on this machine, and without namespaces nothing can hide it")
        if path != "/tmp":
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(volume["source"], path)


def unlink_volumes(spec: Json) -> None:
    """Take away the links that were made."""
    for volume in spec["volumes"]:
        if os.path.islink(volume["path"]) and os.readlink(volume["path"]) == volume["source"]:
            os.unlink(volume["path"])


def probe() -> int:
    """Exit 0 if this kernel lets us make private roots."""
    unshare()
    init = os.fork()
    if init == 0:
        try:
            mount("", "/", "", REC | PRIVATE)
            mount("tiphys", "/tmp", "tmpfs", NOSUID, "mode=755")
            os._exit(0)
        except OSError:
            os._exit(1)
    return exit_code(os.waitpid(init, 0)[1])


def serve(descriptor: int, engine: int) -> None:
    """Fork for each step that the engine asks for, and pass its signals on, until its end of the socket closes."""
    import gc
    import shutil  # noqa: F401  # here once, not in every fork
    import socket

    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != engine:
        os._exit(137)
    children: dict[int, int] = {}  # pid -> the engine's number of the step
    asked = socket.socket(fileno=descriptor)
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: reap(children))
    gc.disable()
    gc.freeze()
    while True:
        text, descriptors, _, _ = socket.recv_fds(asked, 4096, 4)
        if not text:
            os._exit(0)
        request = json.loads(text)
        if "signal" in request:
            for pid, number in list(children.items()):
                if number == request["step"]:
                    signal_quietly(pid, request["signal"])
            continue
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        server = os.getpid()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked.close()
            try:
                one(descriptors, server)
            finally:
                os._exit(1)
        children[child] = request["step"]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        for each in descriptors:
            os.close(each)


def reap(children: dict[int, int]) -> None:
    """Forget the steps that have ended."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        children.pop(pid, None)


def one(descriptors: list[int], server: int) -> None:
    """Be the launcher of one step, and end."""
    prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() != server:
        os._exit(137)
    os.setsid()
    source, status, out, err = descriptors
    os.dup2(out, 1)
    os.dup2(err, 2)
    with os.fdopen(source, "rb") as file:
        spec = json.load(file)
    os.close(out)
    os.close(err)
    run_one(spec, status)
    os._exit(0)


def run_one(spec: Json, status: int) -> None:
    """Run the step that `spec` describes."""
    if "containers" in spec:
        spec["module"], spec["status"] = load_containers(), status
    # Held until everything of this step is gone: an engine that takes over waits for it.
    alive = os.open(spec["alive"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(alive, fcntl.LOCK_SH)
    try:
        (private if spec["private"] else shared)(spec, status)
    except OSError as error:
        send(status, {"error": str(error)})


def main() -> None:
    """See the module's docstring."""
    if sys.argv[1] == "--serve":
        serve(int(sys.argv[2]), int(sys.argv[3]))
    try:
        sys.exit(probe())
    except OSError:
        sys.exit(1)


if __name__ == "__main__":
    main()
