"""How long the model takes decides how many are let in: its own time, nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.usecases.tiny.api import API
from tests.usecases.tiny.slo import SLO
from tiphys.serving.gateway.admission import Admission, Paced
from tiphys.serving.gateway.app import PACE, places_of
from tiphys.serving.gateway.keys import RIDERS, Keys
from tiphys.serving.gateway.messages import Request, Response
from tiphys.serving.gateway.questions import Question
from tiphys.serving.gateway.routing import Found
from tiphys.serving.gateway.terms import LEAST_IN_FLIGHT, QUESTIONS_IN_FLIGHT, Terms
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

SLOW = 2 * PACE * SLO.p95_ms / 1000.0
ROUNDS = 20


class Router:
    """Answers when it is told to, as an arm that was asked so many seconds before."""

    environment = "production"

    def __init__(self, arm: str, seconds: float) -> None:
        """Answer from ``arm``."""
        self._arm = arm
        self._seconds = seconds
        self._waiting: list[Callable[[], None]] = []

    def ask(self, features: Any, *, done: Callable[..., None], **_: Any) -> Any:
        """Keep it."""
        asked = asyncio.get_running_loop().time() - self._seconds
        journey = SimpleNamespace(open=True, asked=asked, identity="1", asker="", features=features)
        found = Found(self._arm, "7", (60.0, 50.0, 70.0), b"")
        self._waiting.append(lambda: done(journey, found))
        return journey

    def answer(self) -> None:
        """Answer all."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()


def places_after(arm: str, seconds: float, *, arrived: float = 0.0) -> int:
    """Fill all places some times; how many there are then. Requests' heads came ``arrived`` seconds before their bodies."""

    async def run() -> int:
        places = places_of(UseCase("tests.usecases.tiny"))
        router = Router(arm, seconds)
        told = SimpleNamespace(count=lambda *_: None, answered_by=lambda _: None, answered=lambda *_, **__: None)
        question = Question(
            API, router=router, terms=Terms(Keys({}), RIDERS, 2.0, places), traffic=told, predictions=told  # type: ignore[arg-type]
        )  # fmt: skip
        for _ in range(ROUNDS):
            replies: list[Response] = []
            while places.full() is None:
                request = Request("POST", "/v1/kettle", "", {}, "", asyncio.get_running_loop().time() - arrived)
                request.body = b'{"litres": 1.0, "celsius": 20}'
                question.answer(SimpleNamespace(request=request, reply=replies.append, on_gone=None))  # type: ignore[arg-type]
            router.answer()
            assert {each.status for each in replies} == {200}
        return places.most

    return asyncio.run(run())


def test_a_slow_model_is_given_fewer_questions() -> None:
    """Down to what the SLO promises."""
    assert places_after("production", SLOW) == max(LEAST_IN_FLIGHT, SLO.concurrency)


def test_a_quick_model_is_given_more() -> None:
    """Each round of all places gives one more."""
    assert places_after("production", 0.0) > _begin()


def test_a_slow_canary_takes_no_places_away() -> None:
    """Riders who never meet it would be refused."""
    assert places_after("canary", SLOW) == _begin()


def test_a_body_that_comes_slowly_is_no_slow_model() -> None:
    """Anybody with a key could take the places of all others away."""
    assert places_after("production", 0.0, arrived=SLOW) > _begin()


def _begin() -> int:
    return places_of(UseCase("tests.usecases.tiny")).most


def test_places_follow_the_slo() -> None:
    """A model that hangs is waited for until the deadline: so many questions come meanwhile. Without an SLO they are fixed."""
    taxi = places_of(UseCase("usecases.taxi_eta"))
    assert isinstance(taxi, Paced)
    assert taxi.most == 100
    fixed = places_of(SimpleNamespace(part=lambda _: None))  # type: ignore[arg-type]
    assert (type(fixed), fixed.most) == (Admission, QUESTIONS_IN_FLIGHT)
