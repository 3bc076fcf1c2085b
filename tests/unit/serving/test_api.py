"""What a rider asks becomes what the model is asked."""

from __future__ import annotations

import json

import pytest

from tiphys.usecase import Prediction, UseCase
from usecases.taxi_eta.api import API, Request, to_answer, to_features, to_request
from usecases.taxi_eta.slo import LOAD

pytestmark = pytest.mark.unit


def test_a_question_becomes_the_features_of_the_model() -> None:
    """Wall-clock time becomes seconds since 1970 without any zone; passengers default to one."""
    request = Request.model_validate_json(
        '{"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": "2000-01-02T00:00:01.900"}'
    )
    expected = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": 946684800 + 86401, "passengers": 1}
    expected["recent_pace"] = 0.0  # as far as the rider knows
    assert to_features(request) == expected
    assert to_features(Request.model_validate_json(json.dumps(to_request(expected)))) == expected
    assert list(expected) == [each.name for each in UseCase("taxi_eta").features]


@pytest.mark.parametrize(
    ("seconds", "text"), [(20.0, "about 1 minute"), (843.4, "about 14 minutes"), (-5.0, "about 1")]
)
def test_an_answer_is_for_a_person_too(seconds: float, text: str) -> None:
    """No ride takes less than nothing."""
    answer = to_answer(Prediction(seconds, seconds - 60, seconds + 60, "7", "id"))
    assert answer.text.startswith(text)
    assert answer.low_s is not None
    assert 0 <= answer.low_s <= answer.duration_s
    assert answer.model_version == "7"


def test_the_examples_are_valid_questions() -> None:
    """The docs, the load test and the command line ask them."""
    for each in API.examples:
        assert to_features(Request.model_validate(each, strict=False))


def test_every_figure_of_the_load_has_its_business_reason() -> None:
    """200 requests a second, 50 ms, no errors: each says why."""
    assert (LOAD.rate, LOAD.p95_ms, LOAD.max_error_share) == (200.0, 50.0, 0.0)
    assert {"rate", "p95_ms", "max_error_share", "seconds", "users"} <= LOAD.reasons.keys()
