"""The gateway's description of itself."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.serving.gateway import documents
from tiphys.serving.gateway.documents import Described
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit


@pytest.fixture
def found() -> dict[str, Any]:
    """The document of two use cases."""
    eta, kettle = UseCase("taxi_eta").api, UseCase("tests.usecases.tiny").api
    mounted = [
        Described("/v1/eta", "question", "production", "taxi_eta", eta),
        Described("/v1/eta/batch", "batch", "production", "taxi_eta", eta),
        Described("/v1/eta/feedback", "feedback", "production", "taxi_eta", eta),
        Described("/v1/kettle", "question", "production", "tiny", kettle),
        Described("/staging/v1/kettle", "question", "staging", "tiny", kettle),
    ]
    return documents.document(mounted)


def test_every_reference_leads_somewhere(found: dict[str, Any]) -> None:
    """Two use cases may both call their question Request."""

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [each for value in part.values() for each in references(value)]
        return [each for value in part for each in references(value)] if isinstance(part, list) else []

    schemas = found["components"]["schemas"]
    assert {each.removeprefix("#/components/schemas/") for each in references(found)} <= schemas.keys()
    assert {"taxi_eta.Request", "taxi_eta.Requests", "taxi_eta.Answers", "tiny.Request", "Outcome"} <= schemas.keys()


def test_every_way_to_be_refused_is_described(found: dict[str, Any]) -> None:
    """On each route; and that a key must be sent."""
    for path in found["paths"].values():
        assert {str(status) for status in documents.ERRORS} <= path["post"]["responses"].keys()
    assert found["security"] == [{"bearer": []}, {"header": []}]


def test_the_page_is_complete_in_itself(found: dict[str, Any]) -> None:
    """Nothing is fetched from outside, names are escaped, and the examples send a key."""
    page = documents.page(found, "127.0.0.1:7400")
    for part in ("pickup_zone", "questions", "prediction_id", "low_s", "X-Rider-Id", "401", "403", "429"):
        assert part in page
    assert "https:" not in page
    assert "<script" not in page
    assert "curl -s 127.0.0.1:7400/v1/kettle -H &quot;Authorization: Bearer $TIPHYS_GATEWAY_KEY&quot;" in page
