"""A container made ready: an overlay on its image, the configuration for the runtime, files in before and out after.

Files are put in and taken out by a child whose root is that of the container, with its volumes mounted: a link in an image
or left by a step leads nowhere else.
"""

import json
import os
from typing import Any

from tiphys.engine.launcher import files
from tiphys.engine.launcher.program import find_program
from tiphys.engine.launcher.root import bind
from tiphys.engine.launcher.system import NEWNS, NOSUID, PRIVATE, REC, check, libc, mount

Json = dict[str, Any]
_SEEN = "/proc/tiphys"  # where the child sees the attempt's folder; /proc is not mounted yet


def prepare(bundle: Json) -> str:
    """Make the root, put files into it; what to say if the image lacks the program. Raises OSError."""
    folder, upper = bundle["folder"], bundle["upper"]
    os.makedirs(folder, exist_ok=True)
    mount("tiphys", folder, "tmpfs", NOSUID, "mode=700")  # the configuration holds credentials: on no disk
    for each in (f"{folder}/rootfs", f"{upper}/upper", f"{upper}/work"):
        os.makedirs(each)
    os.chmod(f"{upper}/upper", 0o755)  # noqa: S103 - it is the container's root folder
    _overlay(bundle["lower"], upper, f"{folder}/rootfs", folder)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(bundle["config"], file)
    return _in_root(bundle, _put)


def collect(bundle: Json, limit: int) -> None:
    """Copy the outputs out of the container's root. Raises OSError."""
    if bundle["collect"]:
        message = _in_root(bundle, lambda each: _take(each, limit))
        if message:
            raise OSError(message)


def failure(bundle: Json) -> str:
    """What the runtime says if it could not start or hold the container; empty otherwise."""
    try:
        with open(f"{bundle['folder']}/log") as file:
            told = [json.loads(line) for line in file]
    except (OSError, ValueError):
        return ""
    return "; ".join(line["msg"] for line in told if line.get("level") in ("error", "fatal"))


def oom_killed(bundle: Json) -> bool:
    """Whether the kernel ended a process of the container because it passed its memory limit; its group is still there."""
    group = bundle["config"]["linux"]["cgroupsPath"]
    for path in (f"/sys/fs/cgroup/memory{group}/memory.oom_control", f"/sys/fs/cgroup{group}/memory.events"):
        try:
            with open(path) as file:
                return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in file)
        except OSError:
            continue
    return False


def _overlay(lower: str, upper: str, root: str, spare: str) -> None:
    try:
        mount("overlay", root, "overlay", 0, f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work")
    except OSError:
        # The state folder's file system may be no good for an overlay (another overlay, say): memory is.
        os.makedirs(f"{spare}/upper", mode=0o755)
        os.makedirs(f"{spare}/work")
        mount("overlay", root, "overlay", 0, f"lowerdir={lower},upperdir={spare}/upper,workdir={spare}/work")


def _in_root(bundle: Json, work: Any) -> str:
    """Do `work` in a child that has the container's root as its own; what it says. Raises OSError."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(ours)
            _enter(bundle)
            os.write(theirs, work(bundle).encode())
            code = 0
        except Exception as error:  # noqa: BLE001  # told to whoever waits
            os.write(theirs, str(error).encode()[:4000])
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        text = pipe.read().decode("utf-8", "replace")
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(text or "the process that handles the container's files was killed")
    return text


def _enter(bundle: Json) -> None:
    root = f"{bundle['folder']}/rootfs"
    check(libc.unshare(NEWNS), "unshare")
    mount("", "/", "", REC | PRIVATE)
    if os.path.islink(f"{root}/proc"):
        raise OSError("the image's /proc is a link: build it with a folder there")
    os.makedirs(f"{root}/proc", exist_ok=True)
    mount("tiphys", f"{root}/proc", "tmpfs", NOSUID, "mode=755")
    bind(bundle["attempt"], root + _SEEN)
    os.chroot(root)
    os.chdir("/")
    for volume in bundle["volumes"]:
        bind(_seen(bundle, volume["source"]), volume["path"])


def _seen(bundle: Json, path: str) -> str:
    return _SEEN + path.removeprefix(bundle["attempt"])


def _put(bundle: Json) -> str:
    """Input files, and the folders of outputs; a message if the program is missing."""
    for entry in bundle["files"]:
        new = _first_missing(os.path.dirname(entry["path"]))
        files.put({**entry, "source": _seen(bundle, entry["source"])})
        _give(new or entry["path"], bundle["owner"])
    for folder in bundle["folders"]:
        new = _first_missing(folder)
        os.makedirs(folder, exist_ok=True)
        if new:
            _give(new, bundle["owner"])
    process = bundle["config"]["process"]
    environment = dict(each.split("=", 1) for each in process["env"])
    os.makedirs(process["cwd"], exist_ok=True)
    os.chdir(process["cwd"])
    return find_program(process["args"][0], environment)[1]


def _first_missing(folder: str) -> str:
    """The uppermost folder that making `folder` will make; empty if it is there."""
    missing = ""
    while not os.path.lexists(folder):
        missing, folder = folder, os.path.dirname(folder)
    return missing


def _give(path: str, owner: list[int]) -> None:
    """Let the container's user own what was put there for it."""
    os.chown(path, *owner, follow_symlinks=False)
    for folder, names, others in os.walk(path):
        for name in (*names, *others):
            os.chown(os.path.join(folder, name), *owner, follow_symlinks=False)


def _take(bundle: Json, limit: int) -> str:
    for entry in bundle["collect"]:
        files.collect({**entry, "target": _seen(bundle, entry["target"])}, limit)
    return ""
