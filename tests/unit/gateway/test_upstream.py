"""Calls to a server beside us: what is told when, and once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from tiphys.serving.gateway.upstream import Answer, Upstream, UpstreamError

pytestmark = pytest.mark.unit
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


def test_a_call_that_finds_no_place_is_told_after_it_was_made() -> None:
    """So whoever asks has the call in hand before its outcome comes, and may ask again from there; a cancelled one is silent."""

    async def run() -> None:
        upstream = Upstream("127.0.0.1:1", waiting=0)
        told = asyncio.Event()
        seen: list[str] = []
        deadline = asyncio.get_running_loop().time() + 60.0

        def done(outcome: Answer | UpstreamError) -> None:
            assert isinstance(outcome, UpstreamError)
            seen.append(outcome.failure)
            told.set()

        call = upstream.send(b"", done, deadline)
        upstream.send(b"", lambda _: seen.append("cancelled"), deadline).cancel()
        assert (seen, call.open) == ([], True)
        await told.wait()
        assert (seen, call.open) == (["full"], False)
        await upstream.close()

    asyncio.run(run())


async def with_server(serve: Serve, use: Callable[[Upstream], Coroutine[None, None, None]]) -> None:
    """Use a client of a server that does with each connection what ``serve`` does, and closes it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    upstream = Upstream(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        await use(upstream)
    finally:
        await upstream.close()
        server.close()


def test_a_call_that_met_a_closed_connection_waits_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kept connection is of the server that went: one that becomes free just then would lose the call for good."""
    served: list[int] = []
    slow = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(served)
        served.append(0)
        while await reader.readuntil(b"\r\n\r\n"):
            served[number] += 1
            if number < 2 and served[number] == 2:
                return
            if number == 1:
                await slow.wait()
            writer.write(OK)

    async def use(upstream: Upstream) -> None:
        first, second = (asyncio.create_task(upstream.ask("GET", "/", seconds=30.0)) for _ in range(2))
        await first
        connect = upstream._connect
        monkeypatch.setattr(upstream, "_connect", lambda: None)  # a new connection takes its time
        third = asyncio.create_task(upstream.ask("GET", "/", seconds=30.0))
        while upstream._open > 1:  # noqa: ASYNC110 - nothing tells of a connection that is lost
            await asyncio.sleep(0)
        slow.set()
        assert (await second).status == 200
        connect()
        assert (await third).status == 200
        assert served == [2, 1, 1]

    asyncio.run(with_server(serve, use))


@pytest.mark.parametrize(("closes", "outcome"), [(1, "hi"), (2, "away")])
def test_a_new_connection_that_closes_without_a_word_is_tried_once_more(closes: int, outcome: str) -> None:
    """A server on its way out takes connections that it will not serve; a call is sent twice at most."""
    served: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        served.append(len(served) >= closes)
        if served[-1]:
            writer.write(OK)

    async def use(upstream: Upstream) -> None:
        try:
            said = (await upstream.ask("GET", "/", seconds=30.0)).body.decode()
        except UpstreamError as error:
            said = error.failure
        assert (said, len(served)) == (outcome, 2)

    asyncio.run(with_server(serve, use))


def test_a_call_whose_answer_has_begun_is_not_sent_again() -> None:
    """The server went while it answered."""
    served: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK[:-1])

    async def use(upstream: Upstream) -> None:
        with pytest.raises(UpstreamError, match="closed the connection"):
            await upstream.ask("GET", "/", seconds=30.0)
        assert len(served) == 1

    asyncio.run(with_server(serve, use))


def test_each_call_ends_by_its_own_deadline() -> None:
    """Whoever was asked before and may take longer."""

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def use(upstream: Upstream) -> None:
        patient = asyncio.create_task(upstream.ask("GET", "/", seconds=60.0))
        await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(UpstreamError, match="in time"):
                await upstream.ask("GET", "/", seconds=0.01)
        assert not patient.done()
        patient.cancel()

    asyncio.run(with_server(serve, use))


def test_who_asks_a_closed_client_is_told_at_once() -> None:
    """Not when its time is over."""

    async def run() -> None:
        upstream = Upstream("127.0.0.1:9")
        await upstream.close()
        with pytest.raises(UpstreamError, match="closed"):
            async with asyncio.timeout(10):
                await upstream.ask("GET", "/", seconds=60.0)

    asyncio.run(run())
