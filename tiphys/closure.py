"""What a program is made of: every file of this project that a module may import, however far away, and its data files.

Found by reading the code, never by running it: imports at any depth of a file, `importlib.import_module("a.b")`, modules
that are started by name (`-m a.b`), and what lies beside the code and is no code. An import under a name that only the
run knows is told as *unknown*: whoever must be sure refuses then. Knows no use case and no library but Python's own.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tiphys.closure_reader import asked_for

LOADS_BY_NAME = frozenset({"tiphys/step.py", "tiphys/usecase.py"})
"""Files that import a component's own step, or a part of the use case that they were given: both are roots already."""
_LEFT_OUT = frozenset({"__pycache__"})


@dataclass(frozen=True)
class Closure:
    """The files that decide what some modules do."""

    files: Mapping[str, str]
    """Path relative to the project -> sha256 of its bytes."""
    external: frozenset[str] = frozenset()
    """First names of the modules that are neither of the project nor of Python's own library."""
    unknown: tuple[str, ...] = ()
    """`FILE:LINE` of imports that cannot be known without running."""

    @property
    def digest(self) -> str:
        """Changes whenever one of the files does, or another one comes in or goes."""
        lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass
class _Search:
    project: Path
    files: dict[str, str] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def closure(modules: Iterable[str], project: Path, packages: Iterable[str] = ()) -> Closure:
    """What `modules` are made of; of `packages`, and of a module that is a package, everything in their folders counts.

    Raises:
        ModuleNotFoundError: one of them is not in the project.
        SyntaxError: a file that they import is no Python.
    """
    search = _Search(project)
    for name in (*modules, *packages):
        if not _found(project, name):
            message = f"there is no module {name!r} in {project}"
            raise ModuleNotFoundError(message, name=name)
        search.waiting += [name, *_inside(project, name)]
    if (project / "sitecustomize.py").exists():
        search.waiting.append("sitecustomize")  # every Python that starts here imports it
    while search.waiting:
        _take(search, search.waiting.pop())
    _take_data(search, [project.joinpath(*name.split(".")) for name in (*modules, *packages)])
    return Closure(search.files, frozenset(search.external), tuple(sorted(search.unknown)))


def _take(search: _Search, name: str) -> None:
    """One dotted name, which may be a module, a package, or something within one."""
    if name in search.seen or not name:
        return
    search.seen.add(name)
    guessed, name = name.startswith("?"), name.removeprefix("?")
    top, _, rest = name.partition(".")
    if not _found(search.project, top):
        if top not in sys.stdlib_module_names and not guessed:
            search.external.add(top)
        return
    if rest:
        search.waiting.append(name.rpartition(".")[0])
    for path in _found(search.project, name):
        if path.suffix == ".py":
            _read(search, name, path)
        elif path.is_file():
            _hash(search, path)


def _hash(search: _Search, path: Path) -> None:
    search.files.setdefault(path.relative_to(search.project).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())


def _read(search: _Search, name: str, path: Path) -> None:
    relative = path.relative_to(search.project).as_posix()
    content = path.read_bytes()
    search.files[relative] = hashlib.sha256(content).hexdigest()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    asked = asked_for(content, package, relative)
    search.waiting += asked.modules
    for text in asked.texts:
        if not text.startswith("/") and ".." not in text and (search.project / text).is_file():
            _hash(search, search.project / text)
    for whole in asked.whole:
        search.waiting += _inside(search.project, whole, deep=False)
    if relative not in LOADS_BY_NAME:
        search.unknown += [f"{relative}:{line}" for line in asked.unknown]


def _found(project: Path, name: str) -> list[Path]:
    """The file of a module, or the `__init__.py` of a package; the folder where it is a package without one."""
    place = project.joinpath(*name.split("."))
    compiled = sorted(place.parent.glob(f"{place.name}.*so")) if place.parent.is_dir() else []
    for path in (place / "__init__.py", *compiled, place.with_name(f"{place.name}.py")):
        if path.is_file():
            return [path]
    return [place] if place.is_dir() and any(path for end in ("py", "so") for path in place.rglob(f"*.{end}")) else []


def _inside(project: Path, name: str, *, deep: bool = True) -> Iterator[str]:
    """The names of all modules in a package's folder."""
    folder = project.joinpath(*name.split("."))
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*.py") if deep else folder.glob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not _LEFT_OUT & set(parts):
            yield ".".join((name, *(part for part in parts if part != "__init__")))


def _take_data(search: _Search, roots: list[Path]) -> None:
    """What lies beside the code and is no code: any module may read it."""
    beside = {(search.project / relative).parent for relative in search.files} - {search.project}
    for folder in [*sorted(beside), *(root for root in roots if root.is_dir())]:
        for path in _data(folder, whole=folder in roots):
            relative = path.relative_to(search.project).as_posix()
            if relative not in search.files:
                search.files[relative] = hashlib.sha256(path.read_bytes()).hexdigest()


def _data(folder: Path, *, whole: bool) -> Iterator[Path]:
    """Files that are no modules: in the folder, and in the folders below that hold no code (in all, of a root)."""
    for place, folders, names in os.walk(folder):
        code = any(name.endswith(".py") for name in names)
        if Path(place) != folder and code and not whole:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(place, name)
            if not name.endswith((".py", ".pyc")) and path.is_file():
                yield path
