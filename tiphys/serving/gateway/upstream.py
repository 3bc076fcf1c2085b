"""An HTTP/1.1 client for one server beside us: kept connections, a deadline for each call, an answer or a reason.

Calls are idempotent here (questions to a model, pages of an agent), so one whose connection closed before a byte of
an answer is sent once more, on a new one: the server closed a kept connection, or took this one just before it went.
It knows no model and no protocol above HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, cast

import httptools

Failure = Literal["away", "late", "broken", "full"]
"""``away``: nothing listens, or it closed; ``late``: no answer by the deadline; ``broken``: no HTTP, or too much of it;
``full``: too many calls wait."""

_TICK = 0.01
"""Seconds by which a call may be given up late."""
ANSWER_CAP = 16 << 20
"""Most bytes of an answer's body."""


class UpstreamError(Exception):
    """There is no answer."""

    def __init__(self, failure: Failure, message: str) -> None:
        """Keep which kind it is."""
        super().__init__(message)
        self.failure = failure


class Answer:
    """What the server said."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        """Keep it; header names are lower-case."""
        self.status = status
        self.headers = headers
        self.body = body


Done = Callable[["Answer | UpstreamError"], None]


def head(method: str, path: str, host: str, headers: Mapping[str, str | int]) -> bytes:
    """Return a request's head; ``path`` and ``headers`` are ours, or were checked to be one line each."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Call:
    """One request on its way; ``cancel`` when nobody wants the answer any more."""

    __slots__ = ("_done", "cap", "channel", "content", "deadline", "tries", "upstream")

    def __init__(self, upstream: Upstream, content: bytes, done: Done, deadline: float, cap: int) -> None:
        """Be on its way until ``deadline`` by the event loop's clock."""
        self.upstream = upstream
        self.deadline = deadline
        self.content = content
        self.cap = cap
        self.tries = 0
        self.channel: _Channel | None = None
        self._done: Done | None = done

    @property
    def open(self) -> bool:
        """Whether its answer is still wanted."""
        return self._done is not None

    def finish(self, outcome: Answer | UpstreamError) -> None:
        """Hand the outcome over, once."""
        done, self._done = self._done, None
        if done is not None:
            self.upstream.calls.discard(self)
            done(outcome)

    def cancel(self) -> None:
        """Forget it; a connection that still owes an answer is closed."""
        self._done = None
        self.upstream.calls.discard(self)
        if self.channel is not None:
            self.channel.drop()

    def expire(self) -> None:
        """Give it up: its time is over."""
        if self.channel is not None:
            self.channel.drop()
        self.finish(UpstreamError("late", f"{self.upstream.address} did not answer in time"))


class _Channel(asyncio.Protocol):
    """One connection: one call at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._forget()

    def _forget(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._upstream.made(self)

    def send(self, call: Call) -> None:
        assert self._transport is not None  # noqa: S101 - it was connected
        self._call = call
        call.channel = self
        call.tries += 1
        self._transport.write(call.content)

    def drop(self) -> None:
        """Close, with nothing more to say to its call."""
        self._call = None
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._call is None:
            self.drop()  # nothing was asked
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("broken", f"{self._upstream.address} sends what is no answer: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value
        self._count(len(name) + len(value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._count(len(body))

    def _count(self, size: int) -> None:
        self._size += size
        if self._call is not None and self._size > self._call.cap:
            message = "the answer is too large"
            raise ValueError(message)

    def on_message_complete(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        body = self._body
        answer = Answer(self._parser.get_status_code(), self._headers, body[0] if len(body) == 1 else b"".join(body))
        call.channel = None
        if self._parser.should_keep_alive():
            self._forget()
            self._upstream.rest(self)
        elif self._transport is not None:
            self._transport.close()
        call.finish(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._upstream.lost(self)
        self._fail("away", f"{self._upstream.address} closed the connection")

    def _fail(self, failure: Failure, message: str) -> None:
        call, self._call = self._call, None
        if self._transport is not None:
            self._transport.abort()
        if call is None:
            return
        call.channel = None
        if failure == "away" and not self._begun and call.tries == 1:
            self._upstream.again(call)
        else:
            call.finish(UpstreamError(failure, message))


class Upstream:
    """One server: ``HOST:PORT``."""

    def __init__(self, address: str, *, most: int = 32, waiting: int = 512) -> None:
        """Connect when first asked; at most ``most`` connections, and ``waiting`` calls that wait for one."""
        self.address = address
        self.loop = asyncio.get_running_loop()
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._most = most
        self._most_waiting = waiting
        self._idle: list[_Channel] = []
        self._open = 0
        """Connections that are there or being made."""
        self._waiting: deque[Call] = deque()
        self.calls: set[Call] = set()
        """All that are not answered."""
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = math.inf
        """When the calls whose time is over are given up next."""
        self._again: deque[Call] = deque()
        """Calls for new connections only: a kept one may be closed already, as the one that they met was."""
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False

    def send(self, content: bytes, done: Done, deadline: float, cap: int = ANSWER_CAP) -> Call:
        """Send a whole request, head and body; ``done`` is called once, never before this returns."""
        call = Call(self, content, done, deadline, cap)
        self.calls.add(call)
        if deadline < self._wakes:
            self._wake(deadline)
        if self._idle:
            self._idle.pop().send(call)
        elif len(self._waiting) >= self._most_waiting:
            self.loop.call_soon(call.finish, UpstreamError("full", f"too many calls wait for {self.address}"))
        else:
            self._waiting.append(call)
            self._connect()
        return call

    async def ask(  # noqa: PLR0913 - all but the first two have names
        self, method: str, path: str, *, seconds: float, headers: Mapping[str, str | int] | None = None,
        body: bytes = b"", cap: int = ANSWER_CAP,
    ) -> Answer:  # fmt: skip
        """Ask, and wait for the answer.

        Raises:
            UpstreamError: there is none.
        """
        future: asyncio.Future[Answer | UpstreamError] = self.loop.create_future()

        def done(outcome: Answer | UpstreamError) -> None:
            if not future.done():
                future.set_result(outcome)

        lengths: dict[str, str | int] = {"content-length": len(body)} if body or method == "POST" else {}
        content = head(method, path, self.address, {**(headers or {}), **lengths}) + body
        call = self.send(content, done, self.loop.time() + seconds, cap)
        try:
            outcome = await future
        except asyncio.CancelledError:
            call.cancel()
            raise
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Close all connections; calls that wait fail."""
        self._closed = True
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for channel in self._idle:
            channel.drop()
        self._fail_waiting("closing")
        if self._timer is not None:
            self._timer.cancel()

    # What channels call.

    def made(self, channel: _Channel) -> None:
        """A new connection is there."""
        if not _send_first(self._again, channel):
            self.rest(channel)

    def rest(self, channel: _Channel) -> None:
        """A connection is free."""
        if not _send_first(self._waiting, channel):
            self._idle.append(channel)

    def lost(self, channel: _Channel) -> None:
        """A connection is gone."""
        self._open -= 1
        with contextlib.suppress(ValueError):
            self._idle.remove(channel)
        if self._waiting:
            self._connect()

    def _wake(self, at: float) -> None:
        """Set the timer: one for all calls, because one for each costs more than all else here."""
        if self._timer is not None:
            self._timer.cancel()
        self._wakes = at
        self._timer = self.loop.call_at(at, self._expire)

    def _expire(self) -> None:
        """Give up the calls whose time is over."""
        now = self.loop.time()
        self._timer, self._wakes = None, math.inf
        if self.calls:
            self._wake(max(now + _TICK, min([each.deadline for each in self.calls])))
        for call in [each for each in self.calls if each.deadline <= now]:
            call.expire()

    def again(self, call: Call) -> None:
        """Send once more, on a new connection."""
        self._again.append(call)
        self._connect()

    def _connect(self) -> None:
        if self._closed:
            self.loop.call_soon(self._fail_waiting, "closed")
            return
        if self._open >= self._most:
            return
        self._open += 1
        task = self.loop.create_task(self._connected())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self) -> None:
        try:
            await self.loop.create_connection(lambda: _Channel(self), self._host, self._port)
        except OSError as error:
            self._open -= 1
            self._fail_waiting(str(error))
        except asyncio.CancelledError:
            self._open -= 1
            raise

    def _fail_waiting(self, reason: str) -> None:
        waiting = [*self._again, *self._waiting]
        self._again.clear()
        self._waiting.clear()
        for call in waiting:
            call.finish(UpstreamError("away", f"nothing answers at {self.address}: {reason}"))


def _send_first(calls: deque[Call], channel: _Channel) -> bool:
    """Send the first call that is still wanted; whether there was one."""
    while calls:
        call = calls.popleft()
        if call.open:
            channel.send(call)
            return True
    return False
