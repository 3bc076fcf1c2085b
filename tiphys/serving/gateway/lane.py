"""Micro-batching: rows for the same model go at once while a slot is free, else together as soon as one is.

A row's fate is its own: one that is late is given up alone, one that is not finite fails alone, and where a model
refuses several rows together they are asked again in halves, so that one bad row takes no other along.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from tiphys.serving.gateway.tensors import Cells, Failed, Reading, Tensors
from tiphys.serving.gateway.upstream import Answer, Upstream, UpstreamError

MOST_ROWS = 64
"""Rows in one request: what our model configurations batch at most."""
SLOTS = 2
"""Requests of one lane that are in flight at once: one computes while the next travels."""
TICK = 0.005
"""Seconds by which a row may be given up late."""
_REFUSED = (400, 500)
"""What a model server answers if it was a row's fault; any other status is about all rows alike, so halves help nobody."""


class Row:
    """One row on its way; ``done`` is called once, unless the row is given up before."""

    __slots__ = ("bulk", "cells", "deadline", "done", "sent")

    def __init__(
        self, cells: Cells, deadline: float, done: Callable[[Reading | Failed], None], *, bulk: bool = False
    ) -> None:
        """Wait until ``deadline`` by the event loop's clock; ``bulk`` rows let single questions go first."""
        self.cells = cells
        self.deadline = deadline
        self.done: Callable[[Reading | Failed], None] | None = done
        self.bulk = bulk
        self.sent = False
        """Whether it has left for the model: a model can be late only with what it was asked."""

    def finish(self, outcome: Reading | Failed) -> None:
        """Hand the outcome over."""
        done, self.done = self.done, None
        if done is None:
            return
        try:
            done(outcome)
        except Exception:  # who asked is anybody's code, and other rows wait behind this one
            log.exception("what became of a row cannot be told to who asked")

    def give_up(self) -> None:
        """Nobody wants it any more."""
        self.done = None


log = logging.getLogger(__name__)

_LATE = Failed("late", "the model did not answer in time")


class Deadlines:
    """Gives rows up when their time is over: all that end in the same tick by one timer."""

    def __init__(self) -> None:
        """Have nothing to watch."""
        self._loop = asyncio.get_running_loop()
        self._ticks: dict[int, list[Row]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0

    def watch(self, row: Row) -> None:
        """Give ``row`` up at the first tick after its deadline."""
        tick = int(row.deadline / TICK) + 1
        rows = self._ticks.get(tick)
        if rows is not None:
            rows.append(row)
            return
        self._ticks[tick] = [row]
        if self._timer is None or tick < self._next:
            self._set(tick)

    def _set(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = self._loop.call_at(tick * TICK, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = int(self._loop.time() / TICK)
        for tick in sorted(each for each in self._ticks if each <= max(now, self._next)):
            for row in self._ticks.pop(tick):
                row.finish(_LATE)
        if self._ticks:  # whoever was told may have asked again, and set the timer for later than the next
            self._set(min(self._ticks))


class Lane:
    """All rows on their way to one version of one model."""

    def __init__(self, tensors: Tensors, upstream: Upstream, deadlines: Deadlines, slots: int = SLOTS) -> None:
        """Ask ``upstream`` with what ``tensors`` writes."""
        self.tensors = tensors
        self._upstream = upstream
        self._deadlines = deadlines
        self._slots = slots
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Row] = deque()
        self._bulk: deque[Row] = deque()
        self._halves: deque[list[Row]] = deque()
        self._flying = 0
        self._pumping = False

    def ask(self, row: Row) -> None:
        """Send it: with all others that come in this round of the event loop, or when a slot is free."""
        self._deadlines.watch(row)
        (self._bulk if row.bulk else self._waiting).append(row)
        if self._flying < self._slots and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._flying < self._slots:
            rows = self._gather()
            if not rows:
                return
            self._send(rows)

    def _gather(self) -> list[Row]:
        while self._halves:
            rows = [row for row in self._halves.popleft() if row.done is not None]
            if rows:
                return rows
        rows = []
        for queue in (self._waiting, self._bulk):
            while queue and len(rows) < MOST_ROWS:
                row = queue.popleft()
                if row.done is not None:
                    rows.append(row)
        return rows

    def _send(self, rows: list[Row]) -> None:
        self._flying += 1
        for row in rows:
            row.sent = True
        content = self.tensors.request([row.cells for row in rows])
        deadline = max([row.deadline for row in rows])

        def done(outcome: Answer | UpstreamError) -> None:
            self._flying -= 1
            self._come(rows, outcome)
            self._pump()

        self._upstream.send(content, done, deadline + 2 * TICK)

    def _come(self, rows: list[Row], outcome: Answer | UpstreamError) -> None:
        if isinstance(outcome, UpstreamError):
            failed = _LATE if outcome.failure == "late" else Failed("error", str(outcome))
            for row in rows:
                row.finish(failed)
            return
        readings = self.tensors.read(outcome, len(rows))
        if not isinstance(readings, Failed):
            for row, reading in zip(rows, readings, strict=True):
                row.finish(reading)
        elif outcome.status in _REFUSED and readings.code == "error" and len(rows) > 1:
            middle = len(rows) // 2
            self._halves.extend((rows[:middle], rows[middle:]))
        else:
            for row in rows:
                row.finish(readings)
