"""What anybody may read at the gateway: health, readiness, and what can be asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tiphys.serving.gateway import documents
from tiphys.serving.gateway.exchange import Exchange
from tiphys.serving.gateway.messages import Request, Response
from tiphys.serving.gateway.switchboard import only

_POLICY = (
    b"content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\nx-content-type-options: nosniff\r\n"
)


class Page:
    """One path that is read with GET."""

    def __init__(self, content: Callable[[Request], Response]) -> None:
        """Answer with what ``content`` returns."""
        self._content = content

    def accept(self, request: Request) -> int | Response:
        """Take no body."""
        return only(request, "GET", "HEAD") or 0

    def answer(self, exchange: Exchange) -> None:
        """Send it."""
        exchange.reply(self._content(exchange.request))


def health(_request: Request) -> Response:
    """This process lives: said whatever else is the case."""
    return Response(200, b'{"status": "ok"}')


def readiness(known: Callable[[], bool], models: Callable[[], Mapping[str, str]]) -> Callable[[Request], Response]:
    """Ready when it is known what serves; how each use case is answered is told, but one without an answer stops no other."""

    def ready(_request: Request) -> Response:
        yes = known()
        content = {"ready": yes, "models": {model: how or "none" for model, how in models().items()}}
        return Response(200 if yes else 503, json.dumps(content).encode())

    return ready


class Documents:
    """The OpenAPI document and the page, made anew when a route was added."""

    def __init__(self, described: Callable[[], list[documents.Described]]) -> None:
        """Describe what ``described`` lists."""
        self._described = described
        self._count = -1
        self._document = b""
        self._page = ""

    def document(self, _request: Request) -> Response:
        """``/openapi.json``."""
        self._make()
        return Response(200, self._document)

    def page(self, request: Request) -> Response:
        """``/docs``: commands in it name the address that the reader used, if that is a plain one."""
        self._make()
        host = request.headers.get(b"host", b"").decode("latin-1")
        address = host if host and all(each.isalnum() or each in ".-:[]" for each in host) else "HOST:PORT"
        body = self._page.replace(_ADDRESS, address).encode()
        return Response(200, body, b"text/html; charset=utf-8", _POLICY)

    def _make(self) -> None:
        described = self._described()
        if len(described) != self._count:
            self._count = len(described)
            found = documents.document(described)
            self._document = json.dumps(found).encode()
            self._page = documents.page(found, _ADDRESS)


_ADDRESS = "THIS-GATEWAY"
