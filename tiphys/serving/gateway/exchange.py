"""One request and the place for its answer: what the HTTP server and those who answer agree on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from tiphys.serving.gateway.messages import Request, Response, internal_error

if TYPE_CHECKING:
    from tiphys.serving.gateway.connection import Connection

log = logging.getLogger(__name__)


class Application(Protocol):
    """Who answers."""

    def accept(self, request: Request) -> int | Response:
        """Look at the head: how many bytes its body may have, or a refusal before any of it is read."""

    def answer(self, exchange: Exchange) -> None:
        """Answer now or later, with ``exchange.reply``; must not raise."""


class Exchange:
    """One request and the place for its answer."""

    __slots__ = ("_connection", "_refusal", "_task", "gone", "on_gone", "request")

    def __init__(self, connection: Connection, request: Request, refused: Response | None = None) -> None:
        """Belong to a connection."""
        self.request = request
        self.gone = False
        """Whether the client went away before it was answered."""
        self.on_gone: Callable[[], None] | None = None
        """Called then, once: to free what was held for it."""
        self._connection = connection
        self._refusal = refused
        self._task: asyncio.Task[None] | None = None

    def reply(self, response: Response) -> None:
        """Send the answer; a second one, or one to a client that has gone, is nothing."""
        self._connection.reply(self, response)

    def run(self, answering: Coroutine[Any, Any, Response]) -> None:
        """Answer with what a coroutine returns; it is cancelled when the client goes away."""
        self._task = asyncio.get_running_loop().create_task(self._follow(answering))

    async def _follow(self, answering: Coroutine[Any, Any, Response]) -> None:
        try:
            response = await answering
        except Exception:
            log.exception("%s %s failed", self.request.method, self.request.path)
            response = internal_error()
        self.reply(response)

    def begin(self, application: Application) -> None:
        """Have it answered."""
        if self._refusal is not None:
            self.reply(self._refusal)
            return
        try:
            application.answer(self)
        except Exception:
            log.exception("%s %s failed", self.request.method, self.request.path)
            self.reply(internal_error())

    def leave(self) -> None:
        """The client has gone."""
        self.gone = True
        if self._task is not None:
            self._task.cancel()
        if self.on_gone is not None:
            self.on_gone()
            self.on_gone = None
