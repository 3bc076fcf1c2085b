"""One client's connection: requests are read ahead by at most a slice and answered one after the other.

This module sets the bounds of what is read; what a head may say is in ``heads``. It knows no route.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import httptools

from tiphys.serving.gateway.exchange import Exchange
from tiphys.serving.gateway.heads import Refused, request_of, too_large
from tiphys.serving.gateway.messages import Request, Response, again, internal_error, refusal

if TYPE_CHECKING:
    from tiphys.serving.gateway.server import HttpServer

_SLICE = 4096
"""Bytes that are parsed at a time: so many requests of a pipeline are known at most before the first is answered."""
_DISCARD = 64 * 1024
"""Bytes of a refused body that are read and thrown away to keep the connection; after more it is closed."""
_LINGER_SECONDS = 1.0
"""How long a closing connection is still read, so that the refusal is not lost to a reset (RFC 9112, section 9.6)."""
_NEVER = float("inf")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one server puts up with; times in seconds, sizes in bytes."""

    connections: int = 1024
    head: int = 16 * 1024
    """Request line and header fields together."""
    read: float = 5.0
    """From a request's first byte to its last."""
    idle: float = 60.0
    """Between requests."""
    write: float = 30.0
    """That a client may leave an answer unread."""
    buffer: int = 64 * 1024
    """Answers that wait for a client before nothing more is read from it."""


class Connection(asyncio.Protocol):
    """One client's connection: requests are read ahead by at most a slice and answered one after the other."""

    __slots__ = (
        "_active", "_application", "_body", "_cap", "_closing", "_continue", "_discarding", "_exchange", "_fields",
        "_has_moved", "_head", "_held", "_in_head", "_limits", "_lingers", "_loop", "_parser", "_paused", "_peer", "_queue", "_raw",
        "_request", "_server", "_size", "_transport", "_url", "_working", "_write_paused", "deadline",
    )  # fmt: skip

    def __init__(self, server: HttpServer) -> None:
        """Wait to be connected."""
        self._server = server
        self._application = server.application
        self._limits = server.limits
        self._loop = server.loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._peer = ""
        self._queue: deque[Exchange] = deque()
        self._exchange: Exchange | None = None
        self._held = b""
        self._paused = False
        self._write_paused = False
        self._working = False
        self._closing = False
        self._has_moved = False
        """Whether the bytes that are parsed now ended a head, or were of a body."""
        self._lingers = False
        """Whether the client may still be sending when the last answer goes out."""
        self._active = False
        """Whether a request has begun to arrive and has not ended."""
        self.deadline = _NEVER
        """When the server gives up on it, by the loop's clock."""
        self._forget()

    def _forget(self) -> None:
        self._url = b""
        self._fields: dict[bytes, bytes] = {}
        self._head = 0
        self._raw = 0
        self._in_head = True
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._cap = 0
        self._discarding: Response | None = None
        self._continue = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = stream = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        stream.set_write_buffer_limits(high=self._limits.buffer)
        address = stream.get_extra_info("peername")
        self._peer = address[0] if isinstance(address, tuple) else ""
        self.deadline = self._loop.time() + self._limits.idle
        self._server.came(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has gone, or we have closed."""
        self._transport = None
        self._server.left(self)
        for each in (self._exchange, *self._queue):
            if each is not None:
                each.leave()
                each.request.free()
        if self._request is not None:
            self._request.free()
        self._exchange = None
        self._queue.clear()
        self._held = b""

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._closing:
            return
        if self._exchange is not None or self._held:
            self._held += data
            self._pause()
            return
        self._read(data)

    def eof_received(self) -> bool:
        """The client sends no more: it is taken as gone, because most that do so are."""
        return False

    def pause_writing(self) -> None:
        """The client does not read what it is sent: neither do we."""
        self._write_paused = True
        self.deadline = self._loop.time() + self._limits.write
        self._pause()

    def resume_writing(self) -> None:
        """It does again."""
        self._write_paused = False
        self._settle()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._active:
            self._active = True
            self.deadline = self._loop.time() + self._limits.read

    def on_url(self, url: bytes) -> None:
        """Its target, perhaps in parts."""
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; after the body there is no place for one."""
        if not self._in_head:
            raise Refused(refusal(400, "trailers", "send no fields after the body"))
        self._count(len(name) + len(value) + 4)
        name = name.lower()
        fields = self._fields
        fields[name] = fields[name] + b", " + value if name in fields else value

    def on_headers_complete(self) -> None:
        """The head is there: may it go on, and how far."""
        self._in_head = False
        self._has_moved = True
        self._head = 0
        request = self._request = request_of(self._parser, self._url, self._fields, self._peer, self._loop.time())
        allowed = self._application.accept(request)
        length = int(request.headers.get(b"content-length", 0))
        expects = request.headers.get(b"expect", b"").lower() == b"100-continue"
        if isinstance(allowed, Response):
            if length > _DISCARD or expects:
                raise Refused(allowed)
            self._discarding, self._cap = allowed, _DISCARD
        elif length > allowed:
            raise Refused(too_large(allowed))
        else:
            self._cap = allowed
            self._continue = expects

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._has_moved = True
        self._size += len(body)
        if self._size > self._cap:
            raise Refused(self._discarding or too_large(self._cap))
        if self._discarding is not None or self._request is None:
            return
        heavy = self._request.hold(len(body))
        if heavy is not None:
            raise Refused(heavy)
        self._body.append(body)

    def on_chunk_header(self) -> None:
        """A part of the body begins, or there is none left."""
        self._has_moved = True

    def on_message_complete(self) -> None:
        """A whole request has come."""
        request = self._request
        assert request is not None  # noqa: S101 - its head was complete
        body = self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        request.last = request.last or not self._parser.should_keep_alive()
        self._queue.append(Exchange(self, request, self._discarding))
        self._active = False
        self._forget()

    # Reading.

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self._limits.head:
            text = f"request line and headers have at most {self._limits.head} bytes"
            raise Refused(refusal(431, "head_too_large", text))

    def _read(self, data: bytes) -> None:
        """Parse slice by slice, until there is a request that has to be answered first."""
        start = 0
        while start < len(data) and not self._closing:
            if self._exchange is not None or self._write_paused:
                self._held = data[start:]
                self._pause()
                return
            part = data if len(data) <= _SLICE else data[start : start + _SLICE]
            start += len(part)
            self._feed(part)
            self._work()
        if self._exchange is None and not self._queue:
            self._rest()

    def _feed(self, part: bytes) -> None:
        begun = self._active
        self._has_moved = False
        try:
            self._parser.feed_data(part)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, Refused):
                self._break(cause.response)
            elif isinstance(error, httptools.HttpParserCallbackError):
                log.exception("a request could not be read")
                self._break(internal_error())
            else:
                self._break(refusal(400, "bad_request", f"this is no HTTP/1.1: {error}"))
        else:
            if self._has_moved:
                self._raw = 0
            elif begun and self._active:
                self._bound_unfinished(len(part))

    def _bound_unfinished(self, size: int) -> None:
        """The parser keeps a field to itself until it is whole, after the body too: bound it by what was read of it."""
        self._raw += size
        if self._raw > self._limits.head + _SLICE:
            text = f"request line and headers have at most {self._limits.head} bytes"
            self._break(refusal(431, "head_too_large", text))

    def _break(self, response: Response) -> None:
        """Read nothing more; answer what came before, then this, then close."""
        request = self._request or Request("", "", "", {}, self._peer, self._loop.time())
        if self._queue and self._queue[-1].request.last:
            return  # what follows the last request of a connection is nobody's
        request.last = True
        self._closing = self._lingers = True
        self._held = b""
        self._active = False
        self._queue.append(Exchange(self, request, response))

    # Answering.

    def _work(self) -> None:
        """Have the next requests answered, as long as answers come at once."""
        if self._working:
            return
        self._working = True
        while self._queue and self._exchange is None and not self._write_paused:
            exchange = self._exchange = self._queue.popleft()
            self.deadline = _NEVER
            exchange.begin(self._application)
        self._working = False

    def reply(self, exchange: Exchange, response: Response) -> None:
        """Send the answer to the request whose turn it is."""
        transport = self._transport
        if exchange is not self._exchange or transport is None:
            return
        self._exchange = None
        request = exchange.request
        request.free()
        last = request.last or self._server.stopping
        connection = b"connection: close\r\n" if last else b""
        transport.write(response.encode(without_body=request.method == "HEAD", connection=connection))
        if last:
            self._end()
        elif not self._working:
            self._settle()

    def _settle(self) -> None:
        """Go on with what waits: requests that were read, bytes that were not, or the next that come."""
        self._work()
        if self._exchange is not None or self._write_paused or self._transport is None or self._closing:
            return
        if self._held:
            held, self._held = self._held, b""
            self._read(held)
        else:
            self._rest()

    def _rest(self) -> None:
        """Everything that came is answered."""
        transport = self._transport
        if transport is None or self._closing or self._write_paused:
            return
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if not self._active:
            self.deadline = self._loop.time() + self._limits.idle
            return
        if self.deadline == _NEVER:
            self.deadline = self._loop.time() + self._limits.read
        if self._continue:
            self._continue = False
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _end(self) -> None:
        """Close; a client that may still be sending is read on for a moment, so that it sees the answer."""
        self._closing = True
        for each in self._queue:
            each.request.free()
        self._queue.clear()
        self._held = b""
        transport = self._transport
        if transport is None:
            return
        if not self._lingers:
            self.deadline = self._loop.time() + self._limits.write
            transport.close()
            return
        self.deadline = self._loop.time() + _LINGER_SECONDS
        if self._paused:
            self._paused = False
            transport.resume_reading()
        transport.write_eof()

    # What the server calls.

    @property
    def resting(self) -> bool:
        """Whether it is open, and nothing is being read, answered or left unread by the client."""
        is_busy = self._exchange is not None or self._queue or self._active or self._held
        return not (is_busy or self._closing or self._write_paused)

    def expire(self) -> None:
        """Its time is over."""
        transport = self._transport
        if transport is None:
            return
        if self._active and not self._closing and not self._write_paused:
            self._break(refusal(408, "timeout", f"a request has {self._limits.read:.0f} s to arrive"))
            self._work()
        elif self.resting:
            transport.close()
        else:
            transport.abort()

    def finish(self) -> None:
        """Close as soon as what is in flight is answered."""
        if self.resting and self._transport is not None:
            self._closing = True
            self._transport.close()

    def turn_away(self) -> None:
        """Say that there are too many, and close."""
        response = refusal(503, "busy", "too many connections", again(1))
        if self._transport is not None:
            self._closing = True
            self._transport.write(response.encode(without_body=False, connection=b"connection: close\r\n"))
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
