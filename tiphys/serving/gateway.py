"""The gateway: typed questions over HTTP in, a model's answer out. Its hot route is bare ASGI.

============================= ===================================================================
``POST /v1/ROUTE``            asks the model in production
``POST /staging/v1/ROUTE``    asks the one in staging, before it is promoted
``GET /docs, /openapi.json``  what can be asked, and how
``GET /healthz``              this process lives
``GET /readyz``               every mounted use case is answered in production
``GET /metrics``              Prometheus
============================= ===================================================================

Run it with ``python -m tiphys.serving.gateway``. It holds no model, and lives on when Triton or the ledger is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tiphys.errors import TiphysError
from tiphys.release.client import LedgerClient
from tiphys.release.records import ENVIRONMENTS
from tiphys.serving import openapi
from tiphys.serving.gateway_metrics import GatewayMetrics
from tiphys.serving.inference import Inference, InferenceError
from tiphys.serving.routes import Route, Routes
from tiphys.settings import GatewaySettings, LedgerSettings, ListenSettings, ServingSettings, load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_CAP = 16 * 1024
"""Most bytes that a question may have."""
BODY_SECONDS = 5.0
"""Longest that a question may take to arrive."""
ANSWER_SECONDS = 1.0
"""Longest that the model may take."""
MOST_IN_FLIGHT = 256
"""Questions of one route that may wait for the model at once; the next is told to come back."""
_WATCH_SECONDS = 3.0

log = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json")


class Refusal(Exception):  # noqa: N818 - an answer to the asker, not a fault of ours
    """A question that gets an error for an answer."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        """Keep what the asker is told."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


_INFERENCE_STATUS = {"timeout": 504}
_AGAIN = (b"retry-after", b"1")


class Gateway:
    """The ASGI application."""

    def __init__(self, routes: Routes, watch: Callable[[], list[str]] | None = None) -> None:
        """Serve ``routes``; ``watch`` names use cases to mount whenever it is asked (it may block and may raise)."""
        self._routes = routes
        self._watch = watch
        self._metrics = GatewayMetrics()
        self._tasks: list[asyncio.Task[None]] = []
        self._documents: tuple[int, bytes, bytes] = (0, b"", b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        route = self._routes.by_path.get(scope["path"])
        if route is None:
            await self._page(scope, send)
            return
        started = time.perf_counter()
        try:
            body = await self._ask(route, scope, receive)
        except Refusal as refusal:
            status = refusal.status
            content = {"error": {"code": refusal.code, "message": str(refusal)}}
            await _reply(send, status, json.dumps(content).encode(), _JSON, *refusal.headers)
        else:
            status = 200
            await _reply(send, status, body, _JSON)
        self._metrics.observe(route.path, status, time.perf_counter() - started)

    async def _ask(self, route: Route, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] != "POST":
            raise Refusal(405, "method_not_allowed", f"{route.path} is asked with POST", (b"allow", b"POST"))
        content = await _question(scope, receive)
        try:
            request = route.adapter.validate_json(content)
            row = route.api.to_features(request)
        except ValidationError as error:
            raise _invalid(error) from None
        except ValueError as error:
            raise Refusal(422, "invalid", str(error)) from None
        if route.in_flight >= MOST_IN_FLIGHT:
            raise Refusal(503, "busy", "too many questions at once", _AGAIN)
        route.in_flight += 1
        try:
            prediction, version = await route.inference.ask(route.pack(row))
        except InferenceError as error:
            status = _INFERENCE_STATUS.get(error.code, 503)
            raise Refusal(status, error.code, f"{route.environment}: {error}", _AGAIN) from error
        finally:
            route.in_flight -= 1
        answer: str = route.api.to_answer(prediction, version).model_dump_json()
        return answer.encode()

    async def _page(self, scope: Scope, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path not in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
            known = ", ".join([*self._routes.by_path, "/docs"])
            content = {"error": {"code": "not_found", "message": f"no route {path[:100]!r}; there are {known}"}}
            await _reply(send, 404, json.dumps(content).encode(), _JSON)
        elif method not in ("GET", "HEAD"):
            content = {"error": {"code": "method_not_allowed", "message": f"{path} is read with GET"}}
            await _reply(send, 405, json.dumps(content).encode(), _JSON, (b"allow", b"GET"))
        elif path == "/healthz":
            await _reply(send, 200, b'{"status": "ok"}', _JSON)
        elif path == "/readyz":
            await self._readyz(send)
        elif path == "/metrics":
            await _reply(send, 200, self._metrics.text(), (b"content-type", b"text/plain; version=0.0.4"))
        else:
            await self._document(scope, send)

    async def _readyz(self, send: Send) -> None:
        routes = [each for each in self._routes.by_path.values() if each.environment == "production"]
        ready = await asyncio.gather(*(each.inference.ready(each.model) for each in routes))
        models = {each.model: yes for each, yes in zip(routes, ready, strict=True)}
        status = 200 if models and all(ready) else 503
        await _reply(send, status, json.dumps({"ready": status == 200, "models": models}).encode(), _JSON)  # noqa: PLR2004

    async def _document(self, scope: Scope, send: Send) -> None:
        path = scope["path"]
        count = len(self._routes.by_path)
        if self._documents[0] != count:
            found = openapi.document(self._routes.described())
            address = "{}:{}".format(*scope["server"])
            self._documents = (count, json.dumps(found).encode(), openapi.page(found, address).encode())
        if path == "/docs":
            policy = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
            await _reply(send, 200, self._documents[2], (b"content-type", b"text/html; charset=utf-8"), policy)
        else:
            await _reply(send, 200, self._documents[1], _JSON)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._tasks = [asyncio.create_task(self._mount())] if self._watch else []
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in self._tasks:
                    task.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _mount(self) -> None:
        """Mount what the ledger names, again and again; what cannot be mounted is said once."""
        refused: set[str] = set()
        while self._watch is not None:
            with contextlib.suppress(TiphysError):
                for name in await asyncio.to_thread(self._watch):
                    if name in refused:
                        continue
                    try:
                        if self._routes.mount(name):
                            log.info("mounted use case %s", name)
                    except Exception as error:  # noqa: BLE001 - one broken use case must not take the others along
                        refused.add(name)
                        log.warning("cannot mount use case %s: %s", name, error)
            await asyncio.sleep(_WATCH_SECONDS)


async def _question(scope: Scope, receive: Receive) -> bytes:
    kind = length = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = value
    if kind.partition(b";")[0].strip().lower() != b"application/json":
        raise Refusal(415, "unsupported_media_type", "send the question as Content-Type: application/json")
    if length.isdigit() and int(length) > BODY_CAP:
        raise _too_large()
    message = await receive() if length else await _soon(receive)
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await _soon(receive)
        body += message.get("body", b"")
        if len(body) > BODY_CAP:
            raise _too_large()
    if len(body) > BODY_CAP:
        raise _too_large()
    return body


async def _soon(receive: Receive) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await receive()
    except TimeoutError:
        raise Refusal(408, "timeout", f"the question did not arrive within {BODY_SECONDS:.0f} s") from None


def _too_large() -> Refusal:
    return Refusal(413, "too_large", f"a question has at most {BODY_CAP} bytes", (b"connection", b"close"))


def _invalid(error: ValidationError) -> Refusal:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return Refusal(400, "no_json", f"the body is no JSON: {found[0]['msg']}")
    listed = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'question'}: {each['msg']}" for each in found[:10])
    return Refusal(422, "invalid", listed[:2000])


async def _reply(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


def _ledger_names(ledger: LedgerClient) -> Callable[[], list[str]]:
    def names() -> list[str]:
        return [name for each in ENVIRONMENTS for name in ledger.current(each).releases]

    return names


async def serve() -> None:
    """Serve until stopped."""
    import uvicorn  # noqa: PLC0415 - only the server needs it

    settings, serving, ledger = load(GatewaySettings), load(ServingSettings), load(LedgerSettings)
    addresses = {"staging": serving.staging_grpc, "production": serving.production_grpc}
    routes = Routes({name: Inference(address, ANSWER_SECONDS) for name, address in addresses.items()})
    for name in filter(None, (each.strip() for each in settings.use_cases.split(","))):
        routes.mount(name)
    watch = _ledger_names(LedgerClient(ledger)) if ledger.token else None
    server = uvicorn.Server(
        uvicorn.Config(
            Gateway(routes, watch),
            host=load(ListenSettings).bind,
            port=settings.port,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=3,
            log_level="warning",
        )
    )
    await server.serve()


def main() -> None:
    """Run the event loop."""
    import uvloop  # noqa: PLC0415 - only the server needs it

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    uvloop.run(serve())


if __name__ == "__main__":
    main()
