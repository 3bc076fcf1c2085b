"""The release ledger as a service: what should be serving, in which environment, by a small HTTP API.

======================================== ==================================================================
``GET /v1/environments/ENV``             releases, generation, observed; ``?after=G&wait=S`` waits for news
``GET /v1/environments/ENV/releases``    history, newest first
``POST /v1/environments/ENV/releases``   a :class:`Wish`: 201 written, 200 was there, 409 with what is there
``GET /v1/environments/ENV/services``    releases of the services themselves, newest first
``POST /v1/environments/ENV/services``   a :class:`ServiceWish`: as for models
``PUT /v1/environments/ENV/observed``    an :class:`Observed`, by the agent
``GET /healthz``, ``GET /metrics``       for supervisors, without a token
======================================== ==================================================================

Run it with ``python -m tiphys.release.ledger``; one process serves it. It knows nothing of models or their server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tiphys.errors import RetryableError
from tiphys.release.records import ENVIRONMENTS, Observed, ServiceWish, Wish
from tiphys.release.store import Store
from tiphys.release.tokens import Role, Tokens, may_observe, may_write
from tiphys.settings import LedgerServerSettings, ListenSettings, load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

BODY_CAP = 16 * 1024
"""Most bytes that a request's body may have."""

LONGEST_WAIT = 30.0
"""Most seconds that a reader may wait for news in one request."""

HISTORY_CAP = 1000

log = logging.getLogger(__name__)

Body = TypeVar("Body", bound=BaseModel)


class Ledger:
    """The routes of the service, on one store."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        """Serve ``store`` to those who have one of ``tokens``."""
        self._store = store
        self._tokens = tokens
        self._news = {each: asyncio.Event() for each in ENVIRONMENTS}
        self._counts: Counter[str] = Counter()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        one = "/v1/environments/{environment}"
        return Starlette(
            routes=[
                Route(one, self._current, methods=["GET"]),
                Route(one + "/releases", self._history, methods=["GET"]),
                Route(one + "/releases", self._release, methods=["POST"]),
                Route(one + "/services", self._services, methods=["GET"]),
                Route(one + "/services", self._release_services, methods=["POST"]),
                Route(one + "/observed", self._observe, methods=["PUT"]),
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _refusal, RetryableError: _away},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        await self._store.close()

    async def _current(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        after = _number(request, "after", -1)
        wait = min(float(_number(request, "wait", 0)), LONGEST_WAIT)
        news = self._news[environment]  # taken before reading, so that no release is missed in between
        found = await self._store.current(environment)
        if found.generation <= after and wait > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), wait)
            found = await self._store.current(environment)
        return _json(found)

    async def _history(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        limit = max(1, min(_number(request, "limit", 100), HISTORY_CAP))
        found = await self._store.history(environment, limit)
        return JSONResponse({"releases": [each.model_dump(mode="json") for each in found]})

    async def _release(self, request: Request) -> Response:
        environment, role = self._enter(request)
        if not may_write(role, environment):
            raise HTTPException(403, f"a token with role {role!r} may not release into {environment}")
        wish = await _body(request, Wish)
        recorded = await self._store.append(environment, wish.expected_generation, wish.release())
        if recorded is None:
            self._counts[f'tiphys_ledger_conflicts_total{{environment="{environment}"}}'] += 1
            current = await self._store.current(environment)
            text = f"{environment} is at generation {current.generation}, not {wish.expected_generation}"
            body = {"error": {"code": "conflict", "message": text}, "current": current.model_dump(mode="json")}
            return JSONResponse(body, 409)
        self._tell(environment)
        self._counts[f'tiphys_ledger_releases_total{{environment="{environment}"}}'] += 1
        log.info("%s %d: %s %s", environment, recorded.generation, recorded.use_case, recorded.model_version)
        was_there = recorded.generation <= wish.expected_generation
        return _json(recorded, 200 if was_there else 201)

    async def _services(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        limit = max(1, min(_number(request, "limit", 100), HISTORY_CAP))
        found = await self._store.services(environment, limit)
        return JSONResponse({"services": [each.model_dump(mode="json") for each in found]})

    async def _release_services(self, request: Request) -> Response:
        environment, role = self._enter(request)
        if not may_write(role, environment):
            raise HTTPException(403, f"a token with role {role!r} may not release into {environment}")
        wish = await _body(request, ServiceWish)
        recorded = await self._store.append_services(environment, wish.expected_generation, wish.release())
        if recorded is None:
            text = f"the services of {environment} are not at generation {wish.expected_generation} any more"
            return JSONResponse({"error": {"code": "conflict", "message": text}}, 409)
        log.info("services of %s %d: %s", environment, recorded.generation, recorded.revision)
        return _json(recorded, 200 if recorded.generation <= wish.expected_generation else 201)

    async def _observe(self, request: Request) -> Response:
        environment, role = self._enter(request)
        if not may_observe(role):
            raise HTTPException(403, f"a token with role {role!r} may not report what is served; agents do")
        observed = await _body(request, Observed)
        await self._store.observe(environment, observed)
        return Response(status_code=204)

    async def _healthz(self, _request: Request) -> Response:
        await self._store.ready()
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _request: Request) -> Response:
        lines = [f"{name} {count}\n" for name, count in sorted(self._counts.items())]
        for each in ENVIRONMENTS:
            generation = (await self._store.current(each)).generation
            lines.append(f'tiphys_ledger_generation{{environment="{each}"}} {generation}\n')
        return PlainTextResponse("".join(lines))

    def _enter(self, request: Request) -> tuple[str, Role]:
        role = self._tokens.role(request.headers.get("authorization", ""))
        if role is None:
            raise HTTPException(401, "the ledger wants a token it knows: Authorization: Bearer TOKEN")
        environment = request.path_params["environment"]
        if environment not in ENVIRONMENTS:
            raise HTTPException(404, f"no environment {environment!r}; there are {', '.join(ENVIRONMENTS)}")
        return environment, role

    def _tell(self, environment: str) -> None:
        news, self._news[environment] = self._news[environment], asyncio.Event()
        news.set()


async def _body(request: Request, kind: type[Body]) -> Body:
    text = b""
    async for chunk in request.stream():
        text += chunk
        if len(text) > BODY_CAP:
            raise HTTPException(413, f"the body is larger than {BODY_CAP} bytes")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        raise HTTPException(422, listed) from None


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise HTTPException(422, f"{name} must be a whole number, not {text[:20]!r}") from None


def _json(record: BaseModel, status: int = 200) -> Response:
    return Response(record.model_dump_json(), status, media_type="application/json")


_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    body = {"error": {"code": _CODES.get(error.status_code, "invalid"), "message": error.detail}}
    headers = dict(error.headers or {}) | ({"WWW-Authenticate": "Bearer"} if error.status_code == 401 else {})  # noqa: PLR2004
    return JSONResponse(body, error.status_code, headers)


async def _away(_request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    body = {"error": {"code": "unavailable", "message": "the ledger's database does not answer; try again"}}
    return JSONResponse(body, 503, {"Retry-After": "1"})


def main() -> None:
    """Serve until stopped."""
    import uvicorn  # noqa: PLC0415 - only the server needs it

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    settings = load(LedgerServerSettings)
    store = Store(settings.db_url, settings.db_user, settings.db_password)
    ledger = Ledger(store, Tokens(settings.tokens))
    uvicorn.run(
        ledger.app(),
        host=load(ListenSettings).bind,
        port=settings.port,
        loop="asyncio",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
