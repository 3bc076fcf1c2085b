"""What the gateway's parts hand each other: a request, a response, a refusal. It knows no socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.serving.gateway.admission import Budget
    from tiphys.serving.gateway.keys import Key

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

REASONS: Mapping[int, bytes] = {
    100: b"Continue", 200: b"OK", 202: b"Accepted", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden",
    404: b"Not Found", 405: b"Method Not Allowed", 408: b"Request Timeout", 413: b"Content Too Large",
    414: b"URI Too Long", 415: b"Unsupported Media Type", 422: b"Unprocessable Content", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error", 501: b"Not Implemented",
    502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout", 505: b"HTTP Version Not Supported",
}  # fmt: skip
"""Status -> its words (RFC 9110, section 15)."""


class Request:
    """One request: first its head, then its body too. Made by the server; a plain class, because one is made a question."""

    __slots__ = ("arrived", "body", "budget", "headers", "held", "key", "last", "method", "path", "peer", "query")

    def __init__(  # noqa: PLR0913, PLR0917 - these are what a request is
        self, method: str, path: str, query: str, headers: dict[bytes, bytes], peer: str, arrived: float
    ) -> None:
        """Keep the head."""
        self.method = method
        self.path = path
        """As it was sent, without the query; not percent-decoded, because no route of ours needs it."""
        self.query = query
        self.headers = headers
        """By lower-case name; one that was sent twice is joined with commas."""
        self.peer = peer
        """The address that the connection came from."""
        self.arrived = arrived
        """When its head was complete, by the event loop's clock, in seconds."""
        self.body = b""
        self.key: Key | None = None
        """Who asks, on routes that want to know; set before the body is read."""
        self.last = False
        """Whether its connection closes after the answer."""
        self.budget: Budget | None = None
        """What its body is counted in until it is answered, on routes that share one; set before the body is read."""
        self.held = 0
        """Bytes of the body that are counted there."""

    def hold(self, size: int) -> Response | None:
        """Count so many more bytes of the body; a refusal if the budget has no room for them."""
        if self.budget is None:
            return None
        refused = self.budget.take(size)
        if refused is None:
            self.held += size
        return refused

    def free(self) -> None:
        """Count its body no more; may be called again."""
        if self.budget is not None:
            self.budget.give(self.held)
            self.held = 0


@dataclass(slots=True, frozen=True)
class Response:
    """One response."""

    status: int
    body: bytes = b""
    kind: bytes = JSON
    """Its media type."""
    headers: bytes = b""
    """More header lines, each with its CRLF: ``b"retry-after: 1\\r\\n"``."""

    def encode(self, *, without_body: bool, connection: bytes) -> bytes:
        """Return the bytes to send; ``connection`` is a header line, or nothing."""
        return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b" % (
            self.status,
            REASONS.get(self.status, b"-"),
            self.kind,
            len(self.body),
            self.headers,
            connection,
            b"" if without_body else self.body,
        )


def header(name: str, value: str) -> bytes:
    """One header line; what has no place in one becomes ``?``, so that no value can make two lines of it."""
    clean = "".join(each if " " <= each <= "~" else "?" for each in value)
    return f"{name}: {clean}\r\n".encode("ascii")


def refusal(status: int, code: str, message: str, headers: bytes = b"") -> Response:
    """Return an error as askers see it: ``{"error": {"code", "message"}}``."""
    content = {"error": {"code": code, "message": message}}
    return Response(status, json.dumps(content).encode(), JSON, headers)


def again(seconds: float) -> bytes:
    """Return the header that says after how many seconds to come back, whole and at least one."""
    return b"retry-after: %d\r\n" % max(1, -int(-seconds // 1))


def internal_error() -> Response:
    """What is said when the fault is ours; the log has the reason."""
    return refusal(500, "internal", "the gateway failed on this request; its log says why")
