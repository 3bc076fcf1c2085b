"""What this machine has of what the embedded servers and steps need, each lack with its remedy; changes nothing."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement
from packaging.version import Version

from tiphys import libpython
from tiphys.settings import StackSettings
from tiphys.stack import detach, ports
from tiphys.stack.layout import Layout
from tiphys.stack.servers.triton import environment_folder, program_folder

NEEDED_JAVA = 17
NEEDED_DISK = 5 << 30  # bytes: state of a first run with room to work
NEEDED_MEMORY = 6 << 30  # bytes: the promised peak of a whole run
_SETUP = "make setup"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``missing`` means that it will not work without."""

    name: str
    verdict: Literal["good", "advice", "missing"]
    found: str
    remedy: str = ""


def doctor(settings: StackSettings) -> list[Check]:
    """Look at everything."""
    return [
        _system(),
        _python(),
        _libpython(),
        _program("git", "apt-get install git"),
        _program("setpriv", "apt-get install util-linux"),
        _java(settings),
        _namespaces(),
        _disk(settings),
        _memory(),
        _ports(settings),
        *_environments(settings),
        _triton(settings),
        _jars(settings),
        _containers(),
    ]


def _system() -> Check:
    found = f"{platform.system()} {platform.machine()}"
    if found == "Linux x86_64":
        return Check("system", "good", found)
    return Check(
        "system", "missing", found, "the embedded servers are built for Linux x86-64; submit to a cluster instead"
    )


def _python() -> Check:
    found = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Check("Python", "good", found)
    return Check("Python", "missing", found, "make setup PYTHON=python3.11")


def _libpython() -> Check:
    folder = libpython.folder()
    if folder is not None:
        return Check("libpython", "good", str(folder / libpython.NAME))
    found = f"no {libpython.NAME}: Triton's backend embeds Python"
    return Check("libpython", "missing", found, f"apt-get install {libpython.packages()[-1]}")


def _program(name: str, remedy: str) -> Check:
    found = shutil.which(name)
    return Check(name, "good", found) if found else Check(name, "missing", "not on PATH", remedy)


def _java(settings: StackSettings) -> Check:
    program = str(Path(settings.java_home) / "bin" / "java") if settings.java_home else "java"
    remedy = "apt-get install openjdk-17-jre-headless, or set JAVA_HOME to a Java of your own"
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return Check("Java", "missing", f"{program} does not run", remedy)
    version = re.search(r'version "(\d+)', told)
    if version and int(version[1]) >= NEEDED_JAVA:
        return Check("Java", "good", told.splitlines()[0])
    return Check("Java", "missing", f"{told.splitlines()[0]}: Spark needs {NEEDED_JAVA} or newer", remedy)


def _namespaces() -> Check:
    if detach.namespace_command() is not None:
        return Check("namespaces", "good", "allowed: the servers end with their supervisor, however it dies")
    remedy = "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or kernel.unprivileged_userns_clone=1, or a container with CAP_SYS_ADMIN"
    found = "not allowed: after a SIGKILL of the supervisor, processes may stay until the next 'tiphys up' clears them"
    return Check("namespaces", "advice", found, remedy)


def _disk(settings: StackSettings) -> Check:
    there = next(each for each in (settings.home, *settings.home.parents) if each.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:.0f} GB free at {there}"
    if free >= NEEDED_DISK:
        return Check("disk", "good", found)
    return Check("disk", "missing", found, f"free {NEEDED_DISK / 1e9:.0f} GB, or set TIPHYS_HOME to a folder with room")


def _memory() -> Check:
    available = psutil.virtual_memory().available
    found = f"{available / 1e9:.0f} GB available"
    if available >= NEEDED_MEMORY:
        return Check("memory", "good", found)
    return Check("memory", "advice", found, f"a whole run takes up to {NEEDED_MEMORY / 1e9:.0f} GB: end other programs")


def _ports(settings: StackSettings) -> Check:
    mine = ports.Ports(settings.port_base)
    every = mine.every()
    found = f"{min(every)}..{max(every)}"
    if detach.is_running(Layout.of(settings)):
        return Check("ports", "good", f"{found}, in use by the running servers")
    taken = [port for port in every if ports.is_taken(port)]
    if not taken:
        return Check("ports", "good", f"{found} free")
    held = f"{taken[0]} is taken by {ports.holder(taken[0])}"
    return Check("ports", "missing", held, "end that, or set TIPHYS_PORT_BASE to another first port")


def _environments(settings: StackSettings) -> Iterator[Check]:
    for folder, lock in (
        (Path(sys.prefix), "requirements.lock"),
        (environment_folder(settings.project), "requirements-triton.lock"),
    ):
        name = ".venv-triton" if "triton" in lock else ".venv"
        wrong = list(_wrong(settings.project / lock, folder))
        if wrong:
            yield Check(name, "missing", f"{len(wrong)} packages differ from {lock}: {', '.join(wrong[:4])}", _SETUP)
        else:
            yield Check(name, "good", f"complete as {lock} says")


def _wrong(lock: Path, environment: Path) -> Iterator[str]:
    """Packages of a lock that an environment lacks or has in another version."""
    folders = [str(each) for each in environment.glob("lib/python3.*/site-packages")]
    there = {_plain(each.name): Version(each.version) for each in metadata.distributions(path=folders)}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        wanted = Requirement(line.rstrip(" \\"))
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        found = there.get(_plain(wanted.name))
        if found is None or not wanted.specifier.contains(found, prereleases=True):
            yield wanted.name


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _triton(settings: StackSettings) -> Check:
    program = program_folder(settings.project) / "bin" / "tritonserver"
    if os.access(program, os.X_OK):
        return Check("tritonserver", "good", str(program))
    return Check("tritonserver", "missing", f"{program} is not there", _SETUP)


def _jars(settings: StackSettings) -> Check:
    """Hold Spark's jars against the lock: ``GROUP:ARTIFACT:VERSION SHA256`` a line."""
    lines = (settings.project / "jars.lock").read_text(encoding="utf-8").splitlines()
    wanted = [line.partition("#")[0].split() for line in lines if line.partition("#")[0].strip()]
    files = {f"{coordinates.split(':')[1]}-{coordinates.split(':')[2]}.jar": digest for coordinates, digest in wanted}
    folder = Layout.of(settings).jars
    wrong = [name for name, digest in files.items() if _sha256(folder / name) != digest]
    if not wrong:
        return Check("Spark's jars", "good", f"{len(files)} with the right digests")
    return Check("Spark's jars", "missing", f"{len(wrong)} of {len(files)} missing or wrong: {wrong[0]}", _SETUP)


def _containers() -> Check:
    """Only `--containers` needs them."""
    missing = [name for name in ("buildah", "runc") if shutil.which(name) is None]
    if missing:
        found = f"no {' and no '.join(missing)}: steps run as processes"
        return Check("containers", "advice", found, f"apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        return Check("containers", "advice", "buildah and runc, for root only: steps run as processes", "sudo")
    return Check("containers", "good", "buildah and runc: --containers runs steps in their images")


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
