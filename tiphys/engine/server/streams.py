"""Streams of JSON: a line each, or server-sent events where the client accepts those; a client that hangs is let go.

Nothing is buffered here: the next message is made when the last one has left. One that can't be sent for too long ends
the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tiphys.engine.server.refusals import refusal_of
from tiphys.engine.server.rendering import encode

DEADLINE = 20.0
"""Seconds that a message of any answer may wait until the client takes it."""
QUIET = 15.0
"""Seconds after which a silent stream says that it is there, to clients that read server-sent events."""
_PIECE = 64 << 10

Messages = AsyncGenerator[Sequence[bytes], None]
"""The results of a stream, each as JSON, some at a time; none at all is no message."""
NONE: Sequence[bytes] = ()


async def silence() -> Messages:
    """Nothing, for as long as the client listens: the web UI shows a stream that ends as a broken connection."""
    yield NONE
    await asyncio.Event().wait()


class Stream(Response):
    """The answer that carries the messages, each as `{"result": ...}`."""

    def __init__(self, request: Request, messages: Messages) -> None:
        """`messages` has begun if its first refusal is to be an answer of its own: see `begun`."""
        super().__init__()
        self._messages = messages
        self._events = accepts_events(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI
        """Send until there is no more, the client is gone, or it hangs."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            results = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _send(self, send: Send) -> None:
        kind = b"text/event-stream" if self._events else b"application/json"
        headers = [(b"content-type", kind), (b"cache-control", b"no-cache"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _deliver(send, b":\n\n" if self._events else b"")
        async with aclosing(self._messages) as messages:
            async for framed in self._framed(messages):
                await _deliver(send, framed)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _framed(self, messages: Messages) -> AsyncIterator[bytes]:
        try:
            async for batch in _kept_alive(messages) if self._events else messages:
                if batch:
                    yield b"".join(self._frame(b'{"result":' + message + b"}") for message in batch)
                elif self._events:
                    yield b":\n\n"
        except Exception as error:  # noqa: BLE001  # the stream has begun: it is told in it
            yield self._frame(encode(refusal_of(error).in_stream()))

    def _frame(self, message: bytes) -> bytes:
        return b"data: " + message + b"\n\n" if self._events else message + b"\n"


def accepts_events(request: Request) -> bool:
    """Whether the client reads server-sent events: Argo's web UI and the CLI do."""
    return "text/event-stream" in request.headers.get("accept", "")


async def begun(messages: Messages) -> Messages:
    """The same messages, the first ones made: what they refuse is an answer with a status. They must come at once, or NONE."""
    first = await anext(messages, NONE)
    return _after(first, messages)


async def _after(first: Sequence[bytes], messages: Messages) -> Messages:
    async with aclosing(messages):
        if first:
            yield first
        async for batch in messages:
            yield batch


async def _kept_alive(messages: Messages) -> AsyncIterator[Sequence[bytes]]:
    """The messages, and NONE whenever none came for a while: a comment finds out whether the client is there."""
    while True:
        following = asyncio.ensure_future(anext(messages, None))
        try:
            while not (await asyncio.wait((following,), timeout=QUIET))[0]:
                yield NONE
            batch = following.result()
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
        if batch is None:
            return
        yield batch


async def _deliver(send: Send, body: bytes) -> None:
    """Send, piece by piece: each waits until the client has taken what was sent before."""
    for start in range(0, max(1, len(body)), _PIECE):
        message: Any = {"type": "http.response.body", "body": body[start : start + _PIECE], "more_body": True}
        await send(message)


async def _left(receive: Receive) -> None:
    """Come back when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
