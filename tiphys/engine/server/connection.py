"""The HTTP server below the application: bounded in what a connection may send, hold and wait."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_LARGEST_HEAD = 64 << 10
"""Bytes of a request's line and headers: a `fields` list may be long."""
_HEAD_PATIENCE = 20.0
"""Seconds for a request's line and headers."""
_MOST_CONNECTIONS = 1000
_UNTAKEN = 60_000
"""Milliseconds after which the kernel drops a connection whose other end takes nothing of what was sent."""


class _Protocol(H11Protocol):
    """A connection that is dropped if it begins a request and does not go on with it."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        last = self.cycle
        if last is None or last.response_complete:
            self._expect_head()
        super().data_received(data)
        if self.cycle is not last:
            self._expect_nothing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(_HEAD_PATIENCE, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def run(app: Any, host: str, port: int) -> None:
    """Serve until a signal ends the process. Raises OSError where the port is taken."""
    config = uvicorn.Config(
        app, host=host, port=port, http=_Protocol, ws="none", lifespan="on", access_log=False, log_level="warning",
        server_header=False, proxy_headers=False, limit_concurrency=_MOST_CONNECTIONS, timeout_keep_alive=30,
        timeout_graceful_shutdown=2, h11_max_incomplete_event_size=_LARGEST_HEAD,
    )  # fmt: skip
    with _listening(host, port) as listener:
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
    )
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN)
    return listener
