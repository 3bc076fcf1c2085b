"""The release ledger as a service: what should be serving, in which environment, by a small HTTP API.

======================================== ==================================================================
``GET /v1/environments/ENV``             releases, generation, observed; ``?after=G&wait=S`` waits for news
``GET /v1/environments/ENV/releases``    history, newest first; ``?use_case=NAME`` of one use case
``POST /v1/environments/ENV/releases``   a :class:`Wish`: 201 written, 200 was there, 409 with what is there
``GET /v1/environments/ENV/services``    releases of the services themselves, newest first
``POST /v1/environments/ENV/services``   a :class:`ServiceWish`: as for models
``PUT /v1/environments/ENV/observed``    an :class:`Observed`, by the agent
``GET /v1/environments/ENV/outcomes``    what became of each release, newest first
``GET /v1/evidence``                     newest first; ``?use_case=&model_version=&manifest_sha256=&kind=&limit=``
``GET /v1/evidence/newest``              of each kind; ``?manifest_sha256=`` of it, ``&cited=4,7`` and those numbers
``POST /v1/evidence``                    an :class:`Evidence`: 201 written, 200 was there
``POST /v1/passports``                   a :class:`Passport`: its sha256, which a release names it by
``GET /v1/passports/SHA256``             that passport
``GET /healthz``, ``GET /metrics``       for supervisors, without a token
======================================== ==================================================================

Run it with ``python -m tiphys.release.ledger``; one process serves it. It knows nothing of models or their server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tiphys.errors import DataError, RetryableError
from tiphys.release.admission import Admission, digest
from tiphys.release.passport import trusted
from tiphys.release.records import ENVIRONMENTS, Evidence, Observed, Passport, ServiceWish, Wish
from tiphys.release.store import Store
from tiphys.release.tokens import Grant, Tokens, may_observe, may_testify, may_vouch, may_write
from tiphys.service.answers import as_json, away, limit, misfit, number, read_body, refused, serve
from tiphys.settings import LedgerServerSettings, TrustSettings, load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

EVIDENCE_CAP = 128 * 1024
PASSPORT_CAP = 640 * 1024

LONGEST_WAIT = 30.0
"""Most seconds that a reader may wait for news in one request."""

EVIDENCE_LISTED = 200
_DIGITS = 19
"""As many make a number too large for the table."""

log = logging.getLogger(__name__)


class Ledger:
    """The routes of the service, on one store."""

    def __init__(self, store: Store, tokens: Tokens, admission: Admission) -> None:
        """Serve ``store`` to those who have one of ``tokens``, and write what ``admission`` lets in."""
        self._store = store
        self._admission = admission
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
                Route(one + "/outcomes", self._outcomes, methods=["GET"]),
                Route("/v1/evidence", self._evidence, methods=["GET"]),
                Route("/v1/evidence/newest", self._weighed, methods=["GET"]),
                Route("/v1/evidence", self._add_evidence, methods=["POST"]),
                Route("/v1/passports", self._add_passport, methods=["POST"]),
                Route("/v1/passports/{sha256}", self._passport, methods=["GET"]),
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
            ],
            exception_handlers={HTTPException: refused, DataError: misfit, RetryableError: away},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        await self._store.close()

    async def _current(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        after = number(request, "after", -1)
        wait = min(float(number(request, "wait", 0)), LONGEST_WAIT)
        news = self._news[environment]  # taken before reading, so that no release is missed in between
        found = await self._store.current(environment)
        if found.generation <= after and wait > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), wait)
            found = await self._store.current(environment)
        return as_json(found)

    async def _history(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        found = await self._store.history(environment, limit(request), request.query_params.get("use_case", ""))
        return JSONResponse({"releases": [each.model_dump(mode="json") for each in found]})

    async def _release(self, request: Request) -> Response:
        environment, grant = self._enter(request)
        refusal = HTTPException(403, f"a token of {grant} may not release into {environment}")
        if not may_write(grant, environment, "rollback"):
            raise refusal
        wish = await read_body(request, Wish)
        if not may_write(grant, environment, wish.kind):
            raise refusal
        await self._admission.check(environment, wish.release(), grant.role)
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
        return as_json(recorded, 200 if was_there else 201)

    async def _services(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        found = await self._store.services(environment, limit(request))
        return JSONResponse({"services": [each.model_dump(mode="json") for each in found]})

    async def _release_services(self, request: Request) -> Response:
        environment, grant = self._enter(request)
        if not may_write(grant, environment):
            raise HTTPException(403, f"a token of {grant} may not release into {environment}")
        wish = await read_body(request, ServiceWish)
        recorded = await self._store.append_services(environment, wish.expected_generation, wish.release())
        if recorded is None:
            text = f"the services of {environment} are not at generation {wish.expected_generation} any more"
            return JSONResponse({"error": {"code": "conflict", "message": text}}, 409)
        log.info("services of %s %d: %s", environment, recorded.generation, recorded.revision)
        return as_json(recorded, 200 if recorded.generation <= wish.expected_generation else 201)

    async def _observe(self, request: Request) -> Response:
        environment, grant = self._enter(request)
        if not may_observe(grant, environment):
            text = f"a token of {grant} may not report what {environment} serves; its agent does"
            raise HTTPException(403, text)
        observed = await read_body(request, Observed)
        await self._store.observe(environment, observed)
        return Response(status_code=204)

    async def _outcomes(self, request: Request) -> Response:
        environment, _ = self._enter(request)
        found = await self._store.outcomes(environment, limit(request))
        return JSONResponse({"outcomes": [each.model_dump(mode="json") for each in found]})

    async def _evidence(self, request: Request) -> Response:
        self._grant(request)
        wanted = ("use_case", "model_version", "manifest_sha256", "kind")
        given = {name: text for name in wanted if (text := request.query_params.get(name))}
        found = await self._store.evidence(limit(request, EVIDENCE_LISTED), **given)
        return JSONResponse({"evidence": [each.model_dump(mode="json") for each in found]})

    async def _weighed(self, request: Request) -> Response:
        self._grant(request)
        cited = [each for each in request.query_params.get("cited", "").split(",") if each][:EVIDENCE_LISTED]
        if not all(each.isascii() and each.isdigit() and len(each) < _DIGITS for each in cited):
            raise HTTPException(422, "cited must be numbers of evidence, with commas")
        found = await self._store.weighed(request.query_params.get("manifest_sha256", ""), [*map(int, cited)])
        return JSONResponse({"evidence": [each.model_dump(mode="json") for each in found]})

    async def _add_evidence(self, request: Request) -> Response:
        grant = self._grant(request)
        if not may_testify(grant):
            raise HTTPException(403, f"a token of {grant} may leave no evidence; steps that test and judge do")
        evidence = await read_body(request, Evidence, EVIDENCE_CAP)
        recorded, is_new = await self._store.add_evidence(evidence)
        word = "held" if recorded.held else "did not hold"
        log.info("evidence %d: %s of %s %s", recorded.number, recorded.kind, recorded.model_version, word)
        return as_json(recorded, 201 if is_new else 200)

    async def _add_passport(self, request: Request) -> Response:
        grant = self._grant(request)
        if not may_vouch(grant):
            raise HTTPException(403, f"a token of {grant} may leave no passports; 'promote' does")
        passport = await read_body(request, Passport, PASSPORT_CAP)
        statement = self._admission.sound(passport)
        recorded = await self._store.add_passport(digest(passport), passport)
        if recorded is None or recorded.passport() != passport:
            raise HTTPException(409, "the ledger has that text signed by another key")
        log.info("passport %s: %s", recorded.sha256, statement.model_version)
        return JSONResponse({"sha256": recorded.sha256}, 201)

    async def _passport(self, request: Request) -> Response:
        self._grant(request)
        found = await self._store.passport(request.path_params["sha256"])
        if found is None:
            raise HTTPException(404, "no passport's text has that sha256")
        return as_json(found.passport())

    async def _healthz(self, _request: Request) -> Response:
        await self._store.ready()
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _request: Request) -> Response:
        lines = [f"{name} {count}\n" for name, count in sorted(self._counts.items())]
        for each in ENVIRONMENTS:
            generation = (await self._store.current(each)).generation
            lines.append(f'tiphys_ledger_generation{{environment="{each}"}} {generation}\n')
        return PlainTextResponse("".join(lines))

    def _grant(self, request: Request) -> Grant:
        grant = self._tokens.grant(request.headers.get("authorization", ""))
        if grant is None:
            raise HTTPException(401, "the ledger wants a token it knows: Authorization: Bearer TOKEN")
        return grant

    def _enter(self, request: Request) -> tuple[str, Grant]:
        grant = self._grant(request)
        environment = request.path_params["environment"]
        if environment not in ENVIRONMENTS:
            raise HTTPException(404, f"no environment {environment!r}; there are {', '.join(ENVIRONMENTS)}")
        return environment, grant

    def _tell(self, environment: str) -> None:
        news, self._news[environment] = self._news[environment], asyncio.Event()
        news.set()


def main() -> None:
    """Serve until stopped."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    settings = load(LedgerServerSettings)
    store = Store(settings.db_url, settings.db_user, settings.db_password)
    keys = trusted(load(TrustSettings).public_keys)
    if not keys:
        log.warning("TIPHYS_PASSPORT_PUBLIC_KEYS is empty: nothing new can be released into production")
    ledger = Ledger(store, Tokens(settings.tokens), Admission(store, keys))
    serve(ledger.app(), settings.port)


if __name__ == "__main__":
    main()
