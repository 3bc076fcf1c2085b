"""A real Argo server that goes away while somebody waits: a door in front of it is shut and opened."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tiphys.cluster import Access, ServerAwayError, connect
from tiphys.cluster.follow import follow
from tiphys.cluster.logs import lines

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.xdist_group("argo")]


class Door:
    """A port that leads to another while it is open; shut, it breaks what goes through."""

    def __init__(self, host: str, port: int) -> None:
        """Open, on a free port of loopback."""
        self._there = (host, port)
        self._through: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accept(self._listener)

    def open(self) -> None:
        """Let through again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept(self._listener)

    def shut(self) -> None:
        """Refuse, and break what goes through."""
        for each in (self._listener, *self._through):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._through.clear()

    def _accept(self, listener: socket.socket) -> None:
        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    here, _ = listener.accept()
                    there = socket.create_connection(self._there)
                    self._through += [here, there]
                    for source, target in ((here, there), (there, here)):
                        threading.Thread(target=_copy, args=(source, target), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def door(cluster: Any) -> Iterator[Door]:
    """An open door to the named server."""
    parts = urlsplit(cluster.settings.server)
    found = Door(parts.hostname or "", parts.port or 443)
    yield found
    found.shut()


@pytest.fixture
def server(cluster: Any, door: Door) -> Any:
    """The server, through the door."""
    given = cluster.settings
    scheme = urlsplit(given.server).scheme
    ca = Path(given.ca_file) if given.ca_file else None
    access = Access(f"{scheme}://127.0.0.1:{door.port}", given.namespace, Path(given.token_file), ca)
    return connect(access)[0]


def test_a_server_that_comes_back_is_followed_on(cluster: Any, door: Door, server: Any) -> None:
    """Who waits is told once that the server is away and once that it answers, and sees the end."""
    name = cluster.submit(cluster.manifest("print('x')"))
    told: list[str] = []

    def hear(text: str) -> None:
        told.append(text)
        if "does not answer" in text:
            door.open()

    looks = follow(server, name, told=hear, period=0.2)
    next(looks)
    door.shut()
    assert list(looks)[-1]["status"]["phase"] == "Succeeded"
    assert [text.split(" ", 1)[1].split("(")[0].strip() for text in told] == ["does not answer", "answers again"]


def test_a_server_that_stays_away_is_given_up_with_words(cluster: Any, door: Door, server: Any) -> None:
    """After the stated while it says so; the run is not touched."""
    name = cluster.submit(cluster.manifest("import time; time.sleep(60)"))
    looks = follow(server, name, patience=1.0, period=0.2)
    next(looks)
    door.shut()
    with pytest.raises(ServerAwayError, match="It was away for 1 s; the run goes on"):
        list(looks)
    assert cluster.workflow(name)["status"].get("phase") in (None, "Pending", "Running")
    cluster("terminate", name)


def test_lines_come_once_each_through_a_stream_that_broke(cluster: Any, door: Door, server: Any) -> None:
    """A stream of lines that breaks is opened anew, and no line is lost or printed twice."""
    name = cluster.submit(cluster.manifest("import time\nfor each in range(12): print(each); time.sleep(1)"))
    seen = []
    for line in lines(server, name, follow=True):
        seen.append(line.text)
        if line.text == "3":
            door.shut()
            door.open()
    assert seen == [str(each) for each in range(12)]
