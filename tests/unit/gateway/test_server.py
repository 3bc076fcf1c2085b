"""The HTTP server: what arrives is understood however it is cut into pieces; what is no HTTP/1.1 is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.serving.gateway.connection import Connection, Limits
from tiphys.serving.gateway.exchange import Exchange
from tiphys.serving.gateway.messages import Request, Response, refusal
from tiphys.serving.gateway.server import HttpServer

pytestmark = pytest.mark.unit


class Wire:
    """The other end of a connection: what was written to it, and whether it is still open."""

    def __init__(self) -> None:
        """Be open."""
        self.sent = b""
        self.open = True
        self.half_closed = False
        self.reading = True

    def write(self, content: bytes) -> None:
        """Keep what is sent."""
        assert self.open
        self.sent += content

    def close(self) -> None:
        """Close."""
        self.open = False

    abort = close

    def write_eof(self) -> None:
        """Send no more."""
        self.half_closed = True

    def pause_reading(self) -> None:
        """Read no more, for now."""
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        """Read on."""
        assert not self.reading
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None:
        """Any will do."""
        assert high

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        """The address of the other end."""
        return ("192.0.2.1", 1)


class Echo:
    """Answers with method, path and body; at once, or when it is told to."""

    def __init__(self, *, later: bool = False, cap: int = 1000) -> None:
        """Take bodies of ``cap`` bytes."""
        self.later = later
        self.cap = cap
        self.seen: list[tuple[str, str, str, bytes]] = []
        self.waiting: list[Exchange] = []
        self._news = asyncio.Event()

    async def asked(self, count: int) -> None:
        """Wait until so many wait for an answer."""
        while len(self.waiting) < count:
            self._news.clear()
            await self._news.wait()

    def accept(self, request: Request) -> int | Response:
        """Refuse what begins with /no."""
        if request.path.startswith("/no"):
            return refusal(403, "forbidden", "not you")
        return self.cap

    def answer(self, exchange: Exchange) -> None:
        """Answer, or wait to be told to."""
        request = exchange.request
        self.seen.append((request.method, request.path, request.query, request.body))
        if self.later:
            self.waiting.append(exchange)
            self._news.set()
        else:
            self.say(exchange)

    def say(self, exchange: Exchange) -> None:
        """Answer."""
        exchange.reply(Response(200, f"{exchange.request.path}:".encode() + exchange.request.body))


Talk = tuple[Echo, Wire, Connection]


def inside(test: Callable[[], Any]) -> None:
    """Run a test where there is an event loop."""

    async def run() -> None:
        test()

    asyncio.run(run())


def talk(echo: Echo | None = None, limits: Limits | None = None) -> Talk:
    """A connection that has just been made."""
    echo = echo or Echo()
    connection, wire = Connection(HttpServer(echo, limits)), Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]  # it has what is used of a transport
    return echo, wire, connection


def statuses(wire: Wire) -> list[int]:
    """Statuses of all responses that were sent."""
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+) ", wire.sent)]


def post(path: str, body: bytes, *, chunks: tuple[int, ...] = (), more: str = "") -> bytes:
    """A request with a length, or in chunks of these sizes."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{more}"
    if not chunks:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    parts, at = [], 0
    for size in (*chunks, len(body)):
        part = body[at : at + size]
        if part:
            parts.append(b"%x\r\n%b\r\n" % (len(part), part))
        at += size
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"".join(parts) + b"0\r\n\r\n"


requests = st.lists(
    st.builds(
        lambda name, body, chunks: (f"/{name}", body, tuple(chunks)),
        st.text("abc", min_size=1, max_size=5),
        st.binary(max_size=200),
        st.lists(st.integers(1, 50), max_size=4),
    ),
    min_size=1,
    max_size=5,
)


@given(asked=requests, data=st.data(), later=st.booleans())
def test_it_does_not_matter_how_the_bytes_are_cut(
    asked: list[tuple[str, bytes, tuple[int, ...]]], data: st.DataObject, *, later: bool
) -> None:
    """Pipelined requests, with lengths or in chunks, are answered in order whatever pieces they arrive in."""
    stream = b"".join(post(path, body, chunks=chunks) for path, body, chunks in asked)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))

    def run() -> None:
        echo, wire, connection = talk(Echo(later=later))
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if end > begin:
                connection.data_received(stream[begin:end])
            if echo.waiting and data.draw(st.booleans()):
                echo.say(echo.waiting.pop(0))
        while echo.waiting:
            echo.say(echo.waiting.pop(0))
        assert [(path, body) for _, path, _, body in echo.seen] == [(path, body) for path, body, _ in asked]
        expected = b"".join(
            Response(200, f"{path}:".encode() + body).encode(without_body=False, connection=b"")
            for path, body, _ in asked
        )
        assert wire.sent == expected
        assert wire.open
        assert wire.reading

    inside(run)


@given(garbage=st.binary(min_size=1, max_size=500), cut=st.integers(0, 500))
def test_no_bytes_make_it_fall(garbage: bytes, cut: int) -> None:
    """Whatever comes gets an answer, is waited for, or is refused; never an error of ours."""

    def run() -> None:
        _, wire, connection = talk()
        for part in (garbage[:cut], garbage[cut:]):
            if part:
                connection.data_received(part)
        assert 500 not in statuses(wire)

    inside(run)


HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "smuggled",
    [
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Content-Length: 3, 4\r\n\r\nabcGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Content-Length: +3\r\n\r\nabcGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Content-Length: 0x3\r\n\r\nabcGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"X: a\r\n Content-Length: 30\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"X: a\nContent-Length: 3\r\n\r\nabcGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
        HEAD + b"Host: b\r\nContent-Length: 0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabcGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)  # fmt: skip
def test_requests_in_requests_are_refused_and_the_connection_closes(smuggled: bytes) -> None:
    """Two lengths, odd lengths, odd codings, bare line feeds, folded headers: one refusal, and nothing behind it is read."""

    def run() -> None:
        echo, wire, connection = talk()
        connection.data_received(smuggled)
        assert len(statuses(wire)) == 1
        assert statuses(wire)[0] in {400, 501, 505}
        assert b"connection: close" in wire.sent
        assert wire.half_closed
        assert all(path != "/secret" for _, path, _, _ in echo.seen)

    inside(run)


@pytest.mark.parametrize("cut", [1, 1000, 10**6])
@pytest.mark.parametrize(
    "large",
    [
        b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: a\r\n" % each for each in range(3000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X" * 100_000,
    ],
)
def test_a_head_has_at_most_16_kib(large: bytes, cut: int) -> None:
    """431, even where the head never ends and comes byte by byte."""

    def run() -> None:
        _, wire, connection = talk()
        for at in range(0, min(len(large), 40_000 if cut == 1 else len(large)), cut):
            connection.data_received(large[at : at + cut])
        assert statuses(wire) == [431]
        assert wire.half_closed

    inside(run)


def test_a_head_of_almost_16_kib_is_fine() -> None:
    """However it is cut."""

    def run() -> None:
        _, wire, connection = talk()
        for size in (1, 700, 5000, 10**6):
            request = b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 16_300 + b"\r\n\r\n"
            for at in range(0, len(request), size):
                connection.data_received(request[at : at + size])
        assert statuses(wire) == [200] * 4

    inside(run)


@pytest.mark.parametrize("cut", [1, 1000, 10**6])
@pytest.mark.parametrize("path", ["/a", "/no"])
@pytest.mark.parametrize(
    ("after", "status"),
    [
        (b"x: a\r\n\r\n", 400),
        (b"x: " + b"a" * 100_000, 431),
        (b"x" * 100_000, 431),
    ],
    ids=["whole", "endless value", "endless name"],
)
def test_fields_after_the_body_are_refused_and_bounded(path: str, after: bytes, status: int, cut: int) -> None:
    """Even those that never end, and for whoever has no key."""

    def run() -> None:
        _, wire, connection = talk()
        connection.data_received(
            b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" % path.encode()
        )
        for at in range(0, min(len(after), 40_000), cut):
            connection.data_received(after[at : at + cut])
        assert statuses(wire) == [status]
        assert wire.half_closed

    inside(run)


@pytest.mark.parametrize("cut", [1, 7, 10**6])
def test_many_small_chunks_are_a_body_however_they_are_cut(cut: int) -> None:
    """What is around the chunks may be more than a head may have."""

    def run() -> None:
        _, wire, connection = talk(Echo(cap=10_000))
        content = post("/a", b"x" * 9000, chunks=(1,) * 9000)
        for at in range(0, len(content), cut):
            connection.data_received(content[at : at + cut])
        assert statuses(wire) == [200]

    inside(run)


@pytest.mark.parametrize("chunks", [(), (100,) * 30])
def test_a_body_over_the_cap_is_413(chunks: tuple[int, ...]) -> None:
    """With its length it is refused before a byte of it is read; in chunks when it is too much."""

    def run() -> None:
        echo, wire, connection = talk()
        connection.data_received(post("/a", b"x" * 1000, chunks=chunks) + post("/a", b"x" * 1001, chunks=chunks))
        assert statuses(wire) == [200, 413]
        assert wire.half_closed
        assert len(echo.seen) == 1

    inside(run)


def test_a_refusal_by_the_head_keeps_the_connection_where_the_body_is_small() -> None:
    """The body is read and thrown away, and the next request is answered; a large one closes."""

    def run() -> None:
        _, wire, connection = talk()
        connection.data_received(post("/no", b"x" * 500) + post("/a", b"1"))
        assert statuses(wire) == [403, 200]
        connection.data_received(b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert statuses(wire) == [403, 200, 403]
        assert wire.half_closed

    inside(run)


def test_who_waits_for_a_yes_gets_100_or_the_refusal() -> None:
    """Expect: 100-continue is answered when it is that request's turn, and not at all where the answer is no."""

    def run() -> None:
        echo, wire, connection = talk(Echo(later=True))
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        connection.data_received(post("/first", b"") + head)
        assert wire.sent == b""
        echo.say(echo.waiting.pop())
        assert statuses(wire) == [200, 100]
        connection.data_received(b"abc")
        echo.say(echo.waiting.pop())
        assert statuses(wire) == [200, 100, 200]
        connection.data_received(head.replace(b"/a", b"/no"))
        assert statuses(wire) == [200, 100, 200, 403]
        assert wire.half_closed

    inside(run)


def test_what_a_client_does_not_read_stops_what_is_read_of_it() -> None:
    """While its buffer is full no further request of the connection is answered; then all are, in order."""

    def run() -> None:
        echo, wire, connection = talk()
        connection.pause_writing()
        connection.data_received(post("/a", b"1") + post("/b", b"2"))
        assert not wire.reading
        assert echo.seen == []
        connection.resume_writing()
        assert [path for _, path, _, _ in echo.seen] == ["/a", "/b"]
        assert wire.reading

    inside(run)


def test_at_most_a_slice_is_parsed_ahead_of_an_answer() -> None:
    """A client that sends thousands of requests at once does not make thousands of them wait in memory."""

    def run() -> None:
        echo, wire, connection = talk(Echo(later=True))
        connection.data_received(post("/a", b"") * 5000)
        assert len(connection._queue) < 100
        assert not wire.reading
        answered = 0
        while echo.waiting:
            echo.say(echo.waiting.pop())
            answered += 1
        assert answered == 5000

    inside(run)


def test_a_client_that_goes_away_frees_what_was_held_for_it() -> None:
    """The exchange is told once; its answer goes nowhere."""

    def run() -> None:
        echo, wire, connection = talk(Echo(later=True))
        connection.data_received(post("/a", b"") + post("/b", b""))
        told: list[str] = []
        echo.waiting[0].on_gone = lambda: told.append("gone")
        connection.connection_lost(None)
        assert told == ["gone"]
        assert echo.waiting[0].gone
        echo.say(echo.waiting[0])
        assert wire.sent == b""
        assert [path for _, path, _, _ in echo.seen] == ["/a"]

    inside(run)


def test_methods_targets_and_versions_are_kept_as_they_were_sent() -> None:
    """HEAD has no body; HTTP/1.0 closes; a target may be absolute; a query is not part of the path."""

    def run() -> None:
        echo, wire, connection = talk()
        connection.data_received(b"HEAD /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.sent.endswith(b"content-length: 3\r\n\r\n")
        connection.data_received(b"GET http://somewhere/a HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.data_received(b"GET /a HTTP/1.0\r\n\r\n")
        assert statuses(wire) == [200, 200, 200]
        assert [each[:3] for each in echo.seen] == [("HEAD", "/a", "b=c"), ("GET", "/a", ""), ("GET", "/a", "")]
        assert b"connection: close" in wire.sent
        assert not wire.open

    inside(run)


def test_after_connection_close_nothing_more_is_answered() -> None:
    """What follows the last request of a connection is nobody's."""

    def run() -> None:
        echo, wire, connection = talk()
        connection.data_received(post("/a", b"", more="Connection: close\r\n") + post("/b", b""))
        assert statuses(wire) == [200]
        assert not wire.open
        assert len(echo.seen) == 1

    inside(run)


def test_an_application_that_fails_is_a_500() -> None:
    """The connection lives on, and the log has the reason."""

    class Broken(Echo):
        def answer(self, exchange: Exchange) -> None:
            """Fail."""
            raise RuntimeError(exchange.request.path)

    def run() -> None:
        _, wire, connection = talk(Broken())
        connection.data_received(post("/a", b"") + post("/b", b""))
        assert statuses(wire) == [500, 500]
        assert wire.open

    inside(run)


def test_slow_and_silent_clients_are_given_up() -> None:
    """A request that does not arrive is a 408; a connection that rests too long closes without a word."""

    async def run() -> None:
        limits = Limits(read=0.05, idle=0.2)
        server = HttpServer(Echo(), limits)
        port = await server.start("127.0.0.1", 0)
        slow, slow_writer = await asyncio.open_connection("127.0.0.1", port)
        silent, _ = await asyncio.open_connection("127.0.0.1", port)
        slow_writer.write(post("/a", b"12345")[:-1])
        assert b" 408 " in await slow.read()
        assert await silent.read() == b""
        await server.stop(1.0)

    asyncio.run(run())


def test_one_connection_too_many_takes_the_place_of_one_that_rests() -> None:
    """Where none rests it is told that there is no room."""

    async def run() -> None:
        echo = Echo(later=True)
        server = HttpServer(echo, Limits(connections=2))
        port = await server.start("127.0.0.1", 0)
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        third, third_writer = await asyncio.open_connection("127.0.0.1", port)
        assert await clients[0][0].read() == b""
        for _, writer in (clients[1], (third, third_writer)):
            writer.write(post("/a", b""))
        await echo.asked(2)
        fourth, _ = await asyncio.open_connection("127.0.0.1", port)
        assert b" 503 " in await fourth.read()
        assert server.refused == 1
        for each in echo.waiting:
            echo.say(each)
        assert b" 200 " in await third.readuntil(b"\r\n\r\n")
        await server.stop(1.0)

    asyncio.run(run())


def test_a_client_that_does_not_read_its_answer_makes_no_room() -> None:
    """Who rests does, at once and once each; where nobody does, the new one is told so."""

    def run() -> None:
        server = HttpServer(Echo(), Limits(connections=3))
        made = []
        for _ in range(6):
            connection, wire = Connection(server), Wire()
            connection.connection_made(wire)  # type: ignore[arg-type]  # it has what is used of a transport
            made.append((connection, wire))
            assert server.connections <= 3
            if len(made) == 1:
                connection.pause_writing()
        assert [wire.open for _, wire in made] == [True, False, False, False, True, True]
        for connection, _ in made[4:]:
            connection.pause_writing()
        connection, wire = Connection(server), Wire()
        connection.connection_made(wire)  # type: ignore[arg-type]
        assert (statuses(wire), wire.open, server.refused) == ([503], False, 1)

    inside(run)


def test_a_server_that_stops_finishes_what_is_in_flight() -> None:
    """No new connection is taken; the answer that was waited for says that the connection closes."""

    async def run() -> None:
        echo = Echo(later=True)
        server = HttpServer(echo)
        port = await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/a", b""))
        await echo.asked(1)
        stopping = asyncio.create_task(server.stop(5.0))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        echo.say(echo.waiting[0])
        assert b"connection: close" in await reader.read()
        await stopping

    asyncio.run(run())
