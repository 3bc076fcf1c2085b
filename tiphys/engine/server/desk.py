"""Where handlers have their work done: off the event loop, in few threads, each with a journal connection of its own.

Reads, writes and checks have threads of their own, so that checking a hundred manifests delays no `get`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from tiphys.engine.engine import Engine
from tiphys.engine.server.catalog import Catalog
from tiphys.engine.server.feed import Feed, Folders
from tiphys.engine.server.fields import Fields
from tiphys.engine.server.refusals import Code, Refusal
from tiphys.engine.server.rendering import NOT_SHOWN, Rendered

Found = TypeVar("Found")
Work = Callable[[Engine], Found]
_THREADS = 2
_FIRST_PAGE = 50
"""Runs that are rendered when the server starts: as many as Argo's web UI asks for."""
_MOST_WAITING = 1000
"""Requests that may wait for one kind of thread; more are told to come again."""


class Desk:
    """Reads and writes of one state folder."""

    def __init__(self, engine: Engine) -> None:
        """`engine` says which folder, and how its manifests are checked; it is not used itself, but copies of it."""
        self.engine = engine
        self.rendered = Rendered()
        self.catalog = Catalog()
        self.feed = Feed(engine)
        self.folders = Folders()
        self._readers = _Threads(engine, "read")
        self._writers = _Threads(engine, "write")
        self._checkers = _Threads(engine, "check")
        self.objects_lock = threading.Lock()
        """Held while an object is looked for and then written."""

    async def read(self, work: Work[Found]) -> Found:
        """What `work` finds. Raises Refusal where too many wait, and what `work` raises."""
        return await self._readers.do(work)

    async def write(self, work: Work[Found]) -> Found:
        """What `work` gives, which has written something the engine may care for. Raises as `read` does."""
        return await self._writers.do(lambda engine: _woken(engine, work))

    async def check(self, work: Work[Found]) -> Found:
        """What `work` finds, which checks a manifest and writes nothing. Raises as `read` does."""
        return await self._checkers.do(work)

    async def warm(self) -> None:
        """Open the journal in the threads for reads, and render what a first page shows: no client need wait for it."""
        await asyncio.gather(*(self.read(lambda engine: self.catalog.runs(engine.journal)) for _ in range(_THREADS)))
        _, runs = await self.read(lambda engine: self.catalog.runs(engine.journal))
        for summary in runs[:_FIRST_PAGE]:
            with suppress(*NOT_SHOWN):
                await self.read(lambda engine, run=summary: self.rendered.of(engine, run, Fields()))  # type: ignore[misc]

    def close(self) -> None:
        """Let the threads end."""
        self._readers.close()
        self._writers.close()
        self._checkers.close()


def _woken(engine: Engine, work: Work[Found]) -> Found:
    """Wake the engine even if `work` fails half way: what is written down is to be seen."""
    try:
        return work(engine)
    finally:
        engine.wake()


class _Threads:
    """Threads for one kind of work."""

    def __init__(self, engine: Engine, kind: str) -> None:
        self._own = threading.local()
        self._waiting = 0
        self._kind = kind
        self._pool = ThreadPoolExecutor(_THREADS, f"api-{kind}", self._begin, (engine,))

    def _begin(self, engine: Engine) -> None:
        self._own.engine = engine.apart()

    async def do(self, work: Work[Found]) -> Found:
        if self._waiting >= _MOST_WAITING:
            raise Refusal(
                Code.RESOURCE_EXHAUSTED, f"{self._waiting} requests wait to {self._kind}: try again in a second",
                headers={"retry-after": "1"},
            )  # fmt: skip
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(self._own.engine))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
