"""``POST /v1/ROUTE/feedback``: what came of an answer; taken down at once, looked at later."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from tiphys.serving.gateway.keys import logged_as, take
from tiphys.serving.gateway.messages import Request, Response
from tiphys.serving.gateway.terms import QUESTION_CAP, Terms, invalid

if TYPE_CHECKING:
    from tiphys.serving.gateway.exchange import Exchange
    from tiphys.serving.gateway.metrics import Traffic
    from tiphys.serving.gateway.predictions import Predictions

MOST_FACTS = 16

FactName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Outcome(BaseModel):
    """What really happened, for an answer that was given before."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(
        description="the answer's prediction_id", examples=["0193a5b7c1d2700080009f3c6a7b8c9d"]
    )
    actual: Finite = Field(description="the true value, in the unit of the answer", examples=[1260.0])
    at: AwareDatetime | None = Field(None, description="when it became known, ISO 8601 with a zone; now if left out")
    facts: dict[FactName, Finite] = Field(
        default_factory=dict,
        max_length=MOST_FACTS,
        description="what else is known now, such as the miles of a ride: name -> number",
        examples=[{"miles": 8.4}],
    )


class Feedback:
    """One use case's route."""

    def __init__(self, *, terms: Terms, traffic: Traffic, predictions: Predictions) -> None:
        """Write to ``predictions``."""
        self._validate = TypeAdapter(Outcome).validate_json
        self._terms = terms
        self._traffic = traffic
        self._predictions = predictions
        self._now = asyncio.get_running_loop().time

    def accept(self, request: Request) -> int | Response:
        """Check key and rate."""
        refused = self._terms.refuse(request) or take(request, 1, request.arrived)
        if refused is None:
            return QUESTION_CAP
        self._traffic.count(refused.status, self._now() - request.arrived)
        return refused

    def answer(self, exchange: Exchange) -> None:
        """Take it down."""
        response = self._taken(exchange.request)
        self._traffic.count(response.status, self._now() - exchange.request.arrived)
        exchange.reply(response)

    def _taken(self, request: Request) -> Response:
        try:
            outcome = self._validate(request.body)
        except ValidationError as error:
            return invalid(error)
        self._predictions.fed_back(
            outcome.prediction_id,
            at=None if outcome.at is None else outcome.at.isoformat(),
            actual=outcome.actual,
            asker=logged_as(request),
            wall=time.time(),
            facts=outcome.facts,
        )
        return Response(202, b'{"accepted": true}')
