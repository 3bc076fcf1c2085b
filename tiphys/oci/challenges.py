"""What a registry's 401 asks for: HTTP's WWW-Authenticate, and the token that its token server hands out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tiphys.errors import PermanentError

_SCHEMES = re.compile(r"(?:^|,\s*|\s)(Basic|Bearer)\s+(?=[A-Za-z]+\s*=)", re.IGNORECASE)
_PARAMETER = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True)
class Challenge:
    """One way to say who we are."""

    scheme: str
    """``basic`` or ``bearer``."""
    parameters: Mapping[str, str]


def choose(headers: Iterable[str]) -> Challenge | None:
    """Return the challenge to answer, a token where both are offered; None where we know none of them."""
    found = [each for header in headers for each in _parse(header)]
    found.sort(key=lambda each: each.scheme != "bearer")
    return found[0] if found else None


def token(content: bytes, realm: str) -> str:
    """Read the token server's answer.

    Raises:
        PermanentError: there is no token in it.
    """
    try:
        told = json.loads(content)
        found = told.get("token") or told.get("access_token")
    except (ValueError, AttributeError):
        found = None
    if not isinstance(found, str) or not found.isprintable():
        message = f"the token server {realm} answers without a token"
        raise PermanentError(message)
    return found


def _parse(header: str) -> list[Challenge]:
    starts = list(_SCHEMES.finditer(header))
    ends = [*(each.start() for each in starts), len(header)][1:]
    return [
        Challenge(start.group(1).lower(), _parameters(header[start.end() : end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def _parameters(text: str) -> dict[str, str]:
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in _PARAMETER.findall(text)
    }
