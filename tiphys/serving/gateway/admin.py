"""The admin port: what the arms have answered, which routes there are, metrics; for who has the admin token only."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from tiphys.serving.gateway.exchange import Exchange
from tiphys.serving.gateway.messages import Request, Response, refusal
from tiphys.serving.gateway.switchboard import only

_BEARER = b"www-authenticate: Bearer\r\n"


class AdminPage:
    """One path of the admin port, read with GET and the token."""

    def __init__(self, token: str, content: Callable[[Request], Awaitable[Response]]) -> None:
        """Answer with what ``content`` returns; with no token set nobody may read it."""
        self._token = token.encode()
        self._content = content

    def accept(self, request: Request) -> int | Response:
        """Check the token, in constant time."""
        scheme, _, given = request.headers.get(b"authorization", b"").partition(b" ")
        if not self._token or scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
            text = "send the admin token: Authorization: Bearer TOKEN (TIPHYS_ADMIN_TOKEN)"
            return refusal(401, "no_token", text, _BEARER)
        return only(request, "GET", "HEAD") or 0

    def answer(self, exchange: Exchange) -> None:
        """Send it."""
        exchange.run(self._answer(exchange.request))

    async def _answer(self, request: Request) -> Response:
        return await self._content(request)


def as_json(content: Any) -> Response:
    """Return a document."""
    return Response(200, json.dumps(content).encode())


def wanted(request: Request, name: str) -> str:
    """One value of the query; nothing if it is not there."""
    return parse_qs(request.query).get(name, [""])[0]
