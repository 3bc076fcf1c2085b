"""Starts, watches and ends the processes of steps; tells the driver through one queue."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.actions import ContainerChanged, PodEnded, PodReady, PodStarted, Result, StartPod
from tiphys.engine.artifacts import ArtifactStore
from tiphys.engine.errors import EngineError
from tiphys.engine.images import ImageTable
from tiphys.engine.nodes import ERROR, FAILED, SUCCEEDED, node_id
from tiphys.engine.objects import ObjectStore
from tiphys.engine.pod import RESULT_LIMIT, Ending, Place, ending, launcher_spec
from tiphys.engine.spawner import LAUNCHER, Launched, Spawner
from tiphys.engine.unpack import NORMAL, Limits

if TYPE_CHECKING:
    from tiphys.engine.cache import StepCache

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
    limits: Limits = NORMAL
    cache: StepCache | None = None


class Workshop:
    """What all runs share that one process drives: places for steps, launchers, and turns at paths."""

    def __init__(self, slots: int) -> None:
        """`slots` is how many steps may run at once, of all runs together."""
        self.slots = asyncio.Semaphore(slots)
        self.spawner = Spawner()
        self.path_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def close(self) -> None:
        """End the launchers, and whatever they still run."""
        self.spawner.close()


class _EndedInLineError(Exception):
    """The step was to end while it waited for a place."""


@dataclass
class _Process:
    """One running step."""

    step: Launched
    kill_timer: asyncio.TimerHandle | None = None


class Executor:
    """The processes of one run."""

    def __init__(
        self, run: str, surroundings: Surroundings, workshop: Workshop, report: Callable[[Result], None]
    ) -> None:
        """`report` is called with PodStarted and PodEnded, on the event loop."""
        self._run = run
        self._around = surroundings
        self._report = report
        self._logs = surroundings.state / "runs" / run
        self._attempts = surroundings.state / "attempts"
        self._keep = (*surroundings.keep, str(surroundings.state))
        self._alive = str(surroundings.state / "steps.lock")
        self._workshop = workshop
        self._running: dict[str, _Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._served: dict[str, asyncio.Future[Ending]] = {}
        self._stopping: dict[str, float] = {}
        self._queued: set[str] = set()
        self._oom_kills = oom_kills()

    def start(self, start: StartPod, attempt: int) -> None:
        """Start a step; its PodEnded follows whatever happens."""
        self._tasks[start.node_id] = asyncio.create_task(self._whole(start, attempt))

    def kill(self, identity: str, grace: float) -> None:
        """SIGTERM now, SIGKILL of everything after `grace` seconds."""
        running = self._running.get(identity)
        if running is None:
            self._stopping[identity] = grace
            if identity in self._served:
                self._served[identity].cancel()
            if identity in self._queued:
                self._tasks[identity].cancel()
            return
        running.step.signal(signal.SIGTERM)
        if running.kill_timer is None or grace == 0:
            loop = asyncio.get_running_loop()
            running.kill_timer = loop.call_later(grace, running.step.signal, signal.SIGUSR1)

    async def end_all(self) -> None:
        """Kill whatever still runs and was not asked to end before; wait until all is gone."""
        for identity in self._tasks.keys() - self._running.keys():
            self.kill(identity, 0.0)
        for running in self._running.values():
            # A daemon whose boundary has ended may still be in its grace period.
            if running.kill_timer is None:
                running.step.signal(signal.SIGUSR1)
        if self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _whole(self, start: StartPod, attempt: int) -> None:
        try:
            # A daemon takes no slot: it would keep it until what waits for the slot has ended.
            async with nullcontext() if start.template.get("daemon") else self._slot(start.node_id):
                result = await self._maybe_cached(start, attempt)
        except _EndedInLineError:
            result = Ending(FAILED, "", {})
        except (EngineError, OSError) as problem:
            result = Ending(ERROR, str(problem), {})
        except Exception as defect:  # noqa: BLE001  # an unreported end would leave the run waiting for ever
            result = Ending(ERROR, f"defect of the engine: {type(defect).__name__}: {defect}", {})
        finally:
            self._running.pop(start.node_id, None)
            self._tasks.pop(start.node_id, None)
        self._report(PodEnded(start.node_id, result.phase, result.message, result.outputs or None, result.memoization))

    @asynccontextmanager
    async def _slot(self, identity: str) -> AsyncIterator[None]:
        """A place for a step, once one is free: those of other runs wait in the same line. Raises _EndedInLineError."""
        if identity in self._stopping:
            raise _EndedInLineError
        self._queued.add(identity)
        try:
            await self._workshop.slots.acquire()
        except asyncio.CancelledError:
            raise _EndedInLineError from None
        finally:
            self._queued.discard(identity)
        try:
            yield
        finally:
            self._workshop.slots.release()

    async def _maybe_cached(self, start: StartPod, attempt: int) -> Ending:
        cache = self._around.cache
        if cache is None or not cache.takes(start.template):
            return await self._one(start, attempt)
        from tiphys.engine.cache import Asked, through  # noqa: PLC0415  # most steps need none

        log = partial(open_log, log_path(self._around.state, self._run, start.node_id), attempt)
        return await through(
            cache, Asked(self._run, start, *self._shared()), lambda start: self._one(start, attempt),
            lambda: start.node_id in self._stopping, log,
        )  # fmt: skip

    async def _one(self, start: StartPod, attempt: int) -> Ending:
        folder = self._attempts / f"{start.node_id}-{attempt}"
        _clear(folder)
        place = Place(folder, self._keep, self._around.private, self._around.limits)
        kind = _Kind.of(start, self._logs)
        try:
            ended = await self._made(start, attempt, kind, place)
            if ended.phase != SUCCEEDED and not start.template.get("daemon"):
                from tiphys.engine.replay.leave import leave  # noqa: PLC0415  # most steps do not fail

                await asyncio.to_thread(leave, self._around, self._run, start, attempt, ended, folder)
            return ended
        finally:
            if self._around.images.storage is not None:
                from tiphys.engine.oci.pod import take_control_groups_away  # noqa: PLC0415

                take_control_groups_away(folder)
            _clear(folder)

    async def _made(self, start: StartPod, attempt: int, kind: _Kind, place: Place) -> Ending:
        """How the step ended; what can't be started has ended in Error."""
        try:
            if kind.in_engine:
                return await self._in_engine(start)
            slow = _has_artifacts(start, "inputs") or self._around.images.storage is not None
            spec = await _maybe_in_thread(slow, kind.spec, start, place, *self._shared())
            async with _AllLocks(self._locks_for(spec)):
                report, stdout = await self._process(start, spec, attempt)
            prefix = f"{self._run}/{start.pod_name}"
            slow = _has_artifacts(start, "outputs") or kind.keeps_logs
            finished: Ending = await _maybe_in_thread(
                slow, kind.ending, start, report, stdout, place, self._around.store, prefix
            )
        except (EngineError, OSError) as problem:
            return Ending(ERROR, str(problem), {})
        else:
            return finished

    def _oom_killed(self) -> bool:
        """Whether the kernel has ended a process for want of memory since this was last asked."""
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before

    async def _in_engine(self, start: StartPod) -> Ending:
        """An http or data template: no process, but a thread that may be left alone."""
        from tiphys.engine import agent  # noqa: PLC0415

        if start.node_id in self._stopping:
            return Ending(FAILED, "", {})
        work = self._served[start.node_id] = asyncio.ensure_future(agent.perform(start, self._around))
        try:
            finished: Ending = await work
        except asyncio.CancelledError:
            return Ending(FAILED, "", {})
        finally:
            del self._served[start.node_id]
        return finished

    def _tell(self, start: StartPod, event: Json) -> None:
        """Hand on what the launcher says about one container of a pod."""
        from tiphys.engine.containers import phase_of  # noqa: PLC0415

        if event.get("ready"):
            self._report(PodReady(start.node_id))
        elif start.template.get("containerSet"):
            name = node_id(self._run, f"{start.node_name}.{event['container']}")
            self._report(ContainerChanged(name, *phase_of(event)))

    def _shared(self) -> tuple[ImageTable, ObjectStore, ArtifactStore]:
        return self._around.images, self._around.objects, self._around.store

    def _locks_for(self, spec: Json) -> list[asyncio.Lock]:
        """Without private roots, steps that declare the same path take turns."""
        if self._around.private:
            return []
        return [self._workshop.path_locks[path] for path in sorted(set(spec["declared"]))]

    async def _process(self, start: StartPod, spec: Json, attempt: int) -> tuple[Json, bytes | None]:
        if start.node_id in self._stopping:
            return {"exit": 143}, None
        spec["alive"] = self._alive
        log = open_log(log_path(self._around.state, self._run, start.node_id), attempt)
        result_read, result_write = os.pipe() if start.keep_result else (-1, -1)
        try:
            tell = partial(self._tell, start) if "containers" in spec else None
            step = self._workshop.spawner.start(spec, result_write if start.keep_result else log, log, tell)
        except BaseException:
            os.close(log)
            raise
        finally:
            if start.keep_result:
                os.close(result_write)
        self._running[start.node_id] = running = _Process(step)
        self._report(PodStarted(start.node_id, attempt, daemon=bool(start.template.get("daemon"))))
        try:
            stdout = await _copy_stdout(result_read, log) if start.keep_result else None
            report = await step.report()
            if report.get("exit") == 128 + signal.SIGKILL and running.kill_timer is None and "oom" not in report:
                report["oom"] = self._oom_killed()
            return report, stdout
        finally:
            os.close(log)
            self._running.pop(start.node_id)
            if running.kill_timer is not None:
                running.kill_timer.cancel()


@dataclass(frozen=True)
class _Kind:
    """How a template is run and how its end is read; everything but a plain container is imported when it is met."""

    in_engine: bool = False
    keeps_logs: bool = False
    spec: Callable[..., Json] = launcher_spec
    ending: Callable[..., Ending] = ending

    @classmethod
    def of(cls, start: StartPod, logs: Path) -> _Kind:
        """The kind of a step; logs of its containers go to the folder `logs`."""
        template = start.template
        if not _SPECIAL.keys() & template.keys():
            return _PLAIN
        from tiphys.engine import containers  # noqa: PLC0415

        spec: Callable[..., Json] = launcher_spec
        finish: Callable[..., Ending] = ending
        if containers.has_many(template):
            spec, finish = partial(containers.containers_spec, logs=logs), containers.ending
        keeps_logs = bool((template.get("archiveLocation") or {}).get("archiveLogs"))
        if keeps_logs:
            finish = partial(containers.with_logs, finish, logs)
        return cls(bool(template.get("http") or template.get("data")), keeps_logs, spec, finish)


_PLAIN = _Kind()
_SPECIAL = dict.fromkeys(
    ("http", "data", "containerSet", "sidecars", "initContainers", "daemon", "archiveLocation"), True
)


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


def _clear(folder: Path) -> None:
    """Remove the folder of an attempt; most steps need none."""
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def oom_kills() -> int:
    """How many processes the kernel has ended on this machine because memory ran out."""
    with Path("/proc/vmstat").open(encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)


def log_path(state: Path, run: str, node_id: str) -> Path:
    """Where a node's log is."""
    return state / "runs" / run / f"{node_id}.log"


def open_log(path: Path, attempt: int) -> int:
    """The log, opened for appending; an attempt after an interruption says so."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:  # the first of its run
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o600)
    if attempt > 1:
        os.write(descriptor, f"--- started again after an interruption (start {attempt}) ---\n".encode())
    return descriptor


@cache
def can_make_private_roots() -> bool:
    """Whether this kernel lets us give each step a root of its own."""
    import subprocess  # noqa: PLC0415

    with Path("/proc/self/status").open(encoding="ascii") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    if int(lines["CapEff"], 16) >> _CAP_SYS_ADMIN & 1:
        return True
    return (
        subprocess.run([*LAUNCHER, "probe"], check=False, capture_output=True, env={}, cwd="/").returncode  # noqa: S603
        == 0
    )


__all__ = ["FAILED", "Executor", "Surroundings", "can_make_private_roots", "log_path"]
