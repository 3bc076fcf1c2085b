"""Asks the application without a socket, and holds what it sends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import Message

from tiphys.engine import Engine, load_text

RUN = """
kind: Workflow
metadata: {name: NAME, labels: {team: blue}}
spec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}
"""


@dataclass
class Answer:
    """What was sent so far."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first bytes of the body."""

    async def send(self, message: Message) -> None:
        """As a server does."""
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")
        if self.body:
            self.begun.set()

    def json(self) -> Any:
        """The body as one value."""
        return json.loads(self.body)

    def events(self) -> list[tuple[str, str]]:
        """What a watch has told: the verb and the run's name of each message."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().splitlines()]
        results = [json.loads(line)["result"] for line in lines if line and line != ":"]
        return [(each["type"], each["object"]["metadata"]["name"]) for each in results]


async def ask(  # noqa: PLR0913
    app: Starlette,
    path: str,
    query: str = "",
    body: Any = None,
    *,
    events: bool = False,
    answer: Answer | None = None,
    left: asyncio.Event | None = None,
) -> Answer:
    """One request; comes back when it is answered. The client goes when `left` is set."""
    found, gone = answer or Answer(), left or asyncio.Event()
    headers = [(b"authorization", b"Bearer t")] + ([(b"accept", b"text/event-stream")] if events else [])
    content = b"" if body is None else json.dumps(body).encode()
    waiting = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "method": "GET" if body is None else "POST", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, found.send)
    return found


def submitted(folder: Path, names: Iterable[str]) -> Engine:
    """An engine on a state folder with runs of these names, which nobody drives."""
    engine = Engine(folder)
    for name in names:
        engine.submit(load_text(RUN.replace("NAME", name)))
    return engine


def damage(folder: Path, name: str) -> None:
    """Spoil a run's row."""
    database = sqlite3.connect(folder / "journal.db")
    database.execute("UPDATE runs SET header = '[]' WHERE name = ?", (name,))
    database.commit()
    database.close()
