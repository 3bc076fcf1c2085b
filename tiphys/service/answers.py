"""What comes to a service over HTTP and how it answers: bodies with a bound, numbers, JSON, and one form for every refusal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from tiphys.settings import ListenSettings, load

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

BODY_CAP = 16 * 1024
"""Most bytes that a request's body may have where no more is asked for."""
HISTORY_CAP = 1000
"""Most records in an answer where no fewer are asked for."""

log = logging.getLogger(__name__)

Body = TypeVar("Body", bound=BaseModel)


async def read_bytes(request: Request, cap: int) -> bytes:
    """Read a body of at most ``cap`` bytes, however it is sent. Raises HTTPException: it is larger."""
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > cap:
            raise HTTPException(413, f"the body is larger than {cap} bytes")
    return bytes(text)


async def read_body(request: Request, kind: type[Body], cap: int = BODY_CAP) -> Body:
    """Read a body of at most ``cap`` bytes. Raises HTTPException: it is larger, or no such record."""
    text = await read_bytes(request, cap)
    try:
        return kind.model_validate_json(text)
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


_CODES = {
    401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 408: "too_slow",
    413: "too_large", 415: "unsupported_encoding", 429: "too_many", 503: "unavailable",
}  # fmt: skip


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
    body = {"error": {"code": "unavailable", "message": "the database does not answer; try again"}}
    return JSONResponse(body, 503, {"Retry-After": "1"})


def serve(app: Starlette, port: int) -> None:
    """Serve an application on a port of the address that our services listen on, until stopped."""
    import uvicorn  # noqa: PLC0415 - only the server needs it

    uvicorn.run(
        app,
        host=load(ListenSettings).bind,
        port=port,
        loop="asyncio",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        log_level="warning",
    )
