"""What is asked about a kettle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from tiphys.usecase import Api, Prediction


class Request(BaseModel):
    """When will it boil?"""

    litres: float = Field(gt=0, le=3, description="water in the kettle")
    celsius: int = Field(ge=0, le=99, description="temperature of the water")


class Answer(BaseModel):
    """Then."""

    seconds: float = Field(description="seconds until it boils")
    model_version: str = Field(description="version of the model that answered")


def to_features(request: Request) -> dict[str, int | float]:
    """Turn a question into features."""
    return {"litres": request.litres, "celsius": request.celsius}


def to_answer(prediction: Prediction) -> Answer:
    """Turn seconds into an answer."""
    return Answer(seconds=prediction.value, model_version=prediction.version)


def to_request(row: Mapping[str, int | float]) -> dict[str, Any]:
    """Turn features back into a question."""
    return {"litres": float(row["litres"]), "celsius": int(row["celsius"])}


API = Api("kettle", Request, Answer, to_features, to_answer, to_request, ({"litres": 1.0, "celsius": 20},))
