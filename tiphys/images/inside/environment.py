"""Make the Python environment of an image: ``python -m tiphys.images.inside.environment requirements.txt``.

Every package's digest is checked; what no step needs is taken out; bytecode is compiled once here, because the root of a
running step is read-only and would compile at every start. With ``--add-to FOLDER`` the image has an environment already:
what is new goes to FOLDER, as a tree to copy over it, so that what images share lies on the disk once.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tiphys.images.inside.bytecode import compile_tree
from tiphys.images.inside.prune import prune
from tiphys.images.inside.surroundings import environment
from tiphys.locks import LEFT_OUT_FOR_CPU, sections

FOLDER = Path("/opt/venv")
PYTHON = "/usr/bin/python3"
CACHE = "/root/.cache/uv"
"""Where the Dockerfiles mount what uv keeps between builds, whatever HOME an image sets."""
SOURCES = {"pyspark"}
"""What its makers publish as source only."""

Files = Mapping[Path, tuple[int, int]]


def main() -> int:
    """Make it, or add to the one that the image has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--add-to", type=Path)
    parser.add_argument("--torch", choices=["auto", "cpu", "cuda"])
    arguments = parser.parse_args()
    before = files(FOLDER)
    if not FOLDER.exists():
        _uv("venv", "--python", PYTHON, "--no-project", str(FOLDER))
    if arguments.torch in {"auto", "cpu"} and _install_cpu_torch(
        arguments.requirements, needed=arguments.torch == "cpu"
    ):
        say("torch: the CPU build")
    _install(arguments.requirements)
    (FOLDER / ".lock").unlink(missing_ok=True)  # uv's own, for everyone to write
    say(f"{prune(FOLDER) / 1e6:.0f} MB taken out that no step needs")
    if arguments.add_to:
        move_new(before, FOLDER, arguments.add_to)
        compile_tree(arguments.add_to / FOLDER.relative_to("/"), arguments.add_to)
    else:
        compile_tree(FOLDER)
    return 0


def files(folder: Path) -> Files:
    """Every file below the folder, with what tells whether it was changed."""
    found = ((path, path.lstat()) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path: (status.st_size, status.st_mtime_ns) for path, status in found}


def move_new(before: Files, folder: Path, target: Path) -> None:
    """Move what is new or changed since `before` to the same path below `target`; no folder stays that this has emptied."""
    for path, status in files(folder).items():
        if before.get(path) != status:
            place = target / path.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
            for each in path.parents:
                if each == folder or any(each.iterdir()):
                    break
                each.rmdir()


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)  # noqa: T201


def _install(requirements: Path) -> None:
    """Install exactly this file's packages; where torch is the CPU build, none of CUDA's."""
    wanted = {name: text for name, text in sections(requirements).items() if name}
    if any(FOLDER.glob("lib/python3.*/site-packages/torch-*+cpu.dist-info")):
        wanted = {name: text for name, text in wanted.items() if not LEFT_OUT_FOR_CPU.fullmatch(name)}
    for name in SOURCES & wanted.keys():
        _install_source(name, wanted.pop(name))
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch) / "wheels.txt"
        wheels.write_text("".join(wanted.values()), encoding="utf-8")
        _uv("pip", "install", "--python", _python(), "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--requirement", str(wheels))  # fmt: skip


def _install_source(name: str, text: str) -> None:
    """Make a wheel of a source that is checked by its digest, with the builder's own locked setuptools."""
    with tempfile.TemporaryDirectory() as scratch:
        lock = Path(scratch) / "source.txt"
        lock.write_text(text, encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        words = ["--no-deps", "--no-build-isolation", "--require-hashes", "--requirement", str(lock)]
        say(f"making a wheel of {name}")
        subprocess.run([*pip, *words, "--wheel-dir", scratch], env=environment(), check=True)  # noqa: S603
        _uv("pip", "install", "--python", _python(), "--no-deps", *map(str, Path(scratch).glob("*.whl")))


def _install_cpu_torch(requirements: Path, *, needed: bool) -> bool:
    """Install the CPU build of the locked torch from its makers' own index, if that can be reached.

    Raises:
        subprocess.CalledProcessError: it is needed and cannot be had.
    """
    pin = re.search(r"^torch==[\w.]+", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    if not pin:
        return False
    words = ("pip", "install", "--python", _python(), "--no-deps", "--torch-backend", "cpu", pin.group())
    try:
        _uv(*words, UV_HTTP_RETRIES="1" if not needed else "3")
    except subprocess.CalledProcessError:
        if needed:
            raise
        say("torch: its makers' index of CPU builds can't be reached, so the locked build with CUDA is taken")
        return False
    return True


def _python() -> str:
    return str(FOLDER / "bin" / "python")


def _uv(*words: str, **more: str) -> None:
    settings = {**environment(), "UV_LINK_MODE": "copy", "UV_CACHE_DIR": CACHE, **more}
    subprocess.run(["uv", *words], env=settings, check=True)  # noqa: S603, S607 - the builder's own


if __name__ == "__main__":
    sys.exit(main())
