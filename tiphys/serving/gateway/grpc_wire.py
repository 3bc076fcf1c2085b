"""One HTTP/2 connection (RFC 9113): frames cut out of the bytes that arrive, and written as windows allow.

It is for both ends and knows no header, no gRPC and no model. HPACK's table of the other side is never used: blocks that
are written hold only literals and entries of the static table, so any block may go to any connection.
"""

from __future__ import annotations

import asyncio
import math
import struct
from dataclasses import dataclass
from typing import Protocol, cast

from tiphys.serving.gateway.grpc_frames import (
    ACK,
    BLOCK_CAP,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_CAP,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEAD,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    NUMBER,
    PADDED,
    PING,
    PREFACE,
    PRIORITISED,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTING,
    SETTINGS,
    WINDOW_UPDATE,
    WireError,
    frame,
    without_padding,
)

STALL_SECONDS = 10.0
"""Longest that a peer may leave what is written for it unread before its connection is closed."""
LEAST_RATE = 2**20
"""Bytes a second that a peer must take of a body that waits for its windows, once ``STALL_SECONDS`` are over."""
PATIENCE = 1000
"""Frames a second that a client may send which ask for nothing: pings, settings, priorities, windows, crumbs of data."""
_CRUMB = 256
"""Pieces of a body below so many bytes are crumbs, unless they are the last."""
_HEAD_PATIENCE, _ANSWER_PATIENCE, _BYTES_PATIENCE = 2, 8, 1024
"""How many more such frames come with a block of headers, an answer, and each so many bytes of one."""
_DEFAULT_WINDOW = 65535
_MOST_WINDOW = 2**31 - 1
_CONNECTION_WINDOW = 16 * 2**20
_BLOCK_FRAMES = 16


class Events(Protocol):
    """What the owner of a wire is told."""

    def on_headers(self, stream: int, block: bytes, ended: bool) -> None:  # noqa: FBT001 - a protocol of callbacks
        """A whole block of headers."""

    def on_data(self, stream: int, data: bytes, ended: bool) -> None:  # noqa: FBT001
        """Some bytes of a stream's body."""

    def on_reset(self, stream: int) -> None:
        """The peer wants no more of that stream."""

    def on_sent(self, stream: int) -> None:
        """All that was given to ``send`` for that stream is on its way."""

    def on_lost(self) -> None:
        """The connection is gone, or about to be: no stream of it will be answered any more."""


@dataclass(slots=True)
class _Unsent:
    """The part of a body that waits for a window, and the frames after it."""

    body: bytes
    at: int
    tail: bytes
    until: float
    """When all of it must have been taken."""


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, events: Events, *, is_server: bool, settings: dict[int, int]) -> None:
        """Speak for ``events``; ``settings`` are what the peer is told first."""
        self._events = events
        self._greeting = b"" if is_server else PREFACE
        self._expected = PREFACE if is_server else b""
        self._settings = b"".join(SETTING.pack(*each) for each in settings.items())
        self.peer = ""
        """The address at the other end."""
        self._buffer = b""
        self._block: tuple[int, list[bytes], bool] | None = None
        self._transport: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._written: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._unacknowledged = 0
        self._window = _DEFAULT_WINDOW
        self._initial = _DEFAULT_WINDOW
        self._unsent: dict[int, _Unsent] = {}
        self.streams: dict[int, int] = {}
        """Open streams, kept by the owner: what the peer's window of each was widened by."""
        self.most_streams = 2**31
        """How many streams the peer lets us open at once."""
        self.is_leaving = False
        """The peer answers what is open and takes nothing new."""
        self.is_paused = False
        """The peer does not read what was written for it."""
        self._paused_until = math.inf
        self._is_server = is_server
        self._patience = PATIENCE
        self._calm_since = self._loop.time()

    # ---------------------------------------------------------------- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        self._transport = transport = cast("asyncio.Transport", transport)
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        widen = frame(WINDOW_UPDATE, 0, 0, NUMBER.pack(_CONNECTION_WINDOW - _DEFAULT_WINDOW))
        transport.write(self._greeting + frame(SETTINGS, 0, 0, self._settings) + widen)
        if self.is_leaving:
            self.close(NO_ERROR)

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell the owner once."""
        self.close(NO_ERROR)

    def close(self, code: int, last: int = 0) -> None:
        """Say goodbye and end the connection; the owner is told."""
        self._hand_over()
        transport, self._transport = self._transport, None
        if transport is None:
            return
        if self._stall is not None:
            self._stall.cancel()
        self._unsent.clear()
        transport.write(frame(GOAWAY, 0, 0, struct.pack(">II", last, code)))
        if code and (self.is_paused or code == ENHANCE_YOUR_CALM):
            transport.abort()
        else:
            transport.close()
            self._loop.call_later(STALL_SECONDS, transport.abort)
        self._events.on_lost()

    def abort(self) -> None:
        """Close without waiting until the peer has read what is written for it."""
        transport = self._transport
        self.close(NO_ERROR)
        if transport is not None:
            transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether something can be written."""
        return self._transport is not None

    def pause_writing(self) -> None:
        """Read nothing more from a peer that does not read, and end it after a while."""
        self.is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()
            self._paused_until = self._loop.time() + STALL_SECONDS
            self._watch()

    def resume_writing(self) -> None:
        """Go on."""
        self.is_paused = False
        if self._transport is not None:
            self._transport.resume_reading()
            self._flush()

    def _watch(self) -> None:
        """See to it whether the peer still takes what it is sent, when the first of what waits must be gone."""
        until = min((each.until for each in self._unsent.values()), default=math.inf)
        if self.is_paused:
            until = min(until, self._paused_until)
        if self._stall is not None and self._stall.when() != until:
            self._stall.cancel()
            self._stall = None
        if self._stall is None and until < math.inf:
            self._stall = self._loop.call_at(until, self._stalled)

    def _stalled(self) -> None:
        self.close(ENHANCE_YOUR_CALM)

    # ---------------------------------------------------------------- reading

    def data_received(self, data: bytes) -> None:
        """Cut frames out of what arrived."""
        buffer = self._buffer + data if self._buffer else data
        try:
            at = self._preface(buffer) if self._expected else 0
            end = len(buffer)
            while end - at >= HEAD.size:
                high, low, kind, flags, stream = HEAD.unpack_from(buffer, at)
                size = high << 8 | low
                if size > FRAME_CAP:
                    raise WireError(FRAME_SIZE_ERROR)  # noqa: TRY301 - one place answers all of them
                stop = at + HEAD.size + size
                if stop > end:
                    break
                payload = buffer[at + HEAD.size : stop]
                at = stop
                self._on_frame(kind, flags, stream & _MOST_WINDOW, payload)
            self._buffer = buffer[at:]
        except (WireError, struct.error, IndexError) as error:
            self._buffer = b""
            self.close(getattr(error, "code", FRAME_SIZE_ERROR))

    def _preface(self, buffer: bytes) -> int:
        if not self._expected.startswith(buffer[: len(self._expected)]):
            raise WireError(PROTOCOL_ERROR)
        if len(buffer) < len(self._expected):
            return 0
        size, self._expected = len(self._expected), b""
        return size

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._transport is None:
            return
        if self._block is not None and (kind != CONTINUATION or self._block[0] != stream):
            raise WireError(PROTOCOL_ERROR)
        if self._is_server and (kind > HEADERS or (kind == DATA and len(payload) < _CRUMB and not flags & END_STREAM)):
            self._bear()
        if kind == DATA:
            self._on_data(flags, stream, payload)
        elif kind == HEADERS:
            self._on_headers(flags, stream, payload)
        elif kind == WINDOW_UPDATE:
            self._on_window(stream, NUMBER.unpack(payload)[0] & _MOST_WINDOW)
        else:
            self._on_rare(kind, flags, stream, payload)

    def _bear(self) -> None:
        """Bear a frame that asks for nothing, as long as there are not too many of them."""
        self._patience -= 1
        if self._patience < 0:
            now = self._loop.time()
            if now - self._calm_since < 1.0:
                raise WireError(ENHANCE_YOUR_CALM)
            self._calm_since, self._patience = now, PATIENCE

    def _on_rare(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS:
            self._on_settings(flags, stream, payload)
        elif kind == RST_STREAM:
            self._events.on_reset(stream)
            self.forget(stream)
        elif kind == PING:
            self._on_ping(flags, payload)
        elif kind == CONTINUATION:
            self._on_continuation(flags, payload)
        elif kind == GOAWAY:
            self.is_leaving = True
            self._leave()
        elif kind == PUSH_PROMISE:
            raise WireError(PROTOCOL_ERROR)

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._unacknowledged += len(payload)
        if self._unacknowledged >= _CONNECTION_WINDOW // 4:
            self.write(frame(WINDOW_UPDATE, 0, 0, NUMBER.pack(self._unacknowledged)))
            self._unacknowledged = 0
        if flags & PADDED:
            payload = without_padding(payload, 1)
        self._events.on_data(stream, payload, bool(flags & END_STREAM))

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = without_padding(payload, 1)
        if flags & PRIORITISED:
            payload = payload[5:]
        ended = bool(flags & END_STREAM)
        self._patience = min(PATIENCE, self._patience + _HEAD_PATIENCE)
        if flags & END_HEADERS:
            self._events.on_headers(stream, payload, ended)
        else:
            self._block = (stream, [payload], ended)

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise WireError(PROTOCOL_ERROR)
        stream, parts, ended = self._block
        parts.append(payload)
        if len(parts) > _BLOCK_FRAMES or sum(map(len, parts)) > BLOCK_CAP:
            raise WireError(ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            self._block = None
            self._events.on_headers(stream, b"".join(parts), ended)

    def _on_ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:  # noqa: PLR2004 - eight bytes, RFC 9113, 6.7
            raise WireError(FRAME_SIZE_ERROR)
        if not flags & ACK:
            self.write(frame(PING, ACK, 0, payload))

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % SETTING.size:
            raise WireError(PROTOCOL_ERROR if stream else FRAME_SIZE_ERROR)
        if flags & ACK:
            return
        initial = self._initial
        for name, value in SETTING.iter_unpack(payload):
            if name == INITIAL_WINDOW_SIZE:
                if value > _MOST_WINDOW:
                    raise WireError(FLOW_CONTROL_ERROR)
                self._initial = value
            elif name == MAX_CONCURRENT_STREAMS:
                self.most_streams = value
        self.write(frame(SETTINGS, ACK, 0))
        if self._initial > initial:
            self._flush()

    def _on_window(self, stream: int, more: int) -> None:
        if not stream:
            was_shut = self._window <= 0
            self._window += more
            if self._window > _MOST_WINDOW:
                raise WireError(FLOW_CONTROL_ERROR)
            if was_shut:
                self._flush()
        elif stream in self.streams:
            self.streams[stream] += more
            if self._initial + self.streams[stream] > _MOST_WINDOW:
                raise WireError(FLOW_CONTROL_ERROR)
            self._push(stream)

    # ---------------------------------------------------------------- writing

    def write(self, frames: bytes) -> None:
        """Write frames that no window holds back; those of one turn of the event loop travel in one piece."""
        if not self._written:
            self._loop.call_soon(self._hand_over)
        self._written.append(frames)

    def _hand_over(self) -> None:
        written, self._written = self._written, []
        if self._transport is not None:
            self._transport.write(b"".join(written))

    def send(self, stream: int, head: bytes, body: bytes, tail: bytes = b"") -> None:
        """Write ``head``, then ``body`` as DATA as the windows allow, then ``tail``; without a tail the body ends it.

        The owner is told by ``on_sent``, which may be before this returns.
        """
        size = len(body)
        self._patience = min(PATIENCE, self._patience + _ANSWER_PATIENCE)
        room = min(FRAME_CAP, self._window, self._initial + self.streams.get(stream, 0))
        if size <= room and not self.is_paused:
            self._window -= size
            flags = 0 if tail else END_STREAM
            self.write(b"".join((head, HEAD.pack(size >> 8, size & 255, DATA, flags, stream), body, tail)))
            self._events.on_sent(stream)
            return
        self.write(head)
        until = self._loop.time() + STALL_SECONDS + size / LEAST_RATE
        self._unsent[stream] = _Unsent(body, 0, tail, until)
        self._push(stream)
        self._watch()

    def forget(self, stream: int) -> None:
        """Send no more of that stream."""
        self._unsent.pop(stream, None)
        self.streams.pop(stream, None)
        if self.is_leaving:
            self._leave()

    def leave(self, last: int) -> None:
        """Tell the peer to open nothing after stream ``last``; close when what is open is done."""
        self.write(frame(GOAWAY, 0, 0, struct.pack(">II", last, NO_ERROR)))
        self.is_leaving = True
        self._leave()

    def _leave(self) -> None:
        if not self.streams and not self._unsent:
            self.close(NO_ERROR)

    def _flush(self) -> None:
        for stream in list(self._unsent):
            if self._window <= 0 or self.is_paused:
                break
            self._push(stream)
        self._watch()

    def _push(self, stream: int) -> None:
        unsent = self._unsent.get(stream)
        if unsent is None or self.is_paused:
            return
        size = len(unsent.body)
        while unsent.at < size:
            room = min(FRAME_CAP, self._window, self._initial + self.streams.get(stream, 0), size - unsent.at)
            if room <= 0:
                return
            stop = unsent.at + room
            flags = END_STREAM if stop == size and not unsent.tail else 0
            self._window -= room
            if stream in self.streams:
                self.streams[stream] -= room
            self._patience = min(PATIENCE, self._patience + room // _BYTES_PATIENCE)
            self.write(frame(DATA, flags, stream, unsent.body[unsent.at : stop]))
            unsent.at = stop
        self.write(unsent.tail)
        del self._unsent[stream]
        self._watch()
        self._events.on_sent(stream)
