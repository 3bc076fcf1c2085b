"""How the server says no: Argo's bodies `{"code": 5, "message": "..."}`, where the code is gRPC's, and the HTTP status beside it."""

from __future__ import annotations

import sqlite3
from enum import IntEnum
from typing import Any

from tiphys.engine.errors import (
    EngineError,
    EventRefusedError,
    EventsFullError,
    JournalDamagedError,
    ManifestError,
    StateLockedError,
    UnknownRunError,
)


class Code(IntEnum):
    """The codes of gRPC that Argo's clients know."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


STATUS = {
    Code.INVALID_ARGUMENT: 400, Code.DEADLINE_EXCEEDED: 504, Code.NOT_FOUND: 404, Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403, Code.RESOURCE_EXHAUSTED: 429, Code.FAILED_PRECONDITION: 400, Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500, Code.UNAVAILABLE: 503, Code.DATA_LOSS: 500, Code.UNAUTHENTICATED: 401,
}  # fmt: skip
"""The HTTP status of each code, as grpc-gateway maps them."""


class Refusal(Exception):  # noqa: N818  # an answer, not a fault of ours
    """An answer that says no. `status` is HTTP's; that of the code where none is given."""

    def __init__(self, code: Code, message: str, status: int = 0, headers: dict[str, str] | None = None) -> None:
        """`message` names the thing and the remedy."""
        super().__init__(message)
        self.code = code
        self.status = status or STATUS[code]
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"code": int(self.code), "message": str(self)}

    def in_stream(self) -> dict[str, Any]:
        """What a stream ends with that has begun already."""
        return {"error": {"grpc_code": int(self.code), "http_code": self.status, "message": str(self)}}


def invalid(message: str) -> Refusal:
    """The request makes no sense."""
    return Refusal(Code.INVALID_ARGUMENT, message)


def not_found(what: str, name: str) -> Refusal:
    """There is no such object; worded as Kubernetes does, which clients look for."""
    return Refusal(Code.NOT_FOUND, f'{what}.argoproj.io "{name}" not found')


_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (UnknownRunError, Code.NOT_FOUND),
    (ManifestError, Code.INVALID_ARGUMENT),
    (StateLockedError, Code.UNAVAILABLE),
    (JournalDamagedError, Code.DATA_LOSS),
    (EventsFullError, Code.RESOURCE_EXHAUSTED),
    (EventRefusedError, Code.INVALID_ARGUMENT),
    (EngineError, Code.FAILED_PRECONDITION),
)
"""What the engine's errors are to a client; the first that fits counts."""


def refusal_of(error: Exception) -> Refusal:
    """The answer for what went wrong; INTERNAL, without its text, for what nobody expected."""
    if isinstance(error, Refusal):
        return error
    for kind, code in _CODES:
        if isinstance(error, kind):
            return Refusal(code, str(error))
    if isinstance(error, sqlite3.OperationalError | OSError):
        return Refusal(
            Code.UNAVAILABLE, f"the state folder can't be read or written ({error}): make room, then try again"
        )
    return Refusal(Code.INTERNAL, "an error in the server: its log has the traceback")
