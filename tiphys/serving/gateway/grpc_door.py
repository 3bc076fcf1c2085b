"""The V2 inference protocol over gRPC: whose key, which version, and the bytes go on to Triton and back as they are.

A server of unary calls on the project's own HTTP/2 wire, because a general gRPC server in Python costs more than Triton
itself (docs/architecture/06-serving-and-release.md has the figures).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from tiphys.serving.gateway.grpc_caller import Caller
from tiphys.serving.gateway.grpc_frames import NO_ERROR
from tiphys.serving.gateway.grpc_headers import CallHead, literals
from tiphys.serving.gateway.grpc_upstream import GrpcUpstream
from tiphys.serving.gateway.grpc_wire import Wire
from tiphys.serving.gateway.keys import Keys
from tiphys.serving.gateway.v2_desk import Desk, Try

MOST_CONNECTIONS = 256
REST_SECONDS = 300.0
"""Longest that a connection may be without a call."""
_SWEEP_SECONDS = 0.5
_MOST_MARKS = 256


class GrpcDoor:
    """The listening server."""

    def __init__(self, desk: Desk, keys: Keys, tritons: Mapping[str, str]) -> None:
        """Connect to the Tritons, environment -> HOST:PORT of gRPC; to be made inside the event loop."""
        self.loop = asyncio.get_running_loop()
        self.desk = desk
        self.keys = keys
        self.upstreams = {name: GrpcUpstream(address) for name, address in tritons.items()}
        self.kept: dict[bytes, CallHead] = {}
        """What blocks of headers mean, of all callers."""
        self.callers: set[Caller] = set()
        self._marks: dict[tuple[str, str], bytes] = {}
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which the kernel chooses when it is 0."""
        self._server = await self.loop.create_server(self._come, host, port, backlog=1024)
        self._sweep()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace: float) -> None:
        """Take no new calls, answer what is in flight for at most ``grace`` seconds, and close."""
        if self._server is not None:
            self._server.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for caller in list(self.callers):
            caller.leave()
        self._empty.clear()
        if self.callers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._empty.wait()
        for caller in list(self.callers):
            caller.wire.close(NO_ERROR)
        for upstream in self.upstreams.values():
            await upstream.close()

    def left(self, caller: Caller) -> None:
        """A connection is gone."""
        self.callers.discard(caller)
        if not self.callers:
            self._empty.set()

    def marks(self, by: Try) -> bytes:
        """Write the headers that name the arm that answered."""
        found = self._marks.get((by.environment, by.version))
        if found is None:
            named = [(b"x-tiphys-arm", by.environment), (b"x-tiphys-version", by.version)]
            found = literals((name, value.encode()) for name, value in named if value)
            if len(self._marks) >= _MOST_MARKS:
                self._marks.clear()
            self._marks[by.environment, by.version] = found
        return found

    def _come(self) -> Wire:
        caller = Caller(self)
        if len(self.callers) > MOST_CONNECTIONS:
            resting = [each for each in self.callers if each.is_resting]
            if resting:
                min(resting, key=lambda each: each.rested).wire.abort()
            else:
                caller.leave()
        return caller.wire

    def _sweep(self) -> None:
        now = self.loop.time()
        for caller in list(self.callers):
            caller.expire(now)
            if not caller.streams and now - caller.rested > REST_SECONDS:
                caller.leave()
        self._sweeping = self.loop.call_later(_SWEEP_SECONDS, self._sweep)
