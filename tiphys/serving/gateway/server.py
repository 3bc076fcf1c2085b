"""An HTTP/1.1 server on asyncio: listens, watches over its connections, and ends without losing an answer.

It is the project's own because the gateway's time is spent here: on the same machine it carries twice what a general
server under ASGI does.
"""

from __future__ import annotations

import asyncio

from tiphys.serving.gateway.connection import Connection, Limits
from tiphys.serving.gateway.exchange import Application, Exchange

__all__ = ["Application", "Exchange", "HttpServer", "Limits"]

_SWEEP_SECONDS = 0.25


class HttpServer:
    """Listens, and watches over its connections."""

    def __init__(self, application: Application, limits: Limits | None = None) -> None:
        """Serve ``application``; to be made inside the event loop."""
        self.application = application
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.stopping = False
        self.refused = 0
        """Connections that were turned away because there were too many."""
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which the kernel chooses when it is 0."""
        self._server = await self.loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        self._sweep()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace: float) -> None:
        """Take no new connections, answer what is in flight for at most ``grace`` seconds, and close."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        self._empty.clear()
        for each in list(self._connections):
            each.finish()
        if self._connections:
            try:
                async with asyncio.timeout(grace):
                    await self._empty.wait()
            except TimeoutError:
                for each in list(self._connections):
                    each.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def came(self, connection: Connection) -> None:
        """A connection was made: beyond the limit the one that rested longest makes room, or the new one goes."""
        self._connections.add(connection)
        if len(self._connections) <= self.limits.connections:
            return
        resting = [each for each in self._connections if each.resting and each is not connection]
        if resting:
            chosen = min(resting, key=lambda each: each.deadline)
            self._connections.discard(chosen)
            chosen.abort()
        else:
            self.refused += 1
            connection.turn_away()

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _sweep(self) -> None:
        now = self.loop.time()
        for each in [each for each in self._connections if each.deadline <= now]:
            each.expire()
        self._sweeping = self.loop.call_later(_SWEEP_SECONDS, self._sweep)
