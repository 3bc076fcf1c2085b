"""What comes to the ledger over HTTP and how it answers: bodies with a bound, numbers, JSON, and one form for every refusal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_CAP = 16 * 1024
"""Most bytes that a request's body may have where no more is asked for."""
HISTORY_CAP = 1000
"""Most records in an answer where no fewer are asked for."""

log = logging.getLogger(__name__)

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, kind: type[Body], cap: int = BODY_CAP) -> Body:
    """Read a body of at most ``cap`` bytes. Raises HTTPException: it is larger, or no such record."""
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > cap:
            raise HTTPException(413, f"the body is larger than {cap} bytes")
    try:
        return kind.model_validate_json(bytes(text))
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        raise HTTPException(422, listed) from None


def number(request: Request, name: str, default: int) -> int:
    """Read a number of the query. Raises HTTPException: it is none."""
    text = request.query_params.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise HTTPException(422, f"{name} must be a whole number, not {text[:20]!r}") from None


def limit(request: Request, cap: int = HISTORY_CAP) -> int:
    """Read how many records are wanted: 1 to ``cap``."""
    return max(1, min(number(request, "limit", 100), cap))


def as_json(record: BaseModel, status: int = 200) -> Response:
    """Answer with a record."""
    return Response(record.model_dump_json(), status, media_type="application/json")


_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


async def refused(_request: Request, error: Exception) -> Response:
    """Answer a request that may not be, or is of a wrong form."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    body = {"error": {"code": _CODES.get(error.status_code, "invalid"), "message": error.detail}}
    headers = dict(error.headers or {}) | ({"WWW-Authenticate": "Bearer"} if error.status_code == 401 else {})  # noqa: PLR2004
    return JSONResponse(body, error.status_code, headers)


async def misfit(_request: Request, error: Exception) -> Response:
    """Answer a DataError: what was asked for does not fit."""
    return JSONResponse({"error": {"code": "refused", "message": str(error)}}, 422)


async def away(_request: Request, error: Exception) -> Response:
    """Answer while the database is away."""
    log.warning("%s", error)
    body = {"error": {"code": "unavailable", "message": "the ledger's database does not answer; try again"}}
    return JSONResponse(body, 503, {"Retry-After": "1"})
