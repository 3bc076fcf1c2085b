"""The gateway put together: ports, routes, arms, spool; mounts what it is told to and what the agents name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.gateway import admin, pages
from tiphys.serving.gateway.admission import Admission, Paced
from tiphys.serving.gateway.arms import Arms, Environment, Subject
from tiphys.serving.gateway.batches import Batch
from tiphys.serving.gateway.documents import Described, Kind
from tiphys.serving.gateway.fallback import Fallbacks
from tiphys.serving.gateway.feedback import Feedback
from tiphys.serving.gateway.grpc_door import GrpcDoor
from tiphys.serving.gateway.keys import RIDERS, TESTERS, Keys
from tiphys.serving.gateway.messages import Request, Response
from tiphys.serving.gateway.metrics import Metrics
from tiphys.serving.gateway.predictions import Ids, Predictions
from tiphys.serving.gateway.questions import Question
from tiphys.serving.gateway.quotas import Quotas
from tiphys.serving.gateway.recents import Look, Recents
from tiphys.serving.gateway.routing import Router
from tiphys.serving.gateway.server import HttpServer
from tiphys.serving.gateway.spool import Spool
from tiphys.serving.gateway.switchboard import Switchboard
from tiphys.serving.gateway.terms import (
    BATCH_SECONDS,
    BATCHES_IN_FLIGHT,
    LEAST_IN_FLIGHT,
    QUESTIONS_IN_FLIGHT,
    Terms,
)
from tiphys.serving.gateway.v2 import V2Door
from tiphys.serving.gateway.v2_desk import Desk
from tiphys.serving.routes import PREFIXES
from tiphys.usecase import UseCase

DEADLINE_SECONDS = 1.0
"""Longest that an answer may take where the use case does not say."""
PACE = 0.6
"""Share of the SLO's p95 that an answer may take here before fewer questions are let in: the rest is for the way to and from."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where everything is: addresses as HOST:PORT by environment."""

    tritons: Mapping[str, str]
    agents: Mapping[str, str]
    state: Path
    bind: str = "127.0.0.1"
    port: int = 0
    admin_port: int = 0
    grpc_port: int = 0
    grpc_tritons: Mapping[str, str] = field(default_factory=dict)
    """The same Tritons over gRPC; that door stays shut without them."""


@dataclass
class Gateway:
    """One gateway; to be made inside the event loop."""

    places: Places
    keys: Keys
    admin_token: str
    spool: Spool
    use_cases: Iterable[str] = ()
    look: Look | None = None
    """Reads the files of live features; without it they are at their fallbacks."""
    arms: Arms = field(init=False)

    def __post_init__(self) -> None:
        """Put the parts together; nothing listens yet."""
        self.switchboard = Switchboard()
        self._admin = Switchboard()
        self.arms = Arms(self.places.tritons, self.places.agents, self.places.state / "arms")
        self._recents = Recents(self.look or (lambda _address, _had: None), self.places.state / "recent")
        self.metrics = Metrics(self._gauges, self._recents.inputs)
        self.fallbacks = Fallbacks(self.places.state / "fallback")
        self._quotas = Quotas(self.keys, self.places.state / "quotas.json")
        self._ids = Ids()
        self._started = datetime.now(UTC)
        self._mounted: dict[str, UseCase] = {}
        self._unmountable: set[str] = set()
        self._described: list[Described] = []
        self._routers: list[Router] = []
        for name in self.use_cases:
            self._mount(name)
        self._mount_pages()
        self._desk = Desk(self.arms, self.metrics)
        door = V2Door(self._desk, self.keys)
        for prefix in ("", "/canary", "/staging"):
            self.switchboard.mount(f"{prefix}/v2", door)
            self.switchboard.mount_below(f"{prefix}/v2/", door)
        self._grpc: GrpcDoor | None = None
        self._server = HttpServer(self.switchboard)
        self._admin_server = HttpServer(self._admin)
        self.arms.listen(self._changed)

    async def start(self) -> tuple[int, int]:
        """Listen; returns the ports of riders and of admins."""
        await self.fallbacks.start()
        self.arms.start()
        self.spool.start()
        self._recents.start()
        self._quotas.start()
        port = await self._server.start(self.places.bind, self.places.port)
        admin_port = await self._admin_server.start(self.places.bind, self.places.admin_port)
        if self.places.grpc_tritons:
            self._grpc = GrpcDoor(self._desk, self.keys, self.places.grpc_tritons)
            await self._grpc.start(self.places.bind, self.places.grpc_port)
        return port, admin_port

    async def stop(self, grace: float = 5.0) -> None:
        """Answer what is in flight, land what can be landed, and end."""
        doors = [self._server.stop(grace), *([self._grpc.stop(grace)] if self._grpc else [])]
        await asyncio.gather(*doors)
        await self._admin_server.stop(0.5)
        await self.arms.stop()
        await self.fallbacks.stop()
        await self._recents.stop()
        await self._quotas.stop()
        await asyncio.to_thread(self.spool.stop)

    def _changed(self, environment: Environment) -> None:
        for served in environment.page.models.values():
            self._mount_kindly(served.use_case)
        self.fallbacks.changed(environment)

    def _mount_kindly(self, name: str) -> None:
        """Mount what an agent names; one broken use case must not take the others along."""
        if name in self._mounted or name in self._unmountable:
            return
        try:
            self._mount(name)
        except Exception as error:  # noqa: BLE001 - a use case is anybody's code
            self._unmountable.add(name)
            log.warning("cannot mount use case %s: %s", name, error)

    def _mount(self, name: str) -> None:
        use_case = UseCase(name)
        api, model = use_case.api, use_case.name
        subject = Subject(model, use_case.features, use_case.target.name)
        self.fallbacks.mount(use_case)
        live = self._recents.mount(use_case)
        deadline = deadline_of(use_case)
        predictions = Predictions(self.spool, model)
        for environment in ENVIRONMENTS:
            router = Router(
                model, environment, arms=self.arms, fallbacks=self.fallbacks, predictions=predictions, ids=self._ids
            )
            self._routers.append(router)
            roles = RIDERS if environment == "production" else TESTERS
            path = f"{PREFIXES[environment]}{api.route}"
            traffic = self.metrics.route(path)
            terms = Terms(self.keys, roles, deadline, places_of(use_case))
            question = Question(api, router=router, terms=terms, traffic=traffic, predictions=predictions, live=live)
            self.switchboard.mount(path, question)
            self._describe(path, "question", environment, use_case)
            path, terms = f"{path}/batch", Terms(self.keys, roles, BATCH_SECONDS, Admission(BATCHES_IN_FLIGHT))
            traffic = self.metrics.route(path)
            batch = Batch(api, router=router, terms=terms, traffic=traffic, predictions=predictions, live=live)
            self.switchboard.mount(path, batch)
            self._describe(path, "batch", environment, use_case)
        path = f"{PREFIXES['production']}{api.route}/feedback"
        terms = Terms(self.keys, RIDERS, deadline, Admission(QUESTIONS_IN_FLIGHT))
        feedback = Feedback(terms=terms, traffic=self.metrics.route(path), predictions=predictions)
        self.switchboard.mount(path, feedback)
        self._describe(path, "feedback", "production", use_case)
        self._mounted[name] = self._mounted[use_case.package] = use_case
        self.arms.mount(subject)
        log.info("mounted use case %s as %s", name, api.route)

    def _describe(self, path: str, kind: Kind, environment: str, use_case: UseCase) -> None:
        self._described.append(Described(path, kind, environment, use_case.name, use_case.api))

    def described(self) -> list[Described]:
        """Every typed route, production first."""
        order = {"production": 0, "canary": 1, "staging": 2}
        return sorted(self._described, key=lambda each: (order[each.environment], each.use_case))

    def _mount_pages(self) -> None:
        shown = pages.Documents(self.described)
        self.switchboard.mount("/healthz", pages.Page(pages.health))
        self.switchboard.mount("/readyz", pages.Page(pages.readiness(self._knows, self._how_answered)))
        self.switchboard.mount("/openapi.json", pages.Page(shown.document))
        self.switchboard.mount("/docs", pages.Page(shown.page))
        self._admin.mount("/admin/v1/arms", admin.AdminPage(self.admin_token, self._arms_page))
        self._admin.mount("/admin/v1/routes", admin.AdminPage(self.admin_token, self._routes_page))
        self._admin.mount("/metrics", admin.AdminPage(self.admin_token, self._metrics_page))

    def _knows(self) -> bool:
        """Whether what production serves is known, from its agent or from the page that it gave before a restart."""
        production = self.arms.environments["production"]
        return bool(production.reached or production.page.models)

    def _how_answered(self) -> dict[str, str]:
        found = {}
        for use_case in set(self._mounted.values()):
            arm = self.arms.arm("production", use_case.name)
            if arm is not None and arm.breaker.state == "closed":
                found[use_case.name] = "model"
            else:
                found[use_case.name] = "status_quo" if self.fallbacks.of(use_case.name) else ""
        return found

    async def _arms_page(self, request: Request) -> Response:
        counts = await asyncio.to_thread(self.spool.counts)
        only = admin.wanted(request, "use_case").rpartition(".")[2]
        listed: list[dict[str, Any]] = [
            {"arm": environment, "use_case": model, "version": version, "generation": generation, **figures.document()}
            for environment, model, version, generation, figures in self.arms.figures()
            if not only or model == only
        ]
        breakers = {
            environment.name: {
                model: {"state": arm.breaker.state, "opened": arm.breaker.opened, "version": arm.version}
                for model, arm in environment.arms.items()
            }
            for environment in self.arms.environments.values()
        }
        return admin.as_json(
            {
                "started": self._started.isoformat(),
                "now": datetime.now(UTC).isoformat(),
                "arms": listed,
                "breakers": breakers,
                "spool": {
                    "written": counts.written, "landed": counts.landed, "dropped": counts.dropped,
                    "waiting": counts.waiting,
                },
            }
        )  # fmt: skip

    async def _routes_page(self, _request: Request) -> Response:
        listed = [
            {"path": each.path, "kind": each.kind, "environment": each.environment, "use_case": each.use_case}
            for each in self.described()
        ]
        serving = {
            name: {
                "agent": environment.agent.address,
                "agent_answers": environment.reached,
                "triton": environment.upstream.address,
                "models": {model: arm.served.model_dump(mode="json") for model, arm in environment.arms.items()},
            }
            for name, environment in self.arms.environments.items()
        }
        return admin.as_json({"routes": listed, "environments": serving})

    async def _metrics_page(self, _request: Request) -> Response:
        text = await asyncio.to_thread(self.metrics.text)
        return Response(200, text, b"text/plain; version=0.0.4; charset=utf-8")

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        counts = self.spool.counts()
        yield "tiphys_gateway_log_written_total", "Lines of the prediction log.", counts.written
        yield "tiphys_gateway_log_landed_total", "Lines that are on S3.", counts.landed
        yield "tiphys_gateway_log_dropped_total", "Lines that were dropped for want of room.", counts.dropped
        yield "tiphys_gateway_log_waiting", "Lines that wait to be landed.", counts.waiting
        dropped = sum(each.shadows_dropped for each in self._routers)
        yield "tiphys_gateway_shadows_dropped_total", "Shadow questions not asked: too many waited.", dropped
        yield "tiphys_gateway_connections", "Connections of riders.", self._server.connections
        yield "tiphys_gateway_connections_refused_total", "Connections turned away.", self._server.refused
        yield "tiphys_gateway_up_seconds", "Since the start.", time.time() - self._started.timestamp()


def deadline_of(use_case: UseCase) -> float:
    """Seconds after which an answer is worth nothing: the use case's SLO, else a second."""
    slo = getattr(use_case.part("slo"), "SLO", None)
    return DEADLINE_SECONDS if slo is None else float(slo.deadline_ms) / 1000.0


def places_of(use_case: UseCase) -> Admission:
    """How many questions may be in flight: paced by the SLO, never fewer than it promises; fixed where there is none.

    It begins with as many as come while a model that hangs is waited for: refused is who would have got the status quo else.
    """
    slo = getattr(use_case.part("slo"), "SLO", None)
    if slo is None:
        return Admission(QUESTIONS_IN_FLIGHT)
    promised = min(QUESTIONS_IN_FLIGHT, max(LEAST_IN_FLIGHT, int(slo.concurrency)))
    begin = max(2 * promised, int(slo.rate * slo.deadline_ms / 1000.0))
    return Paced(QUESTIONS_IN_FLIGHT, promised, PACE * float(slo.p95_ms) / 1000.0, begin)
