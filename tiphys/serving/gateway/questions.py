"""``POST /v1/ROUTE``: one question. Nothing is awaited on its way: each step calls the next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from tiphys.serving.gateway.admission import Admission
from tiphys.serving.gateway.keys import logged_as, take
from tiphys.serving.gateway.messages import JSON, Request, Response, internal_error, refusal
from tiphys.serving.gateway.routing import Found, Journey, Router, Unanswered
from tiphys.serving.gateway.terms import QUESTION_CAP, STATUS, Terms, invalid, prediction_of, sticky
from tiphys.usecase import Api

if TYPE_CHECKING:
    from tiphys.serving.gateway.exchange import Exchange
    from tiphys.serving.gateway.metrics import Traffic
    from tiphys.serving.gateway.predictions import Predictions
    from tiphys.serving.gateway.recents import LiveInput

_OK = 200

log = logging.getLogger(__name__)


class Question:
    """One use case's route in one environment."""

    def __init__(  # noqa: PLR0913 - what a route is made of
        self, api: Api, *, router: Router, terms: Terms, traffic: Traffic, predictions: Predictions,
        live: LiveInput | None = None,
    ) -> None:  # fmt: skip
        """Answer with ``router``; what nobody who asks can know comes from ``live``."""
        self._validate = TypeAdapter[Any](api.request).validate_json
        self._api = api
        self._router = router
        self._terms = terms
        self._traffic = traffic
        self._predictions = predictions
        self._live = live
        self._now = asyncio.get_running_loop().time

    def accept(self, request: Request) -> int | Response:
        """Check key, rate and places, so that what cannot be answered costs little."""
        refused = self._terms.refuse(request) or take(request, 1, request.arrived)
        if refused is None:
            return QUESTION_CAP
        self._traffic.count(refused.status, self._now() - request.arrived)
        return refused

    def answer(self, exchange: Exchange) -> None:
        """Check the question and ask."""
        request, admission = exchange.request, self._terms.admission
        refused = admission.full()
        if refused is not None:
            self._reply(exchange, refused)
            return
        try:
            features = self._api.to_features(self._validate(request.body))
        except ValidationError as error:
            self._reply(exchange, invalid(error))
            return
        except ValueError as error:
            self._reply(exchange, refusal(422, "invalid", str(error)))
            return
        self._ask(exchange, features)

    def _ask(self, exchange: Exchange, features: dict[str, int | float]) -> None:
        request, admission = exchange.request, self._terms.admission
        admission.enter()
        told = b"" if self._live is None else self._live.fill(features)

        def done(journey: Journey, outcome: Found | Unanswered) -> None:
            admission.leave()
            if (
                isinstance(outcome, Found) and outcome.arm == self._router.environment
            ):  # a slow canary takes no places away
                admission.learn(self._now() - journey.asked)
            exchange.on_gone = None
            try:
                response = self._answered(request, journey, outcome, told)
            except Exception:
                log.exception("%s cannot put its answer into words", request.path)
                response = internal_error()
            self._reply(exchange, response)

        try:
            journey = self._router.ask(
                features,
                asker=logged_as(request),
                sticky=sticky(request),
                deadline=self._terms.until(request),
                due=self._terms.deadline,
                done=done,
            )
        except ValueError as error:
            admission.leave()
            self._reply(exchange, refusal(422, "invalid", str(error)))
            return
        if journey.open:
            exchange.on_gone = _leave(journey, admission)

    def _answered(self, request: Request, journey: Journey, outcome: Found | Unanswered, told: bytes) -> Response:
        if isinstance(outcome, Unanswered):
            status, headers = STATUS[outcome.why]
            return refusal(status, outcome.why, outcome.message, headers)
        self._traffic.answered_by(outcome.arm)
        self._predictions.answered(
            journey.identity, arm=outcome.arm, version=outcome.version, asker=journey.asker,
            latency_ms=1000.0 * (self._now() - request.arrived), wall=time.time(), features=journey.features,
            reading=outcome.reading,
        )  # fmt: skip
        answer = self._api.to_answer(prediction_of(outcome, journey.identity))
        headers = b"%sx-tiphys-prediction: %s\r\n%s" % (outcome.headers, journey.identity.encode(), told)
        return Response(_OK, answer.__pydantic_serializer__.to_json(answer), JSON, headers)

    def _reply(self, exchange: Exchange, response: Response) -> None:
        self._traffic.count(response.status, self._now() - exchange.request.arrived)
        exchange.reply(response)


def _leave(journey: Journey, admission: Admission) -> Callable[[], None]:
    def leave() -> None:
        journey.give_up()
        admission.leave()

    return leave
