"""Drives all runs that are written down, at once, in one process: what `tiphys serve` does besides answering.

Whoever wants something (a run, a stop, an object) writes it into the state folder and wakes this process. It keeps
nothing that is not there: killed at any moment, the next one goes on with all of it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tiphys.engine.driver import Driver, watch_processes
from tiphys.engine.engine import Engine
from tiphys.engine.errors import EngineError
from tiphys.engine.executor import Workshop
from tiphys.engine.expiry import delete_artifacts
from tiphys.engine.inotify import Waker
from tiphys.engine.lock import ALL_RUNS, StateLock
from tiphys.engine.run_state import RunState
from tiphys.engine.shared_locks import SharedLocks

Tick = Callable[[float], float | None]
"""Does what is due now, in seconds since the epoch; says when to be called again, None for only when woken."""

_LONGEST = 30.0  # seconds: the wall clock may be set while we sleep
_SEEN = 2.0  # seconds that a run stays beyond its time, so that who waits for its end sees it
_AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between attempts at a run that the journal does not take

log = logging.getLogger("tiphys.engine")


class Service:
    """All runs of a state folder."""

    def __init__(self, engine: Engine, ticks: Sequence[Tick] = ()) -> None:
        """`ticks` are called at the start, when they want to be, whenever the service is woken, and when a run has ended."""
        self._engine = engine
        self._ticks = (*ticks, self._expire)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._drivers: dict[str, Driver] = {}
        self._locks = SharedLocks()
        self._woken = asyncio.Event()
        self._expiring: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event, *, command: str = "tiphys serve") -> None:
        """Drive runs until told to stop; those that have not ended then go on with the next service.

        Raises:
            StateLockedError: another engine holds the state folder.
        """
        with StateLock(self._engine.state, command, ALL_RUNS, self._engine.store.where):
            self._engine.prepare()
            watch_processes()
            waker, workshop = Waker(self._engine.state, self._woken.set), self._engine.workshop()
            stopping = asyncio.create_task(stop.wait())
            try:
                while not stop.is_set():
                    self._woken.clear()
                    at = self._look(workshop)
                    await self._sleep(stopping, at)
            finally:
                waker.close()
                await self._end()
                workshop.close()

    async def _sleep(self, stopping: asyncio.Task[bool], at: float | None) -> None:
        woken = asyncio.create_task(self._woken.wait())
        timeout = _LONGEST if at is None else min(_LONGEST, max(0.0, at - time.time()))
        await asyncio.wait((stopping, woken), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()

    async def _end(self) -> None:
        """Leave all runs as they are; nothing of them runs on."""
        tasks = [*self._tasks.values(), *([self._expiring] if self._expiring is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self, workshop: Workshop) -> float | None:
        """Do what is to be done now; when to look again at the latest."""
        moments: list[float | None] = []
        for tick in self._ticks:
            try:
                moments.append(tick(time.time()))
            except (EngineError, OSError, sqlite3.Error) as error:
                log.error("%s", error)  # noqa: TRY400 - a full disk needs no traceback
                moments.append(time.time() + _AGAIN[-1])
            except Exception:  # one thing that is wrong must not stop all others
                log.exception("a defect of the engine")
                moments.append(time.time() + _AGAIN[-1])
        try:
            self._begin_new(workshop)
            for name in self._engine.journal.asked() & self._drivers.keys():
                self._drivers[name].asked()
        except (EngineError, sqlite3.Error) as error:
            log.error("%s", error)  # noqa: TRY400
            moments.append(time.time() + _AGAIN[0])
        return min((moment for moment in moments if moment is not None), default=None)

    def _begin_new(self, workshop: Workshop) -> None:
        """Drive what nobody drives yet; those that held locks first."""
        found: list[RunState] = []
        for name in self._engine.journal.unfinished_names():
            if name not in self._tasks:
                with suppress(EngineError):  # its rows are damaged: whoever asks for it is told
                    found.append(self._engine.journal.load(name))
        for run in found:
            self._enter(run)
        for run in found:
            self._tasks[run.name] = asyncio.create_task(self._drive(run, workshop))

    def _enter(self, run: RunState) -> None:
        """Let the run be woken for what is asked of it, and for locks on which it waits."""

        def wake() -> None:
            if run.name in self._drivers:
                self._drivers[run.name].asked()

        self._locks.enter(run, wake)

    async def _drive(self, run: RunState, workshop: Workshop) -> None:
        """One run, to its end; what the journal does not take is tried again."""
        pauses = itertools.chain(_AGAIN, itertools.repeat(_AGAIN[-1]))
        name = run.name
        try:
            while not await self._ends_well(run, workshop):
                await asyncio.sleep(next(pauses))
                run = self._engine.journal.load(name)
                self._enter(run)
        except EngineError as error:
            log.error("%s: %s", name, error)  # noqa: TRY400 - it is gone, or its rows are damaged
        finally:
            self._locks.leave(run)
            del self._tasks[name]
            self._woken.set()

    async def _ends_well(self, run: RunState, workshop: Workshop) -> bool:
        """Drive the run; False if something was in the way that may pass."""
        try:
            await self._to_the_end(run, workshop)
        except (sqlite3.Error, OSError) as error:
            log.error("%s: %s", run.name, self._engine.unwritable(run.name, error))  # noqa: TRY400
            return False
        except EngineError as error:
            log.error("%s: %s", run.name, error)  # noqa: TRY400 - it names the thing and the remedy
            return False
        except Exception:
            log.exception("%s: a defect of the engine", run.name)
            return False
        return True

    async def _to_the_end(self, run: RunState, workshop: Workshop) -> None:
        self._engine.recover(run)
        log.info("%s: begins" if not run.started else "%s: goes on", run.name)
        driver = self._drivers[run.name] = self._engine.driver(run, workshop)
        try:
            await driver.to_the_end()
        finally:
            del self._drivers[run.name]
        log.info("%s: %s after %.1f s", run.name, run.phase, run.finished - run.started)
        if keys := self._engine.doomed(run):
            await asyncio.to_thread(delete_artifacts, self._engine.store, keys)
            self._engine.note_deleted(run, keys)

    def _expire(self, now: float) -> float | None:
        """Let go of runs whose time is over, in a thread: what they leave in a store may be far away."""
        at = self._engine.journal.next_expiry()
        if self._expiring is not None and not self._expiring.done():
            return None  # its end wakes us
        if at is None or now < at + _SEEN:
            return None if at is None else at + _SEEN
        self._expiring = asyncio.create_task(self._let_go())
        return None

    async def _let_go(self) -> None:
        try:
            await asyncio.to_thread(_expire_apart, self._engine)
        except (EngineError, OSError, sqlite3.Error) as error:
            log.error("%s", error)  # noqa: TRY400
            await asyncio.sleep(_AGAIN[-1])
        finally:
            self._woken.set()


def _expire_apart(engine: Engine) -> None:
    """With a connection of its own: SQLite's belong to one thread."""
    apart = engine.apart()
    try:
        apart.expire(grace=_SEEN)
    finally:
        apart.journal.close()
