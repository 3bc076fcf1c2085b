"""One request as a handler sees it, and the table's entry that led to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tiphys.engine.server.desk import Desk
from tiphys.engine.server.query import Query
from tiphys.engine.server.rendering import encode

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A request: where it goes, what it says, and who does the work."""

    desk: Desk
    request: Request
    path: Mapping[str, str]
    query: Query
    body: Json = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The namespace in the path; empty for all."""
        return self.path.get("namespace", "")

    @property
    def name(self) -> str:
        """The name in the path."""
        return self.path.get("name", "")


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """A route: the only place that says where a handler is, what it takes and what it gives."""

    method: str
    path: str
    handler: Handler
    name: str
    """Its operationId in Argo's own document."""
    takes: str = ""
    """The schema of its body; empty for none."""
    gives: str = "Empty"
    """The schema of its answer."""
    query: tuple[str, ...] = ()
    """What may stand in its query."""
    stream: bool = False
    reads_body: bool = True
    """Whether the body is JSON that is read before the handler is called."""
    refuses: tuple[int, ...] = ()
    """HTTP statuses that only this one has."""


def answer(value: Any, status: int = 200) -> Response:
    """JSON."""
    return raw(value if isinstance(value, bytes) else encode(value), status)


def raw(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that is bytes already."""
    return Response(body, status, {"x-content-type-options": "nosniff", **(headers or {})}, "application/json")
