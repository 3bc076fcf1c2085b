"""The V2 inference protocol over HTTP: whose key, which version, and the bytes go on to Triton and back as they are.

Of the headers only those named here travel. A body that is compressed is refused: what it unpacks to would be Triton's to
bear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from tiphys.serving.gateway.keys import Keys, take
from tiphys.serving.gateway.messages import JSON, Request, Response, again, header, refusal
from tiphys.serving.gateway.server import Exchange
from tiphys.serving.gateway.switchboard import only
from tiphys.serving.gateway.upstream import Answer, Call, UpstreamError, head
from tiphys.serving.gateway.v2_desk import ANSWER_SECONDS, MESSAGE_CAP, Desk, Try
from tiphys.serving.gateway.v2_json import JsonError, check
from tiphys.serving.gateway.v2_paths import V2Path, parse

_NOT_FOUND = 404
_HEADER_LENGTH = b"inference-header-content-length"
_FAILURES = {
    "away": refusal(503, "unavailable", "the model server is away", again(1)),
    "full": refusal(503, "busy", "too many questions at once", again(1)),
    "late": refusal(504, "late", "the model server did not answer in time"),
    "broken": refusal(502, "bad_answer", "the model server's answer is broken or too large"),
}


class V2Door:
    """Answers ``/v2/...``, ``/canary/v2/...`` and ``/staging/v2/...``."""

    def __init__(self, desk: Desk, keys: Keys) -> None:
        """Ask whom ``desk`` chooses; to be made inside the event loop."""
        self._desk = desk
        self._keys = keys
        self._now = asyncio.get_running_loop().time

    def accept(self, request: Request) -> int | Response:
        """Check the path, the key and what the headers say of the body."""
        path = parse(request.path)
        if path is None:
            return refusal(
                404, "not_found", f"{request.path[:100]!r} is not of the V2 inference protocol as served here"
            )
        refused = (
            only(request, path.method)
            or self._keys.admit(request, self._desk.roles(path.environment))
            or _unfit(request)
            or self._desk.admission.full()
            or take(request, 1, request.arrived)
        )
        if refused is not None:
            self._desk.count("http", path.environment, refused.status, self._now() - request.arrived)
            return refused
        request.budget = self._desk.budget
        return MESSAGE_CAP if path.method == "POST" else 0

    def answer(self, exchange: Exchange) -> None:
        """Ask Triton."""
        path = parse(exchange.request.path)
        if path is not None:
            _Journey(self._desk, exchange, path, self._now).begin()


class _Journey:
    """One request's way to Triton and back."""

    __slots__ = ("_deadline", "_desk", "_exchange", "_now", "_path", "call")

    def __init__(self, desk: Desk, exchange: Exchange, path: V2Path, now: Callable[[], float]) -> None:
        self._desk = desk
        self._exchange = exchange
        self._path = path
        self._now = now
        self._deadline = exchange.request.arrived + ANSWER_SECONDS
        self.call: Call | None = None

    def begin(self) -> None:
        """Find out whom to ask, and ask."""
        choice = self._choose(self._exchange.request)
        if isinstance(choice, Response):
            self._reply(choice)
            return
        self._desk.admission.enter()
        self._exchange.on_gone = self._leave
        self._send(choice, is_second=False)

    def _choose(self, request: Request) -> Try | Response:
        path = self._path
        refused = self._desk.admission.full() or _malformed(request)
        if refused is not None:
            return refused
        if not path.model:
            return Try(path.environment, "")
        return self._desk.choose(path.environment, path.model, path.version)

    def _leave(self) -> None:
        self._desk.admission.leave()
        if self.call is not None:
            self.call.cancel()

    def _send(self, this: Try, *, is_second: bool) -> None:
        request = self._exchange.request
        upstream = self._desk.arms.environments[this.environment].upstream
        headers: dict[str, str | int] = {}
        if request.method == "POST":
            headers["content-type"] = "application/json"
            headers["content-length"] = len(request.body)
            for name in (b"content-type", _HEADER_LENGTH):
                if name in request.headers:
                    headers[name.decode()] = request.headers[name].decode("latin-1")
        content = head(request.method, self._path.of_triton(this.version), upstream.address, headers) + request.body
        self.call = upstream.send(content, partial(self._come, this, is_second=is_second), self._deadline)

    def _come(self, this: Try, outcome: Answer | UpstreamError, *, is_second: bool) -> None:
        self.call = None
        if isinstance(outcome, Answer) and outcome.status == _NOT_FOUND and not is_second:
            successor = self._desk.successor(this, self._path.model, self._path.version)
            if successor is not None:
                self._send(successor, is_second=True)
                return
        self._exchange.on_gone = None
        self._desk.admission.leave()
        self._reply(_response(outcome, this))

    def _reply(self, response: Response) -> None:
        seconds = self._now() - self._exchange.request.arrived
        self._desk.count("http", self._path.environment, response.status, seconds)
        self._exchange.reply(response)


def _response(outcome: Answer | UpstreamError, by: Try) -> Response:
    if isinstance(outcome, UpstreamError):
        return _FAILURES[outcome.failure]
    more = header("x-tiphys-arm", by.environment) + (header("x-tiphys-version", by.version) if by.version else b"")
    length = outcome.headers.get(_HEADER_LENGTH, b"")
    if length.isdigit():
        more += b"inference-header-content-length: " + length + b"\r\n"
    return Response(outcome.status, outcome.body, outcome.headers.get(b"content-type", JSON), more)


def _unfit(request: Request) -> Response | None:
    """A refusal if the headers ask for what is not done here."""
    if request.query:
        return refusal(400, "query", "the V2 inference protocol has no query parameters")
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        return refusal(
            415, "content_encoding", "send the body as it is, not compressed", b"accept-encoding: identity\r\n"
        )
    return None


def _malformed(request: Request) -> Response | None:
    """A refusal for a body that would hurt Triton, or whose parts are not where its headers say."""
    length = request.headers.get(_HEADER_LENGTH)
    text = request.body
    if length is not None:
        if not length.isdigit() or len(length) > 9 or int(length) > len(text):  # noqa: PLR2004 - 4 MiB has 7 digits
            return refusal(
                400, "header_length", "Inference-Header-Content-Length is not the size of a part of the body"
            )
        text = text[: int(length)]
    if request.method == "POST":
        try:
            check(text)
        except JsonError as error:
            return refusal(400, "malformed", str(error))
    return None
