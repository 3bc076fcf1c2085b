"""What is asked about a kettle, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tests.usecases.tiny import api
from tiphys.usecase import Api


class Request(api.Request):
    """When will it boil?"""

    switched_on: int = Field(ge=0, le=4_102_444_800, description="when it is switched on, seconds since 1970")


def to_features(request: Request) -> dict[str, int | float]:
    """Turn a question into features."""
    return {**api.to_features(request), "switched_on": request.switched_on}


def to_request(row: Mapping[str, int | float]) -> dict[str, Any]:
    """Turn features back into a question."""
    return {**api.to_request(row), "switched_on": int(row["switched_on"])}


EXAMPLE = {"litres": 1.0, "celsius": 20, "switched_on": 1_714_550_400}
API = Api("timed-kettle", Request, api.Answer, to_features, api.to_answer, to_request, (EXAMPLE,))
