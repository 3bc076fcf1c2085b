"""What a rider asks and is told: the question and the answer of ``POST /v1/eta``.

It knows the model's features and nothing of how the question travels.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, StrictInt

from tiphys.usecase import Api, Prediction
from usecases.taxi_eta.features import PASSENGERS
from usecases.taxi_eta.recent import RECENT

Zone = Annotated[StrictInt, Field(ge=1, le=263)]


class Request(BaseModel):
    """How long will a taxi take from one zone of the city to another?"""

    model_config = ConfigDict(extra="forbid")

    pickup_zone: Zone = Field(description="taxi zone where the ride starts, 1..263", examples=[161])
    dropoff_zone: Zone = Field(description="taxi zone where the ride ends, 1..263", examples=[138])
    pickup_time: NaiveDatetime = Field(
        description="when the ride starts, local wall-clock time without a zone, ISO 8601",
        examples=["2019-06-14T17:30:00"],
        strict=True,
        ge=datetime(2000, 1, 1),  # noqa: DTZ001 - wall-clock time has no zone
        le=datetime(2100, 1, 1),  # noqa: DTZ001
    )
    passengers: StrictInt = Field(1, ge=PASSENGERS[0], le=PASSENGERS[1], description="people in the car", examples=[1])


class Answer(BaseModel):
    """The estimated time of travel."""

    duration_s: float = Field(description="estimated duration of the ride in seconds")
    low_s: float | None = Field(description="four rides in five take at least so long, in seconds; null if not known")
    high_s: float | None = Field(description="and at most so long")
    text: str = Field(description="the same for a person")
    model_version: str = Field(description="version of the model that answered; empty if none did")
    prediction_id: str = Field(description="names this answer, for feedback")
    source: Literal["model", "status_quo"] = Field(
        description="status_quo: no model answered in time, this is what past rides of the pair and hour took"
    )


def to_features(request: Request) -> dict[str, int | float]:
    """Turn a question into one value a feature; how slow the streets are the rider cannot know."""
    return {
        "pickup_zone": request.pickup_zone,
        "dropoff_zone": request.dropoff_zone,
        "pickup_time": calendar.timegm(request.pickup_time.timetuple()),
        "passengers": request.passengers,
        RECENT.name: RECENT.fallback,
    }


def to_request(row: Mapping[str, int | float]) -> dict[str, Any]:
    """Turn one value a feature back into a question."""
    return {
        "pickup_zone": int(row["pickup_zone"]),
        "dropoff_zone": int(row["dropoff_zone"]),
        "pickup_time": datetime.fromtimestamp(row["pickup_time"], UTC).replace(tzinfo=None).isoformat(),
        "passengers": min(max(int(row["passengers"]), PASSENGERS[0]), PASSENGERS[1]),
    }


def to_answer(prediction: Prediction) -> Answer:
    """Turn seconds into an answer; a model that says less than nothing is taken as saying nothing."""
    duration = _seconds(prediction.value)
    minutes = max(1, round(duration / 60))
    text = "about 1 minute" if minutes == 1 else f"about {minutes} minutes"
    return Answer(
        duration_s=duration,
        low_s=None if prediction.low is None else _seconds(prediction.low),
        high_s=None if prediction.high is None else _seconds(prediction.high),
        text=text,
        model_version=prediction.version,
        prediction_id=prediction.id,
        source=prediction.source,
    )


def _seconds(value: float) -> float:
    return max(0.0, round(value, 1))


API = Api(
    route="eta",
    request=Request,
    answer=Answer,
    to_features=to_features,
    to_answer=to_answer,
    to_request=to_request,
    examples=(
        {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": "2019-06-14T17:30:00", "passengers": 1},
        {"pickup_zone": 132, "dropoff_zone": 230, "pickup_time": "2019-06-16T22:05:00", "passengers": 2},
        {"pickup_zone": 237, "dropoff_zone": 236, "pickup_time": "2019-06-12T08:45:00"},
        {"pickup_zone": 79, "dropoff_zone": 256, "pickup_time": "2019-06-15T02:10:00", "passengers": 3},
    ),
)
