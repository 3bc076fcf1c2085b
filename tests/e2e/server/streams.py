"""A client of the server's streams: reads them in a thread, as messages."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.e2e.server.conftest import Served

END: dict[str, Any] = {"end": True}


class Reader:
    """The messages of one stream, as they come."""

    def __init__(self, served: Served, path: str, *, events: bool = False) -> None:
        """Ask for the stream; `events` as server-sent events."""
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        accept = {"Accept": "text/event-stream"} if events else {}
        self._connection.request("GET", path, headers=served.headers() | accept)
        assert self._connection.sock is not None
        self._socket = self._connection.sock
        self.answer = self._connection.getresponse()
        self._events = events
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self.answer:
                text = line.decode().strip()
                if self._events:
                    text = text.removeprefix("data: ") if text.startswith("data: ") else ""
                if text:
                    self.messages.put(json.loads(text))
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        self.messages.put(END)

    def next(self, seconds: float = 30) -> dict[str, Any]:
        """The next message; END when the stream has ended."""
        return self.messages.get(timeout=seconds)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """All messages up to the one that is wanted."""
        found = [self.next()]
        while not wanted(found[-1]):
            assert found[-1] is not END, found
            found.append(self.next())
        return found

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.answer.close()
        self._connection.close()


@contextmanager
def reading(served: Served, path: str, *, events: bool = False) -> Iterator[Reader]:
    """A stream that is closed at the end."""
    reader = Reader(served, path, events=events)
    try:
        yield reader
    finally:
        reader.close()
