"""What runs when a step runs, and all that decides what it does: its code, its Python, the distributions, Java, or its image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiphys import closure
from tiphys.cache import digests
from tiphys.cache.bytecode import drop_doubtful
from tiphys.cache.refusal import NotCachedError
from tiphys.engine.images import MACHINE_PATH, Image

Json = dict[str, Any]
_JVM = "pyspark"
_CHANGE_WHAT_RUNS = ("PYTHON", "LD_", "PATH", "VIRTUAL_ENV", "GCONV_PATH")
"""Beginnings of variables that make a program load other code than its files say; those that are code are refused."""
_HARMLESS = ("PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8", "PYTHONFAULTHANDLER")


@dataclass
class Parts:
    """The named parts of a key, each with a short value or a digest; `details` say what a digest was made of."""

    values: dict[str, str] = field(default_factory=dict)
    details: dict[str, dict[str, str]] = field(default_factory=dict)

    def put(self, name: str, value: str) -> None:
        """A part that a person can read, if it is short."""
        self.values[name] = digests.shown(value)

    def put_many(self, name: str, found: Mapping[str, str]) -> None:
        """A part that was made of many."""
        self.values[name] = digests.of_json(found)
        self.details[name] = dict(found)


@dataclass(frozen=True)
class Program:
    """A step's program as the engine would start it."""

    image: Image
    module: str
    """What `python -m` starts; empty where the step runs in its image, whose digest says it all."""

    @classmethod
    def of(cls, body: Json, image: Image) -> Program:
        """The program of a container's body. Raises NotCachedError where nobody can know what it does."""
        if image.oci is not None:
            return cls(image, "")
        words = [*(body.get("command") or image.entrypoint), *(body.get("args") or ())]
        match words:
            case ["python" | "python3", "-m", module, *_] if image.path_prefix:
                return cls(image, module)
        begin = " ".join(str(word) for word in words[:3])
        message = f"what {begin!r} does can't be known: only `python -m MODULE` of this project, or a step in its image"
        raise NotCachedError(message)

    def describe(
        self, parts: Parts, project: Path, packages: Iterable[str], contract: str, environment: Mapping[str, str]
    ) -> None:
        """Name all that decides what it does.

        `contract` is the digest of the contract that the manifest was made from; `environment` what the manifest gives it.
        """
        if self.image.oci is not None:
            parts.put("image", self.image.oci.identity)
            return
        if self.image.workdir != str(project) or self.image.env.get("PYTHONPATH") != str(project):
            message = f"its image stands for {self.image.workdir}, which is not this project"
            raise NotCachedError(message)
        found = _closure(self.module, project, packages)
        _require_contract(self.module, found, contract)
        parts.put_many("code", found.files)
        drop_doubtful(project, found.files)
        prefix = Path(self.image.path_prefix[0])
        distributions(parts, "environment", prefix.parent, found.external, project)
        if _JVM in found.external:
            _java(parts, environment.get("JAVA_HOME", ""))


def _closure(module: str, project: Path, packages: Iterable[str]) -> closure.Closure:
    try:
        found = closure.closure([module], project, packages)
    except (ModuleNotFoundError, SyntaxError, OSError) as error:
        message = f"its code can't be read: {error}"
        raise NotCachedError(message) from None
    if found.unknown:
        message = f"only a run knows what is imported at {', '.join(found.unknown[:3])}: import by a plain name"
        raise NotCachedError(message)
    return found


def _require_contract(module: str, found: closure.Closure, contract: str) -> None:
    path = f"{module.replace('.', '/')}/contract.py"
    if contract and not found.files.get(path, "").startswith(contract):
        message = f"the manifest was rendered from another {path}: run `tiphys render`"
        raise NotCachedError(message)


def distributions(parts: Parts, name: str, prefix: Path, needed: Iterable[str], project: Path) -> None:
    """Name every distribution of a virtual environment with the digest of its list of files, and its Python.

    Raises:
        NotCachedError: it uses packages from outside of itself.
    """
    config = prefix / "pyvenv.cfg"
    try:
        said = config.read_text(encoding="utf-8")
        site = next((prefix / "lib").glob("python3.*")) / "site-packages"
        found = _installed(site)
    except (OSError, StopIteration):
        message = f"{prefix} is no virtual environment whose packages can be listed"
        raise NotCachedError(message) from None
    if "include-system-site-packages = true" in said.lower():
        message = f"the environment {prefix} also sees the machine's packages: make one of its own"
        raise NotCachedError(message)
    _require_inside(needed, site, project)
    parts.put_many(name, {**found, "python": f"{digests.of(said)} {_binary(prefix / 'bin' / 'python')}"})


def _require_inside(needed: Iterable[str], site: Path, project: Path) -> None:
    """A package that is installed as a link to a folder elsewhere could change unseen."""
    for name in needed:
        if not any(path.suffix != ".pth" for path in (site / name, *site.glob(f"{name}.*")) if path.exists()):
            linked = [
                path.name for path in (*site.glob("*.pth"), *site.glob("__editable__*")) if _leads_out(path, project)
            ]
            if linked:
                message = f"it imports {name!r}, which may come from outside of its environment ({', '.join(linked)})"
                raise NotCachedError(message)


def _leads_out(path: Path, project: Path) -> bool:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("/") and Path(line) != project for line in map(str.strip, lines))


_KNOWN: dict[tuple[str, int, int, int], str] = {}
"""Digest of a file's bytes by its path, size, time of change and inode: packages have long lists of files."""


def once(path: Path) -> str:
    """The digest of a file that is asked for often: computed when its size, time or inode is another."""
    known = path.stat()
    key = (str(path), known.st_size, known.st_mtime_ns, known.st_ino)
    if key not in _KNOWN:
        _KNOWN[key] = digests.of_file(path)
    return _KNOWN[key]


def _installed(site: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    folders: list[str] = []
    for entry in sorted(os.scandir(site), key=lambda each: each.name):
        path = Path(entry.path)
        if entry.name.endswith((".dist-info", ".egg-info")):
            lists = [path / "RECORD", path / "METADATA", path / "PKG-INFO", path]
            found[entry.name.rpartition(".")[0]] = once(next(each for each in lists if each.is_file()))
        elif entry.name.endswith((".pth", ".egg-link")) or entry.name.startswith("__editable__"):
            found[entry.name] = once(path) if path.is_file() else digests.of_tree(path)
        elif entry.is_file():
            found[entry.name] = once(path)  # a module that belongs to a package, or to none
        elif not entry.name.startswith("__"):
            folders.append(entry.name)
    return {**found, "folders": digests.of_json(folders)}


def _binary(path: Path) -> str:
    real = path.resolve()
    return once(real)


def require_own_code(names: Iterable[str], workdir: str, project: Path) -> None:
    """Variables and folders that let a program load other code than this project's. Raises NotCachedError."""
    odd = sorted(each for each in names if each.startswith(_CHANGE_WHAT_RUNS) and each not in _HARMLESS)
    if odd:
        message = f"its environment sets {', '.join(odd)}, which may make it load other code"
        raise NotCachedError(message)
    if workdir and Path(workdir) != project:
        message = f"it works in {workdir}, from where it could load other code"
        raise NotCachedError(message)


def _java(parts: Parts, home_given: str) -> None:
    """The Java that a step finds: that of JAVA_HOME, else on its PATH."""
    java = shutil.which("java", path=f"{home_given}/bin" if home_given else MACHINE_PATH)
    if java is None:
        message = "there is no java on PATH"
        raise NotCachedError(message)
    home = Path(java).resolve().parent.parent
    release = home / "release"
    parts.put("java", f"{home.name} {once(release) if release.is_file() else once(Path(java).resolve())}")
