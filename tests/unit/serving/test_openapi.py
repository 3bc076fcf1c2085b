"""The gateway's description of itself."""

from __future__ import annotations

import pytest

from tiphys.serving import openapi
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit


@pytest.fixture
def found() -> dict[str, object]:
    """The document of two use cases."""
    mounted = [
        ("/v1/eta", "production", "taxi_eta", UseCase("taxi_eta").api),
        ("/v1/kettle", "production", "tiny", UseCase("tests.usecases.tiny").api),
    ]
    return openapi.document(mounted)


def test_every_reference_leads_somewhere(found: dict[str, object]) -> None:
    """Two use cases may both call their question Request."""

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [each for value in part.values() for each in references(value)]
        return [each for value in part for each in references(value)] if isinstance(part, list) else []

    schemas = found["components"]["schemas"]  # type: ignore[index]
    assert {each.removeprefix("#/components/schemas/") for each in references(found)} <= schemas.keys()
    assert {"taxi_eta.Request", "tiny.Request"} <= schemas.keys()


def test_the_page_is_complete_in_itself(found: dict[str, object]) -> None:
    """Nothing is fetched from outside, and names are escaped."""
    page = openapi.page(found, "127.0.0.1:7400")
    assert "pickup_zone" in page
    assert "https:" not in page
    assert "<script" not in page
    assert "'{&quot;litres&quot;" in page or "&#x27;{&quot;litres&quot;" in page
