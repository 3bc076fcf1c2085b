"""What a request's query says: texts, numbers and booleans as grpc-gateway reads them; unknown names are passed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import QueryParams

from tiphys.engine.server.refusals import invalid

_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False", "")
_MOST = 2**63 - 1


@dataclass(frozen=True)
class Query:
    """A request's query."""

    given: QueryParams

    def text(self, name: str) -> str:
        """A text; empty where it is not given. Raises Refusal for two, or one that holds NUL."""
        values = self.given.getlist(name)
        if len(values) > 1:
            raise invalid(f"{name} is given {len(values)} times: give it once")
        if values and "\0" in values[0]:
            raise invalid(f"{name}: a NUL can't be a part of it")
        return values[0] if values else ""

    def flag(self, name: str) -> bool:
        """A boolean; False where it is not given. Raises Refusal."""
        text = self.text(name)
        if text not in (*_TRUE, *_FALSE):
            raise invalid(f"{name}: write true or false, not {text[:80]!r}")
        return text in _TRUE

    def number(self, name: str) -> int | None:
        """A whole number from 0 on; None where it is not given. Raises Refusal."""
        text = self.text(name)
        if not text:
            return None
        if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_MOST)) or int(text) > _MOST:
            raise invalid(f"{name}: write a whole number, not {text[:80]!r}")
        return int(text)

    def moment(self, name: str) -> float | None:
        """A time in RFC 3339 as seconds since the epoch; None where it is not given. Raises Refusal."""
        text = self.text(name)
        return parse_moment(text, name) if text else None


def parse_moment(text: str, name: str) -> float:
    """Seconds since the epoch. Raises Refusal that names where it was."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None:
        raise invalid(f"{name}: write a time such as 2026-11-22T10:00:00Z, not {text[:80]!r}")
    return seconds
