"""What a caller of the gRPC door may leave here: windows, resets, blocks, bytes, calls and connections have bounds.

The door and its client of Triton are real; what Triton says, and what the caller sends, are frames written here.
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tiphys.serving.gateway import grpc_frames, grpc_wire
from tiphys.serving.gateway.grpc_caller import MOST_RESETS, MOST_STREAMS, UNSENT_CAP
from tiphys.serving.gateway.grpc_door import MOST_CONNECTIONS, GrpcDoor
from tiphys.serving.gateway.grpc_frames import (
    ACK,
    BLOCK_CAP,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FRAME_CAP,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from tiphys.serving.gateway.grpc_headers import NO_TABLE, OK, literals
from tiphys.serving.gateway.grpc_upstream import GrpcAnswer, GrpcUpstream
from tiphys.serving.gateway.grpc_wire import PATIENCE, Wire
from tiphys.serving.gateway.keys import Grant, Keys
from tiphys.serving.gateway.metrics import Metrics
from tiphys.serving.gateway.v2_desk import HELD_CAP, MOST_IN_FLIGHT, Desk

pytestmark = pytest.mark.unit

PATH = b"/inference.GRPCInferenceService/ModelInfer"
WINDOW = 65535
"""HTTP/2's own first window, of a stream and of a connection."""


def number(value: int) -> bytes:
    """Four bytes."""
    return struct.pack(">I", value)


def setting(name: int, value: int) -> bytes:
    """A frame of one setting."""
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


def head(key: bytes = b"k") -> bytes:
    """The headers of a call."""
    fields = [(b":method", b"POST"), (b":path", PATH), (b"content-type", b"application/grpc"), (b"x-api-key", key)]
    return NO_TABLE + literals(fields)


def call(stream: int, *, key: bytes = b"k") -> bytes:
    """A whole question for model m."""
    message = b"\x0a\x01m"
    body = struct.pack(">BI", 0, len(message)) + message
    return frame(HEADERS, END_HEADERS, stream, head(key)) + frame(DATA, END_STREAM, stream, body)


class Caller:
    """A client's end of a connection, in memory: what was written to it, cut into frames."""

    def __init__(self, door: GrpcDoor, hello: bytes = b"") -> None:
        """Connect."""
        self._bytes = b""
        self._news = asyncio.Event()
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.is_closed = self.is_aborted = False
        self.wire: Wire = door._come()
        self.wire.connection_made(cast("asyncio.Transport", self))
        self.send(PREFACE + frame(SETTINGS, 0, 0) + hello)

    def send(self, frames: bytes) -> None:
        """Say something, whether or not anybody listens."""
        self.wire.data_received(frames)

    def write(self, content: bytes) -> None:
        """Cut frames."""
        self._bytes += content
        while len(self._bytes) >= 9:
            high, low, kind, flags, stream = struct.unpack_from(">HBBBI", self._bytes)
            stop = 9 + (high << 8 | low)
            if stop > len(self._bytes):
                break
            self.frames.append((kind, flags, stream, self._bytes[9:stop]))
            self._bytes = self._bytes[stop:]
        self._news.set()

    def close(self) -> None:
        """The door closes."""
        self.is_closed = True
        self._news.set()

    def abort(self) -> None:
        """At once."""
        self.is_aborted = True
        self.close()

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        """Where from."""
        return "192.0.2.1", 1

    def pause_reading(self) -> None:
        """Heard."""

    resume_reading = pause_reading

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so after a write."""
        async with asyncio.timeout(20):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def data(self, stream: int) -> int:
        """Bytes of a body that came."""
        return sum(len(payload) for kind, _, at, payload in self.frames if kind == DATA and at == stream)

    def ended(self) -> list[int]:
        """Streams that were answered to the end."""
        return [at for kind, flags, at, _ in self.frames if kind == HEADERS and flags & END_STREAM]

    def resets(self) -> dict[int, int]:
        """Streams that were broken off, and why."""
        return {at: int.from_bytes(payload) for kind, _, at, payload in self.frames if kind == RST_STREAM}

    def goodbye(self) -> int | None:
        """The code of the last GOAWAY."""
        codes = [struct.unpack(">II", payload)[1] for kind, _, _, payload in self.frames if kind == GOAWAY]
        return codes[-1] if codes else None


class Triton:
    """A gRPC server on a port that answers each call with as many bytes, at once or when it is told to."""

    def __init__(self, *, size: int = 5, most: int | None = None, later: bool = False) -> None:
        """Take ``most`` calls at once on a connection."""
        self.body = b"\0" * size
        self.later = later
        self.connections = 0
        self.open: list[tuple[Wire, int]] = []
        self.has_open = asyncio.Event()
        self.most_open = 0
        self._settings = {INITIAL_WINDOW_SIZE: 2**24, **({} if most is None else {MAX_CONCURRENT_STREAMS: most})}

    def __call__(self) -> Wire:
        """A connection comes."""
        self.connections += 1
        events = SimpleNamespace(on_headers=self._on_headers, on_lost=lambda: None, on_sent=lambda _stream: None)
        wire = Wire(events, is_server=True, settings=self._settings)
        events.on_data = lambda stream, _data, ended: self._asked(wire, stream) if ended else None
        events.on_reset = lambda stream: self.open.remove((wire, stream))
        return wire

    def _on_headers(self, *_said: object) -> None:
        """All are alike."""

    def _asked(self, wire: Wire, stream: int) -> None:
        wire.streams[stream] = 0
        self.open.append((wire, stream))
        self.has_open.set()
        self.most_open = max(self.most_open, len(self.open))
        if not self.later:
            self.answer()

    def answer(self) -> None:
        """Answer the one that waits longest."""
        wire, stream = self.open.pop(0)
        if not self.open:
            self.has_open.clear()
        tail = frame(HEADERS, END_HEADERS | END_STREAM, stream, NO_TABLE + literals([(b"grpc-status", b"0")]))
        wire.send(stream, frame(HEADERS, END_HEADERS, stream, NO_TABLE + b"\x88"), self.body, tail)


@asynccontextmanager
async def listening(triton: Triton) -> AsyncIterator[str]:
    """Where it listens."""
    server = await asyncio.get_running_loop().create_server(triton, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def at_door(test: Callable[[GrpcDoor, Triton], Awaitable[None]], **more: Any) -> None:
    """Run a test with a door in front of a Triton; afterwards nothing is counted that is no longer there."""

    async def run() -> None:
        triton = Triton(**more)
        production = SimpleNamespace(version="1")
        arms = SimpleNamespace(arm=lambda environment, _model: production if environment == "production" else None)
        keys = Keys({hashlib.sha256(b"k").hexdigest(): Grant(name="k")})
        async with listening(triton) as address:
            desk = Desk(cast("Any", arms), Metrics(list))
            door = GrpcDoor(desk, keys, {"production": address})
            try:
                await test(door, triton)
            finally:
                await door.stop(0)
            assert (desk.budget.held, desk.admission.taken, door.callers) == (0, 0, set())

    asyncio.run(run())


def test_a_body_goes_as_far_as_the_windows_allow_and_on_when_they_open() -> None:
    """Of the stream and of the connection; the end comes last."""

    async def test(door: GrpcDoor, triton: Triton) -> None:
        size = len(triton.body)
        caller = Caller(door)
        caller.send(call(1))
        await caller.until(lambda: caller.data(1) == WINDOW)
        caller.send(frame(WINDOW_UPDATE, 0, 1, number(size)))
        caller.send(frame(WINDOW_UPDATE, 0, 0, number(1000)))
        await caller.until(lambda: caller.data(1) == WINDOW + 1000)
        assert not caller.ended()
        caller.send(frame(WINDOW_UPDATE, 0, 0, number(size)))
        await caller.until(lambda: caller.ended() == [1])
        assert caller.data(1) == size
        assert max(len(payload) for *_, payload in caller.frames) <= FRAME_CAP

    at_door(test, size=200_000)


def test_a_setting_opens_and_shuts_the_windows_of_open_streams() -> None:
    """RFC 9113, 6.9.2: a window that was overdrawn by it must first be made up for."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 100))
        caller.send(call(1))
        await caller.until(lambda: caller.data(1) == 100)
        caller.send(setting(INITIAL_WINDOW_SIZE, 40) + frame(WINDOW_UPDATE, 0, 1, number(70)))
        await caller.until(lambda: caller.data(1) == 110)
        caller.send(setting(INITIAL_WINDOW_SIZE, 5000))
        await caller.until(lambda: caller.ended() == [1])

    at_door(test, size=3000)


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_beyond_31_bits_ends_the_connection(stream: int) -> None:
    """RFC 9113, 6.9.1."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 1))
        caller.send(call(1))
        await caller.until(lambda: caller.data(1) == 1)
        caller.send(frame(WINDOW_UPDATE, 0, stream, number(2**31 - 1)) * 2)
        assert caller.goodbye() == grpc_frames.FLOW_CONTROL_ERROR

    at_door(test, size=200_000)


def test_an_answer_that_waits_for_the_caller_counts_as_an_open_call_and_as_held() -> None:
    """Without a window a caller gets MOST_STREAMS answers and no more; its places in flight are free for others."""

    async def test(door: GrpcDoor, triton: Triton) -> None:
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 0))
        for stream in range(1, 2 * MOST_STREAMS, 2):
            caller.send(call(stream))
        size = len(triton.body)
        await caller.until(lambda: door.desk.budget.held == MOST_STREAMS * size)
        assert door.desk.admission.taken == 0
        late = 2 * MOST_STREAMS + 1
        caller.send(call(late))
        await caller.until(lambda: caller.resets() == {late: REFUSED_STREAM})
        caller.send(frame(WINDOW_UPDATE, 0, 1, number(size)))
        await caller.until(lambda: caller.ended() == [1])
        assert door.desk.budget.held == (MOST_STREAMS - 1) * size
        caller.send(call(late + 2))
        await caller.until(lambda: door.desk.budget.held == MOST_STREAMS * size)

    at_door(test, size=2000)


def test_more_answers_than_may_wait_on_a_connection_are_broken_off() -> None:
    """What waits goes on."""

    async def test(door: GrpcDoor, triton: Triton) -> None:
        size = len(triton.body)
        fit = UNSENT_CAP // size
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 0))
        for stream in range(1, 2 * fit + 3, 2):
            caller.send(call(stream))
        await caller.until(lambda: caller.resets() == {2 * fit + 1: ENHANCE_YOUR_CALM})
        assert door.desk.budget.held == fit * size
        assert not caller.is_closed

    at_door(test, size=9 * 2**20)


def test_an_answer_for_which_there_is_no_room_is_broken_off() -> None:
    """What all callers together leave here has one bound."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        others = HELD_CAP - 1000
        assert door.desk.budget.take(others) is None
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 0))
        caller.send(call(1))
        await caller.until(lambda: caller.resets() == {1: ENHANCE_YOUR_CALM})
        assert door.desk.budget.held == others
        door.desk.budget.give(others)

    at_door(test, size=2000)


def test_a_question_for_which_there_is_no_room_is_unavailable() -> None:
    """And takes none."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        others = HELD_CAP - 5
        assert door.desk.budget.take(others) is None
        caller = Caller(door)
        caller.send(call(1))
        await caller.until(lambda: caller.ended() == [1])
        assert b"too many bytes at once" in caller.frames[-1][3]
        assert door.desk.budget.held == others
        door.desk.budget.give(others)

    at_door(test)


def test_a_caller_that_takes_its_answer_by_the_byte_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that opens a little does not renew the time that it has."""
    monkeypatch.setattr(grpc_wire, "STALL_SECONDS", 0.2)

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 0))
        caller.send(call(1))
        await caller.until(lambda: door.desk.budget.held > 0)
        given = 0
        async with asyncio.timeout(20):
            while not caller.is_closed:
                given += 1
                caller.send(frame(WINDOW_UPDATE, 0, 1, number(1)))
                await caller.until(lambda: caller.is_closed or caller.data(1) == given)  # noqa: B023 - awaited here
        assert caller.goodbye() == ENHANCE_YOUR_CALM
        assert caller.is_aborted

    monkeypatch.setattr(grpc_wire, "PATIENCE", 10**9)
    at_door(test, size=2**18)


def test_a_caller_that_does_not_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is written for it meanwhile."""
    monkeypatch.setattr(grpc_wire, "STALL_SECONDS", 0.1)

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        caller.wire.pause_writing()
        caller.send(call(1))
        await caller.until(lambda: caller.is_closed)
        assert caller.data(1) == 0
        assert caller.is_aborted

    at_door(test)


def test_a_caller_that_reads_again_gets_what_waited() -> None:
    """And is not ended."""

    async def test(door: GrpcDoor, triton: Triton) -> None:
        caller = Caller(door)
        caller.wire.pause_writing()
        caller.send(call(1))
        await caller.until(lambda: door.desk.budget.held == len(triton.body))
        caller.wire.resume_writing()
        await caller.until(lambda: caller.ended() == [1])
        assert not caller.is_closed

    at_door(test, size=9000)


def test_an_answer_that_waits_can_be_broken_off_by_its_caller() -> None:
    """Nothing of it stays, and a caller that leaves can then go."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door, setting(INITIAL_WINDOW_SIZE, 0))
        caller.send(call(1))
        await caller.until(lambda: door.desk.budget.held > 0)
        caller.send(frame(RST_STREAM, 0, 1, number(CANCEL)))
        assert door.desk.budget.held == 0
        assert not caller.wire.streams
        next(iter(door.callers)).leave()
        assert caller.is_closed
        assert caller.goodbye() == NO_ERROR

    at_door(test)


@pytest.mark.parametrize("key", [b"k", b"forged"])
def test_calls_broken_off_without_count_end_the_connection(key: bytes) -> None:
    """Whether or not they had been answered, or refused, already."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        for stream in range(1, 2 * MOST_RESETS + 1, 2):
            caller.send(frame(HEADERS, END_HEADERS, stream, head(key)) + frame(RST_STREAM, 0, stream, number(CANCEL)))
        assert not caller.is_closed
        stream = 2 * MOST_RESETS + 1
        caller.send(frame(HEADERS, END_HEADERS, stream, head(key)) + frame(RST_STREAM, 0, stream, number(CANCEL)))
        assert caller.is_closed
        assert caller.goodbye() == ENHANCE_YOUR_CALM

    at_door(test)


def test_a_reset_of_a_call_that_never_was_ends_the_connection() -> None:
    """RFC 9113, 6.4."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        caller.send(frame(RST_STREAM, 0, 7, number(CANCEL)))
        assert caller.goodbye() == PROTOCOL_ERROR

    at_door(test)


@pytest.mark.parametrize(
    "odd",
    [
        frame(PING, 0, 0, b"12345678"), frame(PING, ACK, 0, b"12345678"), frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0),
        frame(PRIORITY, 0, 1, b"12345"), frame(WINDOW_UPDATE, 0, 0, number(1)), frame(99, 0, 0), frame(DATA, 0, 1),
    ],
)  # fmt: skip
def test_a_flood_of_frames_that_ask_for_nothing_ends_the_connection(odd: bytes) -> None:
    """With or without a key."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        caller.send(frame(HEADERS, END_HEADERS, 1, head()))
        caller.send(odd * (2 * PATIENCE + 2))
        assert caller.goodbye() == ENHANCE_YOUR_CALM
        assert caller.is_aborted

    at_door(test)


def test_who_asks_much_may_send_as_many_windows_and_pings_as_that_takes() -> None:
    """Far more than a caller that asks nothing."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        for stream in range(1, 2 * PATIENCE, 2):
            caller.send(call(stream) + frame(PING, 0, 0, b"12345678") + frame(WINDOW_UPDATE, 0, 0, number(5)) * 3)
            await caller.until(lambda: len(caller.ended()) == (stream + 1) // 2)  # noqa: B023 - awaited here
        assert not caller.is_closed

    at_door(test)


def test_who_is_refused_much_may_acknowledge_each_refusal() -> None:
    """Clients widen the connection's window after each answer, a refusal too."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        for stream in range(1, 4 * PATIENCE, 2):
            caller.send(call(stream, key=b"forged") + frame(WINDOW_UPDATE, 0, 0, number(5)))
        assert not caller.is_closed

    at_door(test)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(HEADERS, 0, 1, b"x" * FRAME_CAP) + frame(CONTINUATION, 0, 1, b"x" * (BLOCK_CAP - FRAME_CAP + 1)), ENHANCE_YOUR_CALM),
        (frame(HEADERS, 0, 1, b"x") + frame(CONTINUATION, 0, 1) * 20, ENHANCE_YOUR_CALM),
        (frame(HEADERS, 0, 1, b"x") + frame(CONTINUATION, END_HEADERS, 3), PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, b"x") + frame(PING, 0, 0, b"12345678"), PROTOCOL_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR),
    ],
)  # fmt: skip
def test_blocks_in_pieces_without_end_or_in_disorder_end_the_connection(frames: bytes, code: int) -> None:
    """By their bytes and by their number."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        caller.send(frames)
        assert caller.goodbye() == code

    at_door(test)


def test_a_block_in_a_few_pieces_is_a_block() -> None:
    """The call is answered."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller, block, whole = Caller(door), head(), call(1)
        at = len(frame(HEADERS, 0, 1, block))
        caller.send(frame(HEADERS, 0, 1, block[:9]) + frame(CONTINUATION, 0, 1, block[9:20]))
        caller.send(frame(CONTINUATION, END_HEADERS, 1, block[20:]) + whole[at:])
        await caller.until(lambda: caller.ended() == [1])
        assert caller.data(1) == 5

    at_door(test)


def test_a_connection_has_so_many_open_calls_and_the_door_so_many_in_flight() -> None:
    """What comes on top is refused; what is open is answered."""

    async def test(door: GrpcDoor, triton: Triton) -> None:
        caller, other = Caller(door), Caller(door)
        for stream in range(1, 2 * MOST_STREAMS + 2, 2):
            caller.send(call(stream))
        await caller.until(lambda: caller.resets() == {2 * MOST_STREAMS + 1: REFUSED_STREAM})
        assert door.desk.admission.taken == MOST_IN_FLIGHT
        other.send(call(1))
        await other.until(lambda: other.ended() == [1])
        assert b"too many questions at once" in other.frames[-1][3]
        caller.wire.connection_lost(None)
        assert door.desk.admission.taken == 0
        assert triton.most_open <= MOST_IN_FLIGHT

    at_door(test, later=True)


def test_among_too_many_connections_one_that_rests_makes_room_or_the_new_one_goes() -> None:
    """Never one that is asked on, and none is chosen that does not read: there are never more than the limit."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        callers = [Caller(door) for _ in range(MOST_CONNECTIONS)]
        for each in callers[2:]:
            each.send(frame(HEADERS, END_HEADERS, 1, head()))
        callers[0].wire.pause_writing()
        new = Caller(door)
        assert [each for each in callers if each.is_closed] == [callers[1]]
        assert callers[1].is_aborted
        assert not new.is_closed
        new.send(frame(HEADERS, END_HEADERS, 1, head()))
        last = Caller(door)
        assert last.is_closed
        assert last.goodbye() == NO_ERROR
        assert not callers[0].is_closed
        assert len(door.callers) == MOST_CONNECTIONS

    at_door(test)


def test_calls_beyond_what_triton_takes_at_once_wait_on_the_same_connection() -> None:
    """And are sent when others are done, in order."""

    async def run() -> None:
        triton = Triton(most=2, later=True)
        answers: list[GrpcAnswer] = []
        news = asyncio.Event()

        def done(answer: GrpcAnswer) -> None:
            answers.append(answer)
            news.set()

        async def answered(count: int) -> None:
            async with asyncio.timeout(20):
                while len(answers) < count:
                    news.clear()
                    await news.wait()

        async with listening(triton) as address:
            upstream = GrpcUpstream(address)
            triton.later = False
            upstream.call(PATH, b"\0\0\0\0\0", done, 20)
            await answered(1)
            triton.later = True
            for _ in range(6):
                upstream.call(PATH, b"\0\0\0\0\0", done, 20)
            for count in range(2, 8):
                async with asyncio.timeout(20):
                    await triton.has_open.wait()
                triton.answer()
                await answered(count)
            assert [each.status for each in answers] == [OK] * 7
            assert (triton.connections, triton.most_open) == (1, 2)
            await upstream.close()

    asyncio.run(run())


def test_the_door_says_what_it_takes() -> None:
    """Before anything is asked."""

    async def test(door: GrpcDoor, _triton: Triton) -> None:
        caller = Caller(door)
        said = {
            name: value for _, _, _, payload in caller.frames[:1] for name, value in struct.iter_unpack(">HI", payload)
        }
        assert said[MAX_CONCURRENT_STREAMS] == MOST_STREAMS
        assert said[grpc_frames.HEADER_TABLE_SIZE] == 0
        assert said[grpc_frames.MAX_HEADER_LIST_SIZE] == BLOCK_CAP

    at_door(test)
