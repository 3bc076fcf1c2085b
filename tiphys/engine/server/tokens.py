"""Who may ask what: a bearer token has a role, and is looked at before anything of the request is read."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers

from tiphys.engine.server.refusals import Code, Refusal

ADMIN, EVENTS, TRIGGER = "admin", "events", "trigger"
ROLES = (ADMIN, EVENTS, TRIGGER)
"""`admin` may do everything; `events` may only send events; `trigger` may look at what became of them, too: at runs."""
_EVENT_ROUTE = "/api/v1/events/"
_RUN_ROUTE = re.compile(r"/api/v1/workflows/[^/]+(/[^/]+)?")
_SAFE = ("GET", "HEAD", "OPTIONS")


class Tokens:
    """The tokens that are known, kept as digests."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """`tokens` maps each token to its role. Raises ValueError for an empty token or an unknown role."""
        for token, role in tokens.items():
            if not token or role not in ROLES:
                msg = f"a token needs a text and a role of {', '.join(ROLES)}, not {role!r}"
                raise ValueError(msg)
        self._roles = [(_digest(token), role) for token, role in tokens.items()]

    def role(self, token: str) -> str:
        """The role of a token, empty for one that is unknown; as slow for every token."""
        digest, found = _digest(token), ""
        for known, role in self._roles:
            if hmac.compare_digest(known, digest):
                found = role
        return found

    def admit(self, method: str, path: str, headers: Headers) -> None:
        """Raises Refusal: no token, an unknown one, or one whose role may not do that."""
        token = bearer(headers.get("authorization", ""))
        by_cookie = not token
        role = self.role(token) if token else next(filter(None, map(self.role, _cookies(headers))), "")
        if not role:
            raise Refusal(
                Code.UNAUTHENTICATED, "token not valid: send the header `Authorization: Bearer TOKEN`",
                headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        if by_cookie and method not in _SAFE and not _same_origin(headers):
            raise Refusal(
                Code.PERMISSION_DENIED, "a cookie from another site may change nothing: send the token as a header"
            )
        if role in (EVENTS, TRIGGER) and not _is_allowed(role, method, path):
            more = " and GET runs" if role == TRIGGER else ""
            raise Refusal(Code.PERMISSION_DENIED, f"a token of the role {role!r} may only POST to {_EVENT_ROUTE}{more}")


def _is_allowed(role: str, method: str, path: str) -> bool:
    """Whether a role that may not do everything may do this."""
    sends = method == "POST" and path.startswith(_EVENT_ROUTE)
    looks = role == TRIGGER and method == "GET" and _RUN_ROUTE.fullmatch(path) is not None
    return sends or looks


def bearer(header: str) -> str:
    """The token of `Bearer TOKEN`; empty for any other scheme."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _cookies(headers: Headers) -> Iterator[str]:
    """The tokens that Argo's web UI keeps of its logins: there is one more for each path that it was served at."""
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == "authorization":
                yield bearer(unquote(value.strip('"')))  # the UI writes the space of `Bearer TOKEN` as it is


def _same_origin(headers: Headers) -> bool:
    """Whether a browser says that the page which asks is ours; who sends no Origin is no browser."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
