"""Set up a fresh checkout: both Python environments, Java, Spark's jars; run by ``make setup`` before anything is there.

Needs nothing but the standard library of Python 3.11 or 3.12, as do the settings that it reads, and must stay so. Says first what it will download.
Every part keeps a stamp of what it was made from, so a second run does nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiphys import libpython
from tiphys.locks import sections, without_torch
from tiphys.settings import PROJECT, stack_settings

ROOT = PROJECT
JAVA_PACKAGES = ("openjdk-21-jre-headless", "openjdk-17-jre-headless")


class SetupError(Exception):
    """What is missing and the command that gets it."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment: its folder, the lock it is made from, what it takes."""

    folder: Path
    lock: Path
    download: str
    disk: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def stamp(self, torch: str) -> str:
        """Return the digest of all that it is made from."""
        text = self.lock.read_bytes() + torch.encode() + sys.version.encode()
        return hashlib.sha256(text).hexdigest()

    def is_fresh(self, torch: str) -> bool:
        """Whether it stands and is made from the lock as it is now."""
        stamp = self.folder / "tiphys-stamp"
        return self.python.exists() and stamp.exists() and stamp.read_text() == self.stamp(torch)


MAIN = Environment(ROOT / ".venv", ROOT / "requirements.lock", "3.5 GB (much less with TORCH=cpu)", "7.1 GB")
TRITON = Environment(ROOT / ".venv-triton", ROOT / "requirements-triton.lock", "0.1 GB", "0.2 GB")


def main() -> int:
    """Set up all, or say in one line what is missing."""
    parser = argparse.ArgumentParser(prog="make setup", description=__doc__)
    parser.add_argument("--torch", default="", choices=["", "cpu"], help="cpu: PyTorch's CPU wheels (2 GB less)")
    arguments = parser.parse_args()
    try:
        check_machine()
        set_up(arguments.torch)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; 'make setup' goes on from here")
        return 130
    return 0


def check_machine() -> None:
    """Refuse, with a reason, where the embedded servers cannot run."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        message = f"the embedded servers run on Linux x86-64, not on {sys.platform} {platform.machine()}"
        raise SetupError(message)
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        found = platform.python_version()
        message = f"Python 3.11 or 3.12 is needed, {sys.executable} is {found}; try 'make setup PYTHON=python3.11'"
        raise SetupError(message)
    need_package(has_venv(), "python3-venv (the module ensurepip)", ("python3-venv",))
    need_package(libpython.folder() is not None, f"{libpython.NAME} (for Triton's backend)", libpython.packages())
    need_package(java_version() >= 17, "Java 17 or newer (for Spark)", JAVA_PACKAGES)
    need_package(shutil.which("git") is not None, "git", ("git",))


def set_up(torch: str) -> None:
    """Make what is missing."""
    todo = [each for each in (MAIN, TRITON) if not each.is_fresh(torch)]
    announce(todo)
    for environment in todo:
        install(environment, torch)
    run([str(MAIN.python), "-m", "tiphys.lake.jars"])


def announce(todo: Sequence[Environment]) -> None:
    """Say what will be downloaded before it is."""
    for each in todo:
        say(f"{each.folder.name}: will download about {each.download} of Python packages ({each.disk} on disk)")
    if not (stack_settings().home / "jars").is_dir():
        say("Spark's jars: will download about 0.1 GB")
    free = shutil.disk_usage(ROOT).free / 1e9
    if todo and free < 12:
        say(f"warning: {free:.0f} GB are free here; the environments and state take about 10 GB")


def install(environment: Environment, torch: str) -> None:
    """Make one environment exactly as its lock says; every package's digest is checked."""
    if not environment.python.exists():
        run([sys.executable, "-m", "venv", "--clear", str(environment.folder)])
    (environment.folder / "tiphys-stamp").unlink(missing_ok=True)
    uv = installer()
    with tempfile.TemporaryDirectory() as scratch:
        lock = Path(scratch) / "requirements.txt"
        lock.write_text(without_torch(environment.lock) if torch == "cpu" else environment.lock.read_text())
        run([uv, "pip", "sync", "--python", str(environment.python), "--require-hashes", str(lock)])
    if environment is MAIN:
        if torch == "cpu":
            version = re.search(r"^torch==\S+", environment.lock.read_text(), re.MULTILINE)
            wanted = version.group() if version else "torch"
            run([uv, "pip", "install", "--python", str(environment.python), "--torch-backend", "cpu", wanted])
        own = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
        run([uv, "pip", "install", "--quiet", "--python", str(environment.python), *own])
    (environment.folder / "tiphys-stamp").write_text(environment.stamp(torch))


def installer() -> str:
    """Put the locked uv into the main environment and return its path."""
    uv = MAIN.folder / "bin" / "uv"
    if not MAIN.python.exists():
        run([sys.executable, "-m", "venv", "--clear", str(MAIN.folder)])
    if not uv.exists():
        with tempfile.TemporaryDirectory() as scratch:
            lock = Path(scratch) / "uv.txt"
            lock.write_text(sections(MAIN.lock)["uv"])
            pip = [str(MAIN.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*pip, "--require-hashes", "--requirement", str(lock)])
    return str(uv)


def has_venv() -> bool:
    """Whether this Python can make virtual environments: Debian ships that apart."""
    command = [sys.executable, "-c", "import ensurepip"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def java_version() -> int:
    """Major version of the Java that Spark would find; 0 if none."""
    home = stack_settings().java_home
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        return 0
    try:
        told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    except OSError:
        return 0
    version = re.search(r'version "(\d+)', told)
    return int(version.group(1)) if version else 0


def need_package(present: bool, what: str, packages: Sequence[str]) -> None:  # noqa: FBT001 - a plain question
    """Install the first of the Debian packages that there is, or say how to."""
    if present:
        return
    command = f"apt-get install -y {packages[-1]}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        prefix = "sudo " if shutil.which("apt-get") else ""
        message = f"missing: {what}; type: {prefix}{command}"
        raise SetupError(message)
    with _alone():
        say(f"installing {what} from Debian's packages")
        run(["apt-get", "update", "-q"], quiet=True)
        for package in packages:
            attempt = ["apt-get", "install", "-y", "-q", "--no-install-recommends", package]
            if subprocess.run(attempt, check=False, stdout=subprocess.DEVNULL).returncode == 0:
                return
    message = f"could not install {what}; try: {command}"
    raise SetupError(message)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One of us at a time: apt does not wait for another one that reads its lists."""
    path = Path(tempfile.gettempdir()) / f"tiphys-apt-{os.geteuid()}.lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        message = f"{path} is not ours to lock ({error.strerror}): remove it"
        raise SetupError(message) from error
    with os.fdopen(file, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another one of us installs packages: waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], *, quiet: bool = False) -> None:
    """Run one command, or name it when it fails."""
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.DEVNULL if quiet else None)
    if done.returncode != 0:
        message = f"failed with exit code {done.returncode}: {' '.join(command)}"
        raise SetupError(message)


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)  # noqa: T201 - a setup script speaks to a person


if __name__ == "__main__":
    sys.exit(main())
