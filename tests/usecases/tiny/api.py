"""What is asked about a kettle."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tiphys.usecase import Api


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


def to_answer(prediction: float, version: str) -> Answer:
    """Turn seconds into an answer."""
    return Answer(seconds=prediction, model_version=version)


API = Api("kettle", Request, Answer, to_features, to_answer, ({"litres": 1.0, "celsius": 20},))
