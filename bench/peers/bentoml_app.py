"""BentoML: a typed API, with its adaptive batching or without.

``max_latency_ms`` is a bound beyond which questions are refused, not a wait: 25 ms, the bound of the comparison, has its
dispatcher refuse most of them on a busy machine, so it is a second. ``async``, as its documents ask for what does not block:
a plain method costs a change of threads each time.
"""

from __future__ import annotations

import calendar
import os
from datetime import datetime

import bentoml
import numpy as np
import onnxruntime
from pydantic import BaseModel, Field


class Question(BaseModel):
    pickup_zone: int = Field(ge=1, le=263, strict=True)
    dropoff_zone: int = Field(ge=1, le=263, strict=True)
    pickup_time: datetime
    passengers: int = Field(1, ge=1, le=9, strict=True)


class Answer(BaseModel):
    duration_s: float


BATCHING = bool(os.environ["BENCH_BATCHING"])


@bentoml.service(
    workers=int(os.environ["BENCH_WORKERS"]), traffic={"timeout": 5, "max_concurrency": 512}, metrics={"enabled": True}
)
class Eta:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def answers(self, questions: list[Question]) -> list[float]:
        columns = {
            "pickup_zone": [each.pickup_zone for each in questions],
            "dropoff_zone": [each.dropoff_zone for each in questions],
            "pickup_time": [calendar.timegm(each.pickup_time.timetuple()) for each in questions],
            "passengers": [each.passengers for each in questions],
        }
        feed = {name: np.array(values, np.int64).reshape(-1, 1) for name, values in columns.items()}
        feed["recent_pace"] = np.zeros((len(questions), 1), np.float32)
        (found,) = self.session.run(["duration_s"], feed)
        return [round(float(each), 1) for each in found[:, 0]]

    if BATCHING:

        @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
        async def predict(self, questions: list[Question]) -> list[float]:
            return self.answers(questions)

    else:

        @bentoml.api(input_spec=Question)
        async def predict(self, **fields: object) -> Answer:
            return Answer(duration_s=self.answers([Question.model_construct(**fields)])[0])
