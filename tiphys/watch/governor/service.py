"""The governor's routes.

=============================== ======================================================================================
``POST /v1/alerts``             an alert or a request as a Standard Webhook: 201 it is kept, 200 its id was there; the record
``POST /v1/alertmanager``       Alertmanager's message, with a token: the records of the alerts in it that fire
``GET /v1/events``              newest first, with their decisions; ``?use_case=&limit=``
``GET /v1/events/ID``           one of them; how the id begins is enough where only one begins so
``GET /v1/decisions``           the latest first; ``?use_case=&verdict=yes|no&limit=``
``POST /v1/trainings/RUN/claim`` by a run's first step: 200 a yes started it, and it alone; 409 none did, and why not
``POST /v1/figures``            monitor's figures of drift in Prometheus' text format, signed as an alert is
``GET /metrics/drift``          the latest of them of each use case, without a token
``GET /healthz``, ``/metrics``  for supervisors, without a token
=============================== ======================================================================================

What was answered with 201 or 200 is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tiphys.errors import DataError, RetryableError
from tiphys.service.answers import as_json, away, limit, misfit, read_body, read_bytes, refused
from tiphys.watch import webhooks
from tiphys.watch.governor import alertmanager, figures, receive
from tiphys.watch.governor.claims import Claim, complaint
from tiphys.watch.governor.store import FullError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from tiphys.watch.governor.clock import Clock
    from tiphys.watch.governor.desk import Desk
    from tiphys.watch.governor.senders import Door, TokenRole
    from tiphys.watch.governor.store import Store
    from tiphys.watch.governor_client import Told

BODY_WITHIN = 10.0
"""Seconds that a sender has for its body."""

log = logging.getLogger(__name__)


class Service:
    """The routes, on one store and one desk."""

    def __init__(self, store: Store, desk: Desk, clock: Clock, door: Door) -> None:
        """Take what ``door`` lets in; ``desk`` decides, over a connection of its own."""
        self._store, self._desk, self._clock, self._door = store, desk, clock, door
        self._counts: Counter[str] = Counter()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/alerts", self._alert, methods=["POST"]),
                Route("/v1/alertmanager", self._alertmanager, methods=["POST"]),
                Route("/v1/events", self._events, methods=["GET"]),
                Route("/v1/events/{id}", self._event, methods=["GET"]),
                Route("/v1/decisions", self._decisions, methods=["GET"]),
                Route("/v1/trainings/{run}/claim", self._claim, methods=["POST"]),
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/v1/figures", self._figures, methods=["POST"]),
                Route("/metrics/drift", self._drift, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
            ],
            exception_handlers={
                HTTPException: refused, receive.RefusedError: self._refuse, FullError: full, DataError: misfit, RetryableError: away,
            },
            lifespan=self._lifespan,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        deciding = asyncio.create_task(self._desk.run())
        yield
        deciding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await deciding
        await self._store.close()

    async def _alert(self, request: Request) -> Response:
        body = await self._body(request)
        received = receive.webhook(request.headers, body, self._door.secrets, time.time())
        told, is_new = (await self._keep([received]))[0]
        return as_json(told, 201 if is_new else 200)

    async def _alertmanager(self, request: Request) -> Response:
        if self._door.tokens.role(request.headers.get("authorization", "")) != "alertmanager":
            raise HTTPException(
                401, "Alertmanager's messages want its token: Authorization: Bearer TOKEN, or as a password"
            )
        body = await self._body(request)
        found = alertmanager.alerts(receive.parsed(body), "alertmanager")
        kept = await self._keep(found)
        return JSONResponse({"events": [told.model_dump(mode="json") for told, _ in kept]})

    async def _figures(self, request: Request) -> Response:
        body = await self._body(request, figures.CAP)
        _, sender, sent = receive.signed(request.headers, body, self._door.secrets, time.time())
        if sender.trigger != "alert":
            raise receive.RefusedError("not_allowed", f"the secret of {sender.name} may send no figures")
        self._slow_down(sender.name)
        await self._store.keep_figures(figures.use_case_of(body), body.decode(), sent)
        return JSONResponse({}, 201)

    async def _drift(self, _request: Request) -> Response:
        return PlainTextResponse(figures.together(await self._store.figures()))

    async def _body(self, request: Request, cap: int = webhooks.BODY_CAP) -> bytes:
        """The body, bounded in bytes and in time."""
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPException(415, "the body must be sent as it is, without a content encoding")
        length = request.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:12]) > cap:
            raise HTTPException(413, f"the body is larger than {cap} bytes")
        try:
            async with asyncio.timeout(BODY_WITHIN):
                return await read_bytes(request, cap)
        except TimeoutError:
            raise HTTPException(408, f"the body did not come within {BODY_WITHIN:.0f} s") from None

    async def _keep(self, found: list[receive.Received]) -> list[tuple[Told, bool]]:
        """Keep events, in order; each is on the disk when this returns."""
        if found:
            self._slow_down(found[0].sender, len(found))
        kept = []
        for each in found:
            told, is_new = await self._store.add(each, self._clock.now())
            if not is_new and told.body != each.event.model_dump(mode="json", exclude_none=True):
                self._count("differing", each.sender)
                log.warning("%s came again as another event: the first counts", each.id)
            self._count("received" if is_new else "duplicates", each.sender)
            kept.append((told, is_new))
        self._desk.wake()
        return kept

    def _slow_down(self, sender: str, events: int = 1) -> None:
        if wait := self._door.rates.wait(sender, events):
            self._count("refused", "rate")
            headers = {"Retry-After": str(int(wait) + 1)}
            raise HTTPException(429, f"{sender} sends more events than it may: wait {wait:.0f} s", headers)

    async def _events(self, request: Request) -> Response:
        self._enter(request)
        listed = await self._store.events(limit(request), request.query_params.get("use_case", ""))
        found = [self._explained(each) for each in listed]
        return JSONResponse({"events": [each.model_dump(mode="json") for each in found]})

    async def _event(self, request: Request) -> Response:
        self._enter(request)
        identity = request.path_params["id"]
        found = await self._store.event(identity)
        several = [found] if found else await self._store.beginning(identity)
        if len(several) != 1:
            text = "no event has that id" if not several else "several events have ids that begin so"
            raise HTTPException(404, text)
        return as_json(self._explained(several[0]))

    async def _decisions(self, request: Request) -> Response:
        self._enter(request)
        wanted = (request.query_params.get(name, "") for name in ("use_case", "verdict"))
        found = await self._store.decisions(limit(request), *wanted)
        return JSONResponse({"decisions": [each.model_dump(mode="json") for each in found]})

    async def _claim(self, request: Request) -> Response:
        """Looked at again after it is written: of two runs at once one has it."""
        self._enter(request, "claim")
        run, claim = request.path_params["run"], await read_body(request, Claim)
        meant = await self._store.meant(run)
        why = complaint(claim, meant, run)
        if meant is not None and not why:
            await self._store.claim(meant, claim.uid)
            why = complaint(claim, await self._store.meant(run), run)
        if meant is None or why:
            self._count("refused", "unclaimed")
            log.warning("claim refused: %s", why)
            raise HTTPException(409, why)
        return JSONResponse({"event": meant.event, "reason": meant.reason})

    async def _healthz(self, _request: Request) -> Response:
        await self._store.ready()
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _request: Request) -> Response:
        counts = await self._store.counts()
        lines = [f"tiphys_governor_{name} {count}\n" for name, count in counts.items()]
        lines += [f"{name} {count}\n" for name, count in sorted({**self._counts, **self._desk.counts}.items())]
        return PlainTextResponse("".join(lines))

    def _explained(self, told: Told) -> Told:
        """With what it waits for, if it waits."""
        why = self._desk.why_waiting.get(told.id) if told.verdict == "wait" else None
        return told.model_copy(update={"reason": why}) if why else told

    def _enter(self, request: Request, role: TokenRole = "read") -> None:
        if self._door.tokens.role(request.headers.get("authorization", "")) != role:
            raise HTTPException(401, "the governor wants a token it knows for that: Authorization: Bearer TOKEN")

    async def _refuse(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, receive.RefusedError)  # noqa: S101 - registered for nothing else
        self._count("refused", error.why)
        return JSONResponse({"error": {"code": error.why, "message": str(error)}}, error.status)

    def _count(self, what: str, label: str) -> None:
        name = "why" if what == "refused" else "sender"
        self._counts[f'tiphys_governor_events_{what}_total{{{name}="{label}"}}'] += 1


async def full(_request: Request, error: Exception) -> Response:
    """Answer while too many events wait."""
    return JSONResponse({"error": {"code": "too_many", "message": str(error)}}, 503, {"Retry-After": "5"})
