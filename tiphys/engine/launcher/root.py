"""The private root: the host's folders in a small file system of its own, a fresh /tmp and /proc, and overlays.

A launcher makes one root and runs many steps on it. A step that declares files or mounts volumes runs in a copy of the
launcher's mount namespace, to which it adds what is its own. What a step can leave behind on the root is in / itself, in
/tmp, and what it has mounted: `untouched` sees it, and then the launcher is not used again.
"""

import os
import select
import stat
from typing import Any

from tiphys.engine.launcher.files import inside, real
from tiphys.engine.launcher.system import (
    BIND,
    DETACH,
    NODEV,
    NOEXEC,
    NOSUID,
    REC,
    SYS_PIVOT_ROOT,
    check,
    fork_apart,
    libc,
    mount,
    settle,
)

Json = dict[str, Any]
OVER_TMP = "/tmp"


class Root:
    """The root of one launcher, which becomes that of this process."""

    def __init__(self, place: str, keep: list[str], tmp: str) -> None:
        """In a process that has settled in mounts of its own, make it at `place`, an empty folder, and move in. `keep` stays visible whatever a step covers; /tmp is `tmp`.

        Raises OSError.
        """
        self._kept = {path: f"/proc/{index}" for index, path in enumerate(keep) if os.path.exists(path)}
        self._in_tmp = [path for path in self._kept if inside(path, OVER_TMP)]
        mount("tiphys", place, "tmpfs", NOSUID, "mode=755")
        _bind_host(place)
        bind(tmp, place + OVER_TMP)
        # Below the /proc that is mounted last: out of sight, and still there to be bound from.
        os.mkdir(place + "/proc")
        mount("tiphys", place + "/proc", "tmpfs", NOSUID, "mode=755")
        bind("/proc", place + "/proc/host")
        for path, spare in self._kept.items():
            bind(path, place + spare)
        for path in self._in_tmp:
            bind(path, place + path)
        _enter(place)
        self._ways = {OVER_TMP, *(way for path in self._in_tmp for way in _ways_to(path))}
        _mount_proc()
        self._untouched = self.traces()
        self._mounts = select.poll()
        # The kernel says of this file that it is ready, once, when a mount has come or gone.
        self._mounts.register(os.open("/proc/self/mounts", os.O_RDONLY | os.O_CLOEXEC), select.POLLPRI)

    @property
    def untouched(self) -> bool:
        """Whether the last step left nothing behind."""
        return not self._mounts.poll(0) and self.traces() == self._untouched

    @staticmethod
    def serves(spec: Json) -> bool:
        """Whether a step can run on the root as it is."""
        return not (spec["tmp"] or spec["volumes"] or spec["declared"] or spec.get("containers"))

    def traces(self) -> list[object]:
        """What a step can change for good: entries of /, of /tmp, and of the folders that lead to what we keep in it."""
        found: list[object] = [os.stat("/").st_ctime_ns]
        for folder in ("/", *sorted(self._ways)):
            try:
                about, names = os.stat(folder), sorted(os.listdir(folder))
            except OSError:
                return []
            found += [about.st_ino, about.st_dev, about.st_mode, about.st_uid, about.st_gid, names]
        return found

    def add(self, spec: Json) -> None:
        """Mount what is this step's own; it is PID 1 of its namespaces. Raises OSError."""
        check(libc.umount2(b"/proc", DETACH), "umount /proc")
        if spec["tmp"]:
            bind(spec["tmp"], OVER_TMP)
            for path in self._in_tmp:
                bind(self._kept[path], path)
        self._shelter(spec)
        for path, spare in self._kept.items():
            if any(inside(path, folder) for folder in spec["sheltered"]):
                bind(spare, path)
        for volume in spec["volumes"]:
            bind(volume["source"], volume["path"])
        _mount_proc()

    def _shelter(self, spec: Json) -> None:
        """Lay an overlay over each host folder in which the step declares a file."""
        spec["sheltered"] = []
        for path in sorted(map(real, spec["declared"]), key=len):
            if inside(path, OVER_TMP) or inside(path, "/dev") or any(inside(path, kept) for kept in spec["keep"]):
                continue
            folder = os.path.dirname(path)
            while folder != "/" and not os.path.isdir(folder):
                folder = os.path.dirname(folder)
            if folder == "/" or any(inside(folder, other) for other in spec["sheltered"]):
                continue
            self._overlay(folder, self._spare(spec["overlays"]) + f"/{len(spec['sheltered'])}")
            spec["sheltered"].append(folder)

    def _spare(self, path: str) -> str:
        """Another way to a path that we keep, which no overlay covers."""
        kept = next((each for each in self._kept if inside(path, each)), None)
        return path if kept is None else self._kept[kept] + path[len(kept) :]

    @staticmethod
    def _overlay(folder: str, place: str) -> None:
        """Let what is written to `folder` go to `place`."""
        options = f"lowerdir={folder},upperdir={place}/upper,workdir={place}/work"
        os.makedirs(place + "/upper")
        os.makedirs(place + "/work")
        try:
            mount("overlay", folder, "overlay", 0, options)
        except OSError:
            # The state folder's file system may be no good for an overlay (another overlay, say): memory is.
            mount("tiphys", place, "tmpfs", NOSUID, "mode=755")
            os.makedirs(place + "/upper")
            os.makedirs(place + "/work")
            mount("overlay", folder, "overlay", 0, options)


def _bind_host(root: str) -> None:
    """Show the host's folders, but those that a step has of its own."""
    for name in sorted(os.listdir("/")):
        host, target = "/" + name, os.path.join(root, name)
        mode = os.lstat(host).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(host), target)
        elif name not in ("tmp", "proc"):
            try:
                bind(host, target)
            except OSError:
                if stat.S_ISDIR(mode):
                    os.makedirs(target, exist_ok=True)


def bind(source: str, target: str) -> None:
    """Show `source` at `target`, with what is mounted below it. Raises OSError."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    mount(source, target, "", BIND | REC)


def _mount_proc() -> None:
    """A /proc of the new PID namespace; the host's where the kernel does not let us."""
    try:
        mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)
    except OSError:
        mount("/proc/host", "/proc", "", BIND | REC)


def _ways_to(path: str) -> list[str]:
    """The folders that lead from /tmp to a path in it."""
    found = []
    while inside(path := os.path.dirname(path), OVER_TMP) and path != OVER_TMP:
        found.append(path)
    return found


def _enter(root: str) -> None:
    """Make `root` the root."""
    os.chdir(root)
    number = SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is not None and libc.syscall(number, b".", b".") == 0:
        check(libc.umount2(b".", DETACH), "umount the old root")
    else:
        mount(".", "/", "", 0x2000)
        os.chroot(".")
    os.chdir("/")


def probe() -> bool:
    """Whether this kernel lets us make private roots. Raises OSError."""
    uid, gid = os.getuid(), os.getgid()
    child = fork_apart()
    if child == 0:
        try:
            settle(uid, gid)
            mount("tiphys", "/tmp", "tmpfs", NOSUID, "mode=755")
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0
