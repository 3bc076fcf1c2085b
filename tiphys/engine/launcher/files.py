"""A step's files: guarded, put in place, collected, taken away again."""

import os
import shutil
import stat
from typing import Any

Json = dict[str, Any]


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


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


def place(spec: Json, entry: Json) -> None:
    """Put an input file or folder at its path on the host's folders or in a private root."""
    guard(spec, entry["path"])
    put(entry)


def put(entry: Json) -> None:
    """Put an input file or folder at its path, whatever is there."""
    source, path = entry["source"], entry["path"]
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
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def clear(path: str) -> None:
    """Take what the step declared off the host's folders again; `guard` has seen that it was not there before."""
    try:
        remove(path)
    except OSError:
        pass


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
    path, target = entry["path"], entry["target"]
    measure(path, limit)
    if os.path.isdir(path):
        shutil.copytree(path, target, symlinks=True)
    elif os.path.isfile(path):
        shutil.copy2(path, target)


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
