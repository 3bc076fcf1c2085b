"""A client of one gRPC server beside us: unary calls of bytes over one kept connection, each with a deadline.

Nothing is sent twice: whether a call that the server broke off under was answered cannot be known here. It knows HTTP/2
through its wire, and no message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from tiphys.serving.gateway.grpc_frames import (
    CANCEL,
    END_HEADERS,
    FRAME_CAP,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    RST_STREAM,
    frame,
)
from tiphys.serving.gateway.grpc_headers import (
    DEADLINE_EXCEEDED,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    AnswerHead,
    Blocks,
    call_block,
    read_answer,
    timeout_field,
)
from tiphys.serving.gateway.grpc_wire import Wire
from tiphys.serving.gateway.upstream import ANSWER_CAP

_CONNECT_SECONDS = 2.0
log = logging.getLogger(__name__)
_LAST_STREAM = 2**31 - 2**16
_SETTINGS = {HEADER_TABLE_SIZE: 0, INITIAL_WINDOW_SIZE: ANSWER_CAP, MAX_FRAME_SIZE: FRAME_CAP}


class GrpcAnswer:
    """What came back: blocks of headers and the framed message as they came, or a status of our own without blocks."""

    __slots__ = ("body", "head", "message", "status", "tail")

    def __init__(self, status: int, message: str, head: bytes = b"", body: bytes = b"", tail: bytes = b"") -> None:
        """Keep it; ``head`` is empty if the server did not answer, ``tail`` if it had nothing but headers."""
        self.status = status
        self.message = message
        self.head = head
        self.body = body
        self.tail = tail


Done = Callable[[GrpcAnswer], None]


class GrpcCall:
    """One call on its way; ``cancel`` when nobody wants the answer any more."""

    __slots__ = ("_done", "_timer", "block", "body", "head", "link", "message", "size", "stream", "upstream")

    def __init__(self, upstream: GrpcUpstream, block: bytes, message: bytes, done: Done, seconds: float) -> None:
        """Start the clock; ``block`` and the framed ``message`` are what will be sent."""
        self.upstream = upstream
        self.block = block
        self.message = message
        self.stream = 0
        self.link: _Link | None = None
        self.head = b""
        self.body: list[bytes] = []
        self.size = 0
        self._done: Done | None = done
        self._timer = upstream.loop.call_later(seconds, self._expire)

    @property
    def is_open(self) -> bool:
        """Whether its answer is still wanted."""
        return self._done is not None

    def finish(self, answer: GrpcAnswer) -> None:
        """Hand the answer over, once."""
        done, self._done = self._done, None
        self._timer.cancel()
        if done is not None:
            done(answer)

    def cancel(self) -> None:
        """Forget it, and tell the server."""
        self._done = None
        self._timer.cancel()
        self.upstream.drop(self)

    def _expire(self) -> None:
        self.upstream.drop(self)
        self.finish(GrpcAnswer(DEADLINE_EXCEEDED, "the model server did not answer in time"))


class GrpcUpstream:
    """One server: ``HOST:PORT``. It connects when first asked, and again after the connection is lost.

    Calls beyond what the server takes at once wait until others are done.
    """

    def __init__(self, address: str) -> None:
        """Know the server; to be made inside the event loop."""
        self.address = address
        self.loop = asyncio.get_running_loop()
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._authority = address.encode()
        self._blocks: dict[bytes, bytes] = {}
        self._link: _Link | None = None
        self._waiting: deque[GrpcCall] = deque()
        self._connecting: asyncio.Task[None] | None = None

    def call(self, path: bytes, message: bytes, done: Done, seconds: float) -> GrpcCall:
        """Send a framed message; ``done`` is called once, and never before this returns."""
        block = self._blocks.get(path)
        if block is None:
            block = self._blocks[path] = call_block(path, self._authority)
        call = GrpcCall(self, block + timeout_field(round(1000 * seconds)), message, done, seconds)
        self._waiting.append(call)
        self.go_on()
        return call

    def go_on(self) -> None:
        """Send what waits, as far as the server takes more."""
        waiting, link = self._waiting, self._link
        if link is None or link.wire.is_leaving:
            if waiting and self._connecting is None:
                self._connecting = self.loop.create_task(self._connect())
            return
        while waiting and link.takes_more:
            call = waiting.popleft()
            if call.is_open:
                link.send(call)

    def drop(self, call: GrpcCall) -> None:
        """Take no more of a call."""
        if call.link is not None:
            call.link.drop(call)

    async def close(self) -> None:
        """Close the connection; calls that wait fail."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self._turn_away("the gateway is closing")
        if self._link is not None:
            self._link.wire.close(0)

    @property
    def has_waiting(self) -> bool:
        """Whether calls wait for others to be done."""
        return bool(self._waiting)

    def lost(self, link: _Link) -> None:
        """A connection takes no more calls."""
        if link is self._link:
            self._link = None
            self.go_on()

    async def _connect(self) -> None:
        link = _Link(self)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self.loop.create_connection(partial(getattr, link, "wire"), self._host, self._port)
        except OSError as error:  # TimeoutError is one
            log.info("%s does not answer over gRPC: %s", self.address, error)
            self._turn_away("the model server is away")
        else:
            self._link = link
        finally:
            self._connecting = None
        self.go_on()

    def _turn_away(self, why: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.finish(GrpcAnswer(UNAVAILABLE, why))


class _Link:
    """One connection and the calls on it."""

    def __init__(self, upstream: GrpcUpstream) -> None:
        self.upstream = upstream
        self.wire = Wire(self, is_server=False, settings=_SETTINGS)
        self._blocks: Blocks[AnswerHead] = Blocks(read_answer, {})
        self._calls: dict[int, GrpcCall] = {}
        self._next = 1

    @property
    def takes_more(self) -> bool:
        return self.wire.is_open and not self.wire.is_leaving and len(self._calls) < self.wire.most_streams

    def send(self, call: GrpcCall) -> None:
        stream = call.stream = self._next
        self._next += 2
        self._calls[stream] = call
        call.link = self
        self.wire.streams[stream] = 0
        self.wire.send(stream, frame(HEADERS, END_HEADERS, stream, call.block), call.message)
        if self._next > _LAST_STREAM:
            self.wire.is_leaving = True
            self.upstream.lost(self)

    def drop(self, call: GrpcCall) -> None:
        if self._calls.get(call.stream) is call:
            self._end(call)
            self.wire.write(frame(RST_STREAM, 0, call.stream, CANCEL.to_bytes(4)))

    def on_headers(self, stream: int, block: bytes, ended: bool) -> None:  # noqa: FBT001
        said = self._blocks.read(block)
        call = self._calls.get(stream)
        if call is None:
            return
        if not ended and not call.head and said.status is None:
            call.head = block
            return
        self._end(call)
        status = said.status if said.status is not None and ended else UNAVAILABLE
        message = said.message if ended else "the model server breaks its protocol"
        if call.head:
            call.finish(GrpcAnswer(status, message, call.head, b"".join(call.body), block))
        else:
            call.finish(GrpcAnswer(status, message, block))

    def on_data(self, stream: int, data: bytes, ended: bool) -> None:  # noqa: FBT001
        call = self._calls.get(stream)
        if call is None:
            return
        call.body.append(data)
        call.size += len(data)
        if ended or call.size >= ANSWER_CAP:
            self.drop(call)
            text = f"the answer has more than {ANSWER_CAP} bytes" if not ended else "the answer ends without a status"
            call.finish(GrpcAnswer(UNAVAILABLE if ended else RESOURCE_EXHAUSTED, text))

    def on_reset(self, stream: int) -> None:
        call = self._calls.get(stream)
        if call is not None:
            self._end(call)
            call.finish(GrpcAnswer(UNAVAILABLE, "the model server broke the call off"))

    def on_sent(self, stream: int) -> None:
        """Nothing waits for it."""

    def on_lost(self) -> None:
        self.upstream.lost(self)
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.finish(GrpcAnswer(UNAVAILABLE, "the model server closed the connection"))

    def _end(self, call: GrpcCall) -> None:
        del self._calls[call.stream]
        self.wire.forget(call.stream)
        if self.upstream.has_waiting:
            self.upstream.loop.call_soon(self.upstream.go_on)
