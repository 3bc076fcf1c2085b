"""Runs a prepared step once more, through the engine's own executor, in a state folder of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from tiphys.engine.actions import PodEnded, Result, StartPod
from tiphys.engine.executor import Executor, Workshop, log_path
from tiphys.engine.images import Image, ImageTable
from tiphys.engine.replay.capsule import LOG, Capsule, load
from tiphys.engine.replay.leave import folder
from tiphys.engine.replay.prepare import Apart, Prepared, with_terminal
from tiphys.engine.replay.terminal import Lent

if TYPE_CHECKING:
    from tiphys.engine.executor import Surroundings

Json = dict[str, Any]
Show = Callable[[bytes], None]
_LIBRARY = Path(__file__).parents[3]
_BLOCK = 65536
_KEPT = 10  # folders of replays
_DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """How the replay ended; `inputs` are those that the step saw, with digests, where it failed once more."""

    phase: str
    message: str
    outputs: Json
    log: str
    inputs: list[Json]


def scratch_folder(state: Path, node: str) -> Path:
    """A new folder for one replay, which only its owner sees. Of older ones the last ten stay, and those of a day."""
    parent = state / "replays"
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = sorted(parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in known[_KEPT:]:
        if path.stat().st_mtime < time.time() - _DAY:
            shutil.rmtree(path, ignore_errors=True)
    return Path(mkdtemp(prefix=f"{node}-", dir=parent))


def rerun(prepared: Prepared, around: Surroundings, scratch: Path, run: str, show: Show, terminal: str = "") -> Outcome:  # noqa: PLR0913, PLR0917
    """Run the step to its end and show what it prints; `terminal` is a mode of `with_terminal`. Raises EngineError.

    Nothing of the run is touched: logs, attempts and outputs go below `scratch`.
    """
    store = Apart(around.store, scratch / "artifacts", prepared.blobs, prepared.given)
    keep = (*around.keep, str(_LIBRARY))
    around = replace(around, state=scratch, objects=prepared.objects, store=store, keep=keep)
    heard = _Heard(show, scratch / "log")
    start = prepared.start
    if terminal:
        with Lent(heard) as lent:
            start = with_terminal(start, terminal, around.images, lent.name, sys.executable)
            ended = asyncio.run(_to_the_end(start, around, run))
    else:
        with _Pipe(log_path(scratch, run, start.node_id), heard):
            ended = asyncio.run(_to_the_end(start, around, run))
    heard.close()
    return Outcome(ended.phase, ended.message, ended.outputs or {}, heard.text(), _inputs(scratch, run, start.node_id))


async def _to_the_end(start: StartPod, around: Surroundings, run: str) -> PodEnded:
    ended: asyncio.Future[PodEnded] = asyncio.get_running_loop().create_future()

    def report(result: Result) -> None:
        if isinstance(result, PodEnded) and not ended.done():
            ended.set_result(result)

    workshop = Workshop(1)
    executor = Executor(run, around, workshop, report)
    executor.start(start, 1)
    try:
        return await ended
    finally:
        await executor.end_all()
        workshop.close()


def _inputs(scratch: Path, run: str, node: str) -> list[Json]:
    """What the replay's own capsule says of its inputs."""
    path = folder(scratch, run) / f"{node}.tgz"
    return load(path).inputs if path.exists() else []


class _Heard:
    """Shows what a step prints, keeps all of it in a file and the end of it in memory."""

    def __init__(self, show: Show, path: Path) -> None:
        self._show = show
        self._end = bytearray()
        self._file = path.open("wb")

    def __call__(self, text: bytes) -> None:
        self._show(text)
        self._file.write(text)
        self._end += text
        del self._end[: -2 * LOG]

    def text(self) -> str:
        return self._end[-LOG:].decode("utf-8", "replace").replace("\r\n", "\n")

    def close(self) -> None:
        self._file.close()


class _Pipe:
    """A pipe in the place of the step's log file: what is written to it is heard at once, by a thread."""

    def __init__(self, path: Path, heard: _Heard) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.mkfifo(path, 0o600)
        self._path = path
        self._heard = heard
        self._read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._write = os.open(path, os.O_WRONLY)  # no end is seen before we close it, whoever opens and closes it
        os.set_blocking(self._read, True)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        os.close(self._write)
        self._thread.join()
        os.close(self._read)
        self._path.unlink()

    def _listen(self) -> None:
        while text := os.read(self._read, _BLOCK):
            self._heard(text)


class MovedTable(ImageTable):
    """The same images with the code of a checkout taken from another folder."""

    def __init__(self, table: ImageTable, checkout: Path, code: Path) -> None:
        """Images that stand on `checkout` stand on `code`."""
        super().__init__((), table.storage)
        self._table = table
        self._from, self._to = str(checkout), str(code)

    def find(self, name: str) -> Image | None:
        """What stands in for `name`, or None."""
        image = self._table.find(name)
        if image is None or image.workdir != self._from:
            return image
        env = {key: self._to if value == self._from else value for key, value in image.env.items()}
        return replace(image, workdir=self._to, env=env)


__all__ = ["Capsule", "MovedTable", "Outcome", "rerun", "scratch_folder"]
