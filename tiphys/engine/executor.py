"""Starts, watches and ends the processes of steps; tells the driver through one queue."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiphys.engine.actions import PodEnded, PodStarted, Result, StartPod
from tiphys.engine.artifacts import ArtifactStore
from tiphys.engine.errors import EngineError
from tiphys.engine.images import ImageTable
from tiphys.engine.nodes import ERROR, FAILED
from tiphys.engine.objects import ObjectStore
from tiphys.engine.pod import RESULT_LIMIT, Ending, Place, ending, launcher_spec
from tiphys.engine.spawner import LAUNCHER, Launched, Spawner
from tiphys.engine.unpack import NORMAL, Limits

Json = dict[str, Any]
_CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class Surroundings:
    """What every step of an engine shares."""

    state: Path
    images: ImageTable
    objects: ObjectStore
    store: ArtifactStore
    keep: tuple[str, ...] = ()
    private: bool = True
    slots: int = 8
    limits: Limits = NORMAL


@dataclass
class _Process:
    """One running step."""

    step: Launched
    kill_timer: asyncio.TimerHandle | None = None
    killed: bool = field(default=False)


class Executor:
    """The processes of one run."""

    def __init__(self, run: str, surroundings: Surroundings, report: Callable[[Result], None]) -> None:
        """`report` is called with PodStarted and PodEnded, on the event loop."""
        self._run = run
        self._around = surroundings
        self._report = report
        self._spawner = Spawner()
        self._running: dict[str, _Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: dict[str, float] = {}
        self._slots = asyncio.Semaphore(surroundings.slots)
        self._path_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def start(self, start: StartPod, attempt: int) -> None:
        """Start a step; its PodEnded follows whatever happens."""
        self._tasks[start.node_id] = asyncio.create_task(self._whole(start, attempt))

    def kill(self, node_id: str, grace: float) -> None:
        """SIGTERM now, SIGKILL of everything after `grace` seconds."""
        running = self._running.get(node_id)
        if running is None:
            self._stopping[node_id] = grace
            return
        running.step.signal(signal.SIGTERM)
        if running.kill_timer is None or grace == 0:
            loop = asyncio.get_running_loop()
            running.kill_timer = loop.call_later(grace, running.step.signal, signal.SIGUSR1)

    async def end_all(self) -> None:
        """Kill whatever still runs, and wait until it is gone."""
        for running in self._running.values():
            running.step.signal(signal.SIGUSR1)
        if self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._spawner.close()

    async def _whole(self, start: StartPod, attempt: int) -> None:
        try:
            async with self._slots:
                result = await self._one(start, attempt)
        except (EngineError, OSError) as problem:
            result = Ending(ERROR, str(problem), {})
        except Exception as defect:  # noqa: BLE001  # an unreported end would leave the run waiting for ever
            result = Ending(ERROR, f"defect of the engine: {type(defect).__name__}: {defect}", {})
        finally:
            self._running.pop(start.node_id, None)
            self._tasks.pop(start.node_id, None)
        self._report(PodEnded(start.node_id, result.phase, result.message, result.outputs or None))

    async def _one(self, start: StartPod, attempt: int) -> Ending:
        folder = self._around.state / "attempts" / f"{start.node_id}-{attempt}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        keep = (*self._around.keep, str(self._around.state))
        place = Place(folder, keep, self._around.private, self._around.limits)
        try:
            spec = await _maybe_in_thread(_has_artifacts(start, "inputs"), launcher_spec, start, place, *self._shared())
            async with _AllLocks(self._locks_for(spec)):
                report, stdout = await self._process(start, spec, attempt)
            prefix = f"{self._run}/{start.pod_name}"
            slow = _has_artifacts(start, "outputs")
            finished: Ending = await _maybe_in_thread(
                slow, ending, start, report, stdout, place, self._around.store, prefix
            )
            return finished
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _shared(self) -> tuple[ImageTable, ObjectStore, ArtifactStore]:
        return self._around.images, self._around.objects, self._around.store

    def _locks_for(self, spec: Json) -> list[asyncio.Lock]:
        """Without private roots, steps that declare the same path take turns."""
        if self._around.private:
            return []
        return [self._path_locks[path] for path in sorted(set(spec["declared"]))]

    async def _process(self, start: StartPod, spec: Json, attempt: int) -> tuple[Json, bytes | None]:
        if start.node_id in self._stopping:
            return {"exit": 143}, None
        spec["alive"] = str(self._around.state / "steps.lock")
        log = open_log(log_path(self._around.state, self._run, start.node_id), attempt)
        result_read, result_write = os.pipe() if start.keep_result else (-1, -1)
        try:
            step = self._spawner.start(spec, result_write if start.keep_result else log, log)
        except BaseException:
            os.close(log)
            raise
        finally:
            if start.keep_result:
                os.close(result_write)
        self._running[start.node_id] = running = _Process(step)
        self._report(PodStarted(start.node_id, attempt))
        try:
            stdout = await _copy_stdout(result_read, log) if start.keep_result else None
            return await step.report(), stdout
        finally:
            os.close(log)
            self._running.pop(start.node_id)
            if running.kill_timer is not None:
                running.kill_timer.cancel()


class _AllLocks:
    """Several locks, taken in order."""

    def __init__(self, locks: list[asyncio.Lock]) -> None:
        self._locks = locks

    async def __aenter__(self) -> None:
        for lock in self._locks:
            await lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        for lock in self._locks:
            lock.release()


async def _maybe_in_thread(slow: bool, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: FBT001
    return await asyncio.to_thread(function, *arguments) if slow else function(*arguments)


def _has_artifacts(start: StartPod, section: str) -> bool:
    entries = (start.template.get(section) or {}).get("artifacts") or []
    return any("raw" not in entry for entry in entries)


async def _copy_stdout(descriptor: int, log: int) -> bytes:
    """Copy the step's stdout to its log; the last part of it is the result."""
    kept = bytearray()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb"))
    while chunk := await reader.read(65536):
        os.write(log, chunk)
        kept += chunk
        if len(kept) > 2 * RESULT_LIMIT:
            del kept[: -RESULT_LIMIT - 1]
    transport.close()
    return bytes(kept)


def log_path(state: Path, run: str, node_id: str) -> Path:
    """Where a node's log is."""
    return state / "runs" / run / f"{node_id}.log"


def open_log(path: Path, attempt: int) -> int:
    """The log, opened for appending; an attempt after an interruption says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if attempt > 1:
        os.write(descriptor, f"--- started again after an interruption (start {attempt}) ---\n".encode())
    return descriptor


def can_make_private_roots() -> bool:
    """Whether this kernel lets us give each step a root of its own."""
    import subprocess  # noqa: PLC0415

    with Path("/proc/self/status").open(encoding="ascii") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    if int(lines["CapEff"], 16) >> _CAP_SYS_ADMIN & 1:
        return True
    return (
        subprocess.run([sys.executable, "-I", "-S", LAUNCHER, "--probe"], check=False, capture_output=True).returncode  # noqa: S603
        == 0
    )


__all__ = ["FAILED", "Executor", "Surroundings", "can_make_private_roots", "log_path"]
