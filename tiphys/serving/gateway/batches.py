"""``POST /v1/ROUTE/batch``: many questions, answered in their order; rows of single askers go first."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from tiphys.serving.gateway.keys import logged_as, take
from tiphys.serving.gateway.messages import JSON, Request, Response, refusal
from tiphys.serving.gateway.routing import Found, Journey, Router, Unanswered
from tiphys.serving.gateway.terms import BATCH_CAP, MOST_QUESTIONS, STATUS, Terms, invalid, prediction_of, sticky
from tiphys.usecase import Api

if TYPE_CHECKING:
    from tiphys.serving.gateway.exchange import Exchange
    from tiphys.serving.gateway.metrics import Traffic
    from tiphys.serving.gateway.predictions import Predictions
    from tiphys.serving.gateway.recents import LiveInput

_BREATH = 50
"""Questions of a batch that are taken on before other askers get their turn."""
_OK = 200


def batch_of(request: type[BaseModel]) -> type[BaseModel]:
    """The body of a batch: ``{"questions": [...]}``."""
    questions = Annotated[list[request], Field(min_length=1, max_length=MOST_QUESTIONS, description="the questions")]  # type: ignore[valid-type]
    return create_model(f"{request.__name__}s", __config__=ConfigDict(extra="forbid"), questions=(questions, ...))


class Batch:
    """One use case's route in one environment."""

    def __init__(  # noqa: PLR0913 - what a route is made of
        self, api: Api, *, router: Router, terms: Terms, traffic: Traffic, predictions: Predictions,
        live: LiveInput | None = None,
    ) -> None:  # fmt: skip
        """Answer with ``router``; what nobody who asks can know comes from ``live``."""
        self._validate = TypeAdapter[Any](batch_of(api.request)).validate_json
        self._api = api
        self._router = router
        self._terms = terms
        self._traffic = traffic
        self._predictions = predictions
        self._live = live
        self._now = asyncio.get_running_loop().time

    def accept(self, request: Request) -> int | Response:
        """Check key and places."""
        refused = self._terms.refuse(request)
        if refused is None:
            return BATCH_CAP
        self._traffic.count(refused.status, self._now() - request.arrived)
        return refused

    def answer(self, exchange: Exchange) -> None:
        """Answer in a task of its own."""
        exchange.run(self._counted(exchange.request))

    async def _counted(self, request: Request) -> Response:
        admission = self._terms.admission
        response = admission.full()
        if response is None:
            admission.enter()
            try:
                response = await self._answered(request)
            finally:
                admission.leave()
        self._traffic.count(response.status, self._now() - request.arrived)
        return response

    async def _answered(self, request: Request) -> Response:
        try:
            questions = self._validate(request.body).questions
        except ValidationError as error:
            return invalid(error)
        refused = take(request, len(questions), self._now())
        if refused is not None:
            return refused
        gathering = _Gathering(len(questions))
        try:
            for number, question in enumerate(questions):
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
                try:
                    self._ask(request, number, question, gathering)
                except ValueError as error:
                    return refusal(422, "invalid", f"questions.{number}: {error}")
            outcomes = await gathering.all()
        finally:
            gathering.give_up()
        return await self._put_together(request, outcomes)

    def _ask(self, request: Request, number: int, question: Any, gathering: _Gathering) -> None:
        features = self._api.to_features(question)
        if self._live is not None:
            self._live.fill(features)
        journey = self._router.ask(
            features,
            asker=logged_as(request),
            sticky=sticky(request),
            deadline=self._terms.until(request),
            due=self._terms.deadline,
            done=gathering.place(number),
            bulk=True,
        )
        gathering.journeys.append(journey)

    async def _put_together(self, request: Request, outcomes: list[tuple[Journey, Found | Unanswered]]) -> Response:
        parts: list[bytes] = []
        latency = 1000.0 * (self._now() - request.arrived)
        wall = time.time()
        for number, (journey, outcome) in enumerate(outcomes):
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            if isinstance(outcome, Unanswered):
                parts.append(json.dumps({"error": {"code": outcome.why, "message": outcome.message}}).encode())
                continue
            self._traffic.answered_by(outcome.arm)
            self._predictions.answered(
                journey.identity, arm=outcome.arm, version=outcome.version, asker=journey.asker, latency_ms=latency,
                wall=wall, features=journey.features, reading=outcome.reading,
            )  # fmt: skip
            answer = self._api.to_answer(prediction_of(outcome, journey.identity))
            parts.append(answer.__pydantic_serializer__.to_json(answer))
        if all(isinstance(outcome, Unanswered) for _, outcome in outcomes):
            unanswered = outcomes[0][1]
            assert isinstance(unanswered, Unanswered)  # noqa: S101 - all are
            status, headers = STATUS[unanswered.why]
            return refusal(status, unanswered.why, unanswered.message, headers)
        return Response(_OK, b'{"answers":[' + b",".join(parts) + b"]}", JSON)


class _Gathering:
    """The outcomes of a batch, until all are there."""

    def __init__(self, count: int) -> None:
        self.journeys: list[Journey] = []
        self._outcomes: list[tuple[Journey, Found | Unanswered] | None] = [None] * count
        self._missing = count
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def place(self, number: int) -> Callable[[Journey, Found | Unanswered], None]:
        """Where the outcome of one question goes."""

        def done(journey: Journey, outcome: Found | Unanswered) -> None:
            self._outcomes[number] = journey, outcome
            self._missing -= 1
            if not self._missing and not self._complete.done():
                self._complete.set_result(None)

        return done

    async def all(self) -> list[tuple[Journey, Found | Unanswered]]:
        await self._complete
        return [each for each in self._outcomes if each is not None]

    def give_up(self) -> None:
        for each in self.journeys:
            each.give_up()
