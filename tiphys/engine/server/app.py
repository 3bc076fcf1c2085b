"""The application: the table of routes behind one gate, and the process that serves it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys.engine.engine import Engine
from tiphys.engine.server.bodies import read_object
from tiphys.engine.server.call import Call, Operation, answer
from tiphys.engine.server.desk import Desk
from tiphys.engine.server.naming import check_path
from tiphys.engine.server.openapi import document
from tiphys.engine.server.query import Query
from tiphys.engine.server.refusals import Code, Refusal, refusal_of
from tiphys.engine.server.routes import operations
from tiphys.engine.server.streams import DEADLINE
from tiphys.engine.server.tokens import Tokens

log = logging.getLogger("tiphys.api")
HEALTH = "/healthz"
"""The only route that needs no token: it says that the server is there, and nothing else."""
_WARM = 0.5
"""Seconds that the first answers may wait until what they show is rendered."""
_SWITCH = 0.0005
"""Seconds after which a thread that checks a manifest lets the event loop answer."""


def application(engine: Engine, tokens: Mapping[str, str]) -> Starlette:
    """Argo's REST API for the engine's state folder. `tokens` maps each bearer token to its role, `admin` or `events`.

    Raises ValueError for an empty token or an unknown role.
    """
    desk, table = Desk(engine), operations()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        shutil.rmtree(engine.state / "downloads", ignore_errors=True)  # of a server that was killed
        warming = asyncio.ensure_future(desk.warm())
        await asyncio.wait((warming,), timeout=_WARM)
        yield
        await asyncio.gather(warming, return_exceptions=True)
        desk.close()

    app = Starlette(routes=[*_routes(table, desk)], lifespan=lifespan, exception_handlers={404: _unknown})
    app.router.redirect_slashes = False
    gate = Tokens(tokens)
    app.add_middleware(lambda inner: _Gate(inner, gate))
    return app


def serve(engine: Engine, tokens: Mapping[str, str], host: str = "127.0.0.1", port: int = 2746) -> None:
    """Answer until SIGTERM or SIGINT. Raises OSError where the port is taken, ValueError as `application` does."""
    from tiphys.engine.server.connection import run  # noqa: PLC0415  # uvicorn, which only a server needs

    sys.setswitchinterval(_SWITCH)
    run(application(engine, tokens), host, port)


def _routes(table: Iterable[Operation], desk: Desk) -> Iterable[Route]:
    """A route a path, also where Argo's clients leave the namespace out."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in table:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    specification = document(by_path.values())
    yield Route("/openapi.json", _Fixed(answer(specification)))
    yield Route(HEALTH, _Fixed(PlainTextResponse("ok")))
    for path, found in by_path.items():
        endpoint = _Endpoint(found, desk)
        yield Route(path, endpoint)
        for last in ("/{namespace}", "/{discriminator}"):
            if path.endswith(last):
                yield Route(path.removesuffix(last), endpoint)
                yield Route(path.removesuffix(last.removeprefix("/")), endpoint)
        if "PUT" in found and path.endswith("/{name}"):  # the CLI leaves the name out: it is in the body
            yield Route(path.removesuffix("{name}"), _Endpoint({"PUT": found["PUT"]}, desk))
    yield Route("/{path:path}", _Endpoint({}, desk))


async def _unknown(_request: Request, _error: Exception) -> Response:
    """What no route matches, not even the last one: a path with a line's end in it."""
    return refused(Refusal(Code.NOT_FOUND, "Not Found"))


class _Endpoint:
    """One path: the handler of the method, and the answer that it gives or refuses."""

    def __init__(self, found: Mapping[str, Operation], desk: Desk) -> None:
        self._found = found
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await self._handled(request)
        except Exception as error:  # noqa: BLE001  # every one becomes an answer
            response = refused(error)
        await response(scope, receive, send)

    async def _handled(self, request: Request) -> Response:
        if not self._found:
            raise Refusal(Code.NOT_FOUND, "Not Found")
        operation = self._found.get(request.method)
        if operation is None:
            allowed = ", ".join(sorted(self._found))
            message = f"Method Not Allowed: {request.method[:20]} (this path has {allowed})"
            raise Refusal(Code.UNIMPLEMENTED, message, 405, {"allow": allowed})
        check_path(request.path_params)
        body = await read_object(request) if operation.takes and operation.reads_body else {}
        call = Call(self._desk, request, request.path_params, Query(request.query_params), body)
        return await operation.handler(call)


class _Fixed:
    """Always the same answer."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)


class _Gate:
    """Lets in who has a token, before anything of the request is read; and lets go who takes no answer."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if scope["path"] != HEALTH:
                self._tokens.admit(scope["method"], scope["path"], Headers(scope=scope))
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
            return

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(DEADLINE):
                await send(message)

        try:
            await self._app(scope, receive, in_time)
        except TimeoutError:
            log.info("%s %s: the client took no answer for %.0f s", scope["method"], scope["path"], DEADLINE)


def refused(error: Exception) -> Response:
    """The answer for what went wrong; its traceback goes to the log if nobody expected it."""
    refusal = refusal_of(error)
    if refusal.code == Code.INTERNAL:
        log.error("a request failed", exc_info=error)
    response = answer(refusal.body(), refusal.status)
    response.headers.update(refusal.headers)
    return response
