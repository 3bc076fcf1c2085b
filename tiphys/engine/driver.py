"""Drives one run to its end: core, journal and processes, by events and timers alone."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tiphys.engine.actions import Action, KillPod, Result, ResumeSuspended, SaveMemo, Shutdown, StartPod, Suspend
from tiphys.engine.core import step
from tiphys.engine.executor import Executor, Surroundings, Workshop
from tiphys.engine.journal import Journal
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

Listener = Callable[[RunState, Sequence[Node]], None]
_POLITE = ("Stop", "Terminate")  # what the first Ctrl-C asks for, and the second; a third kills
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Driver:
    """One run, driven by this process."""

    def __init__(
        self, run: RunState, journal: Journal, surroundings: Surroundings, workshop: Workshop, listener: Listener
    ) -> None:
        """`listener` is called after every change, with the nodes that changed; each `period` seconds if it has one."""
        self._run = run
        self._journal = journal
        self._listener = listener
        self._results: asyncio.Queue[Result | None] = asyncio.Queue()
        self._executor = Executor(run.name, surroundings, workshop, self._results.put_nowait)

    async def to_the_end(self) -> None:
        """Drive the run until it has ended and nothing of it runs any more. Cancelled, it leaves the run unfinished."""
        ticking = asyncio.create_task(self._tick(getattr(self._listener, "period", 0.0)))
        try:
            await self._loop()
        finally:
            ticking.cancel()
            await self._executor.end_all()

    def asked(self) -> None:
        """Something may have been asked of the run, or a lock may be free on which it waits: look."""
        self._results.put_nowait(None)

    def shut_down(self, strategy: str) -> None:
        """Bring the run to its end: `Stop`, or `Terminate` without its exit handlers."""
        self._results.put_nowait(Shutdown(strategy))

    def kill(self) -> None:
        """End all processes of the run at once."""
        for node in self._run.nodes.values():
            self._executor.kill(node.id, 0.0)

    async def _tick(self, period: float) -> None:
        """Let a person see that time passes."""
        while period:
            await asyncio.sleep(period)
            self._listener(self._run, ())

    async def _loop(self) -> None:
        results: list[Result] = self._requests()
        while True:
            outcome = step(self._run, results, time.time())
            self._carry_out(outcome.actions)
            if self._run.done:
                return
            results = await self._next(outcome.wake)

    def _carry_out(self, actions: Iterable[Action]) -> None:
        """Write down what is intended, then do it."""
        starts: list[tuple[StartPod, int]] = []
        for action in actions:
            if isinstance(action, StartPod):
                node = self._run.nodes[action.node_id]
                node.attempts += 1
                self._run.dirty.add(node.id)
                starts.append((action, node.attempts))
            elif isinstance(action, SaveMemo):
                self._journal.save_memo(action.cache, action.key, action.entry)
        changed = self._journal.save(self._run)
        for start, attempt in starts:
            self._executor.start(start, attempt)
        for action in actions:
            if isinstance(action, KillPod):
                self._executor.kill(action.node_id, action.grace)
        self._listener(self._run, [self._run.nodes[node_id] for node_id in changed if node_id in self._run.nodes])

    async def _next(self, wake: float | None) -> list[Result]:
        """What has happened since, at least one thing unless `wake` comes first."""
        timeout = None if wake is None else max(0.0, wake - time.time())
        found: list[Result] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                self._add(found, await self._results.get())
        while not self._results.empty():
            self._add(found, self._results.get_nowait())
        return found

    def _add(self, found: list[Result], result: Result | None) -> None:
        if result is None:
            found.extend(self._requests())
        else:
            found.append(result)

    def _requests(self) -> list[Result]:
        """What another process asked for: it writes a request and wakes this one."""
        results: list[Result] = []
        for request in self._journal.take_requests(self._run.name):
            if request.get("kind") == "shutdown":
                results.append(Shutdown(request["strategy"]))
            elif request.get("kind") == "resume":
                given = tuple((request.get("parameters") or {}).items())
                phase, message = request.get("phase", "Succeeded"), request.get("message") or ""
                results.append(ResumeSuspended(request.get("node") or "", given, phase, message))
            elif request.get("kind") == "suspend":
                results.append(Suspend())
            elif request.get("kind") == "delete":
                self._run.deleted = True
                results.append(Shutdown("Terminate"))
                self.kill()
        return results


def watch_processes() -> None:
    """Hear of the ends of processes by pidfd: Python 3.11 would start a thread for each; from 3.12 on this is the default."""
    if sys.version_info < (3, 12):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.get_event_loop_policy().set_child_watcher(watcher)


@contextmanager
def interrupted_by_signals(driver: Driver, told: Callable[[int], None]) -> Iterator[None]:
    """Let Ctrl-C end the run; `told` hears of each: 1 stops, 2 terminates, 3 kills."""
    loop, count = asyncio.get_running_loop(), itertools.count(1)

    def interrupt() -> None:
        number = next(count)
        told(number)
        if number <= len(_POLITE):
            driver.shut_down(_POLITE[number - 1])
        else:
            driver.kill()

    for each in _SIGNALS:
        loop.add_signal_handler(each, interrupt)
    try:
        yield
    finally:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
