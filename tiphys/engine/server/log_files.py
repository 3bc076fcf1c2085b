"""The log files of a run's pods, read piece by piece: a log may be larger than memory.

The engine writes what a step prints, without a time for each line. With `timestamps` a line's time is therefore that of its
step's start, counted up by a microsecond a line: it keeps the order, and a stream that is asked again gives the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tiphys.engine.argo_get import pod_of
from tiphys.engine.engine import Engine
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState
from tiphys.engine.server.selectors import Requirement, all_hold

_LONGEST = 1 << 20
"""Bytes of a line; a longer one comes in parts."""
_PIECE = 64 << 10
"""Bytes that are read at once."""
_MAIN = "main"

Entry = tuple[str, str | None]
"""The pod, and a line of it; None for one that was not asked for."""


@dataclass(frozen=True)
class Wanted:
    """Which lines a client asks for."""

    pod: str = ""
    container: str = _MAIN
    labels: list[Requirement] = field(default_factory=list)
    tail: int | None = None
    most_bytes: int | None = None
    since: float | None = None
    """Seconds since the epoch; a log that nobody has written since is left out."""
    previous: bool = False
    timestamps: bool = False
    matches: Callable[[str], bool] = lambda _line: True


@dataclass
class _File:
    """What was read so far of one log."""

    path: Path
    pod: str
    started: float
    offset: int = 0
    lines: int = 0
    given: int = 0
    ended: bool = False


class Tails:
    """The logs of one run, each read on from where it was left."""

    def __init__(self, wanted: Wanted) -> None:
        """Nothing is known yet: `load`."""
        self._wanted = wanted
        self._files: dict[Path, _File] = {}
        self._seen: set[str] = set()

    def load(self, engine: Engine, name: str) -> None:
        """Look which pods the run has, and which logs they have. Raises UnknownRunError."""
        run = engine.get(name)
        folder = engine.folder(name)
        self._seen = _names(folder)
        if self._wanted.previous:
            return  # an attempt that was restarted has no log of its own here
        for node in sorted(run.nodes.values(), key=lambda node: node.started or float("inf")):
            path = folder / _file_name(node, self._wanted.container)
            if path.name in self._seen and path not in self._files and self._is_meant(run, node, path):
                self._files[path] = self._opened(path, pod_of(run, node), node.started)

    def knows_all(self, engine: Engine, name: str) -> bool:
        """Whether no log has come since they were loaded."""
        return _names(engine.folder(name)) <= self._seen

    def new(self, *, whole: bool) -> list[Entry]:
        """Lines that have come since, not all at once; none only if there are no more. `whole`: also a last one without an end."""
        for file in self._files.values():
            if found := list(self._lines(file, whole=whole)):
                return found
        return []

    def _is_meant(self, run: RunState, node: Node, path: Path) -> bool:
        wanted = self._wanted
        if wanted.pod and wanted.pod not in (pod_of(run, node), node.id):
            return False
        if wanted.since is not None and path.stat().st_mtime < wanted.since:
            return False
        return all_hold(wanted.labels, _pod_labels(run, node))

    def _opened(self, path: Path, pod: str, started: float) -> _File:
        file = _File(path, pod, started)
        if self._wanted.tail is not None:
            file.offset = tail(path, self._wanted.tail)
            if (
                self._wanted.timestamps
            ):  # which count the lines: the same line has the same time, whatever else is shown
                file.lines = _lines_before(path, file.offset)
        return file

    def _lines(self, file: _File, *, whole: bool) -> Iterator[Entry]:
        if file.ended:
            return
        read = 0
        try:
            opened = file.path.open("rb")
        except FileNotFoundError:
            return  # deleted with its run
        with opened:
            if opened.seek(0, os.SEEK_END) < file.offset:
                file.offset = 0  # it was begun anew
            opened.seek(file.offset)
            while read < _PIECE and (line := opened.readline(_LONGEST)):
                if not line.endswith(b"\n") and len(line) < _LONGEST and not whole:
                    return
                file.offset += len(line)
                read += len(line)
                yield self._entry(file, line)
                if file.ended:
                    return

    def _entry(self, file: _File, line: bytes) -> Entry:
        text = line.decode("utf-8", "replace").removesuffix("\n")
        file.lines += 1
        most = self._wanted.most_bytes
        file.given += len(line)
        if most is not None and file.given > most:
            file.ended = True
            return file.pod, None
        if self._wanted.timestamps:
            text = f"{_moment(file)} {text}"
        return file.pod, text if self._wanted.matches(text) else None


def _moment(file: _File) -> str:
    moment = datetime.fromtimestamp(file.started, UTC) + timedelta(microseconds=file.lines)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder) if entry.name.endswith(".log")}
    except FileNotFoundError:
        return set()


def _file_name(node: Node, container: str) -> str:
    return f"{node.id}.log" if container == _MAIN else f"{node.id}.{container.replace('/', '_')}.log"


def _pod_labels(run: RunState, node: Node) -> dict[str, str]:
    """The labels that the node's pod would have on a cluster."""
    templates = {each.get("name"): each for each in run.spec.get("templates") or []}
    own = ((templates.get(node.template_name) or {}).get("metadata") or {}).get("labels") or {}
    common = (run.spec.get("podMetadata") or {}).get("labels") or {}
    state = {"workflows.argoproj.io/workflow": run.name, "workflows.argoproj.io/completed": str(node.ended).lower()}
    return {**common, **own, **state}


def tail(path: Path, count: int) -> int:
    """The offset in bytes at which the last `count` lines begin; only those are read, piece by piece."""
    with path.open("rb") as log:
        end = start = log.seek(0, os.SEEK_END)
        if not count:
            return end
        while start:
            before, start = start, max(0, start - _PIECE)
            log.seek(start)
            piece = log.read(before - start)
            at = len(piece) - (before == end and piece.endswith(b"\n"))  # that one ends the last line
            while (at := piece.rfind(b"\n", 0, at)) >= 0:
                count -= 1
                if not count:
                    return start + at + 1
    return 0


def _lines_before(path: Path, offset: int) -> int:
    """How many lines, or parts of long ones, lie before it."""
    lines = 0
    with path.open("rb") as log:
        while log.tell() < offset and log.readline(_LONGEST):
            lines += 1
    return lines
