"""Asks http and https servers as Go's client does: redirects are followed, secrets stay with their host, no proxies."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tiphys.engine.errors import EngineError

_ALWAYS_PRIVATE = frozenset(("authorization", "cookie", "cookie2", "www-authenticate"))


class RequestError(EngineError):
    """The request got no answer, or one that can't be taken; the message has Go's words where they are the common ones."""


@contextmanager
def asked(  # noqa: PLR0913
    url: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    method: str = "GET",
    body: bytes | None = None,
    timeout: float,
    private: Iterable[str] = (),
    skip_verify: bool = False,
) -> Iterator[Any]:
    """The answer, whatever its status: an http.client.HTTPResponse, to be read inside of the `with`.

    `timeout` is in seconds, for the connection and for every piece of the answer; `private` are names of headers that
    another host must not see. Raises RequestError, also for what goes wrong while the answer is read.
    """
    _check_scheme(url)
    try:
        request = urllib.request.Request(url, data=body or None, method=method)  # noqa: S310
        for name, value in headers:
            request.add_header(name, value)
        opener = _opener({*_ALWAYS_PRIVATE, *(name.lower() for name in private)}, skip_verify=skip_verify)
        with _opened(opener, request, timeout) as answer:
            yield answer
    except TimeoutError:
        msg = "context deadline exceeded"
        raise RequestError(msg) from None
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise RequestError(_reason(problem, url)) from None


def pieces(answer: Any, size: int) -> Iterator[bytes]:
    """The body, `size` bytes at a time. Raises RequestError if it ends before the length that was announced."""
    while piece := answer.read(size):
        yield piece
    if getattr(answer, "length", None):
        msg = "unexpected EOF"
        raise RequestError(msg)


def _check_scheme(url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as problem:
        raise RequestError(str(problem)) from None
    if scheme not in ("http", "https"):
        msg = f'unsupported protocol scheme "{scheme}"'
        raise RequestError(msg)


def _opened(opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float) -> Any:
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as answer:
        return answer


def _opener(private: set[str], *, skip_verify: bool) -> urllib.request.OpenerDirector:
    """Of http and https alone; it reads no proxy from the environment."""
    opener = urllib.request.OpenerDirector()
    context = ssl._create_unverified_context() if skip_verify else ssl.create_default_context()  # noqa: S323, SLF001
    for handler in (
        _Http(), _Https(context=context), _Redirects(private), urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _without_form_type(request: urllib.request.Request) -> urllib.request.Request:
    """Take away the content type that urllib adds and Go does not."""
    request.unredirected_hdrs.pop("Content-type", None)
    return request


class _Http(urllib.request.HTTPHandler):
    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        return _without_form_type(super().http_request(request))


class _Https(urllib.request.HTTPSHandler):
    def https_request(self, request: urllib.request.Request) -> urllib.request.Request:
        return _without_form_type(super().https_request(request))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as Go does; secrets stay with the host that they were meant for."""

    def __init__(self, private: set[str]) -> None:
        self._private = private

    def redirect_request(self, req: urllib.request.Request, *rest: Any) -> urllib.request.Request | None:
        """The next request, or None. Raises RequestError for another protocol."""
        following = super().redirect_request(req, *rest)
        if following is None:
            return None
        _check_scheme(following.full_url)
        if following.host != req.host:
            for name in list(following.headers):
                if name.lower() in self._private:
                    following.remove_header(name)
        return following


def _reason(problem: Exception, url: str) -> str:
    """Why there was no answer."""
    cause = getattr(problem, "reason", problem)
    if isinstance(cause, TimeoutError):
        return "context deadline exceeded"
    if isinstance(cause, ConnectionRefusedError):
        place = urlsplit(url)
        return f"dial tcp {place.hostname}:{place.port or (443 if place.scheme == 'https' else 80)}: connect: connection refused"
    return str(cause) or type(cause).__name__
