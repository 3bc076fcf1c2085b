"""Artificial riders: whose rides they ask about, and that everyone of the built-in use case has a story and some rides."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from components.canary.riders import Riders, personas, rides
from tests.usecases.tiny.personas import PERSONAS
from tiphys.errors import DataError
from tiphys.serving.gateway_client import Reply
from tiphys.usecase import Examples, UseCase

if TYPE_CHECKING:
    from tiphys.usecase import Array

pytestmark = pytest.mark.unit
TINY = UseCase("tests.usecases.tiny")
TAXI = UseCase("taxi_eta")


def boilings(count: int, litres: float | None = None) -> Examples:
    """Held-out rows of the second use case."""
    chance = np.random.default_rng(1)
    water = chance.uniform(0.2, 2.0, count) if litres is None else np.full(count, litres)
    celsius = np.full(count, 20, np.int64)
    features: dict[str, Array] = {"litres": water.astype(np.float32), "celsius": celsius}
    return Examples(features, np.arange(count, dtype=np.float32), np.zeros(count, np.int32))


def test_no_ride_is_asked_about_twice_and_all_are_somebodys() -> None:
    """Hosts boil much and ask twice, tea drinkers boil little."""
    held_out = boilings(300)
    found = list(rides(TINY, held_out, 1000, 7))
    assert len(found) == 300, "all rides are taken, then it ends"
    assert len({each.actual for each in found}) == 300
    for each in found:
        assert (each.question["litres"] > 1.0) == (each.persona == "host")
        assert each.asks == (2 if each.persona == "host" else 1)


def test_the_same_seed_draws_the_same_rides() -> None:
    """So a trial can be told again; another seed draws others."""
    drawn = [[each.actual for each in rides(TINY, boilings(300), 50, seed)] for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_persona_without_rides_drops_out() -> None:
    """Nobody boils much: the tea drinkers ask alone."""
    assert {each.persona for each in rides(TINY, boilings(50, litres=0.5), 20, 1)} == {"tea_drinker"}


def test_no_rides_at_all_are_an_error_that_says_where_to_look() -> None:
    """An empty month."""
    with pytest.raises(DataError, match=r"personas\.py"):
        list(rides(TINY, boilings(0), 10, 1))


def test_weights_decide_how_often_a_persona_asks() -> None:
    """Tea drinkers count twice."""
    drawn = [each.persona for each in rides(TINY, boilings(4000), 900, 3)]
    share = drawn.count("tea_drinker") / len(drawn)
    assert share == pytest.approx(PERSONAS[0].weight / sum(each.weight for each in PERSONAS), abs=0.05)


def trips(count: int = 5000) -> Examples:
    """Held-out rides all over the city and the week."""
    chance = np.random.default_rng(2)
    features = {
        "pickup_zone": chance.integers(1, 264, count),
        "dropoff_zone": chance.integers(1, 264, count),
        "pickup_time": chance.integers(1_559_347_200, 1_561_939_200, count),
        "passengers": chance.integers(1, 7, count),
        "recent_pace": np.zeros(count, np.float32),
    }
    return Examples(features, chance.uniform(60, 3000, count).astype(np.float32), np.zeros(count, np.int32))


@pytest.mark.parametrize("persona", personas(TAXI), ids=lambda each: each.name)
def test_each_taxi_rider_has_a_story_and_rides_of_their_own(persona: object) -> None:
    """A story of some sentences; some rides, and not all of them."""
    found = next(each for each in personas(TAXI) if each is persona)
    mask = found.chooses(trips())
    assert 0 < mask.sum() < len(mask)
    assert found.story.count(".") >= 2
    assert found.asks >= 1


def test_questions_of_taxi_riders_are_valid_and_mean_the_same_ride() -> None:
    """From features to the rider's JSON and back."""
    for ride in rides(TAXI, trips(), 200, 4):
        request = TAXI.api.request.model_validate_json(json.dumps(ride.question))
        assert set(TAXI.api.to_features(request)) == {each.name for each in TAXI.features}


class Gateway:
    """Answers with the candidate, and, where production is asked, by whoever it is told."""

    def __init__(self, arm: str) -> None:
        """Let ``arm`` answer for production."""
        self._arm = arm

    def ask(self, path: str, _question: object, headers: object = None) -> Reply:
        """Answer a question."""
        arm = "canary" if path.startswith("/canary/") else self._arm
        return Reply(200, {"seconds": 60.0}, headers={"x-tiphys-arm": arm})


@pytest.mark.parametrize(
    ("arm", "production_serves", "compared"),
    [("production", True, True), ("status_quo", True, False), ("status_quo", False, True), ("canary", True, False)],
)
def test_a_candidate_is_compared_with_production_s_own_model(
    *, arm: str, production_serves: bool, compared: bool
) -> None:
    """While it rests the status quo answers, which any model beats; only where there is none yet is that the baseline."""
    waiting = rides(TINY, boilings(3, litres=0.5), 3, 1)
    riders = Riders(
        TINY, Gateway(arm), waiting, rate=1e6, at_once=1, seed=1, production_serves=production_serves  # type: ignore[arg-type]
    )  # fmt: skip
    riders.start()
    while not riders.over:
        threading.Event().wait(0.01)
    assert bool(riders.fetch()) == compared
    assert bool(riders.not_asked) != compared
