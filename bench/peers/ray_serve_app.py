"""Ray Serve: a FastAPI ingress with typed questions, its batching on or off; runs until it is ended.

RAY_SERVE_THROUGHPUT_OPTIMIZED is set for it, as its documents say for high throughput, and RAY_SERVE_ENABLE_HA_PROXY where that
is what is measured.
"""

import calendar
import os
import signal
from datetime import datetime

import numpy as np
import onnxruntime
import ray
from fastapi import FastAPI
from pydantic import BaseModel, Field
from ray import serve

app = FastAPI()
BATCHING = bool(os.environ["BENCH_BATCHING"])


class Question(BaseModel):
    pickup_zone: int = Field(ge=1, le=263, strict=True)
    dropoff_zone: int = Field(ge=1, le=263, strict=True)
    pickup_time: datetime
    passengers: int = Field(1, ge=1, le=9, strict=True)


class Answer(BaseModel):
    duration_s: float


@serve.deployment(
    max_ongoing_requests=256, num_replicas=int(os.environ["BENCH_WORKERS"]), ray_actor_options={"num_cpus": 0.5}
)
@serve.ingress(app)
class Eta:
    def __init__(self, model: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def many(self, questions: list[Question]) -> list[float]:
        return self.answers(questions)

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

    @app.post("/predict")
    async def predict(self, question: Question) -> Answer:
        if BATCHING:
            return Answer(duration_s=await self.many(question))
        return Answer(duration_s=self.answers([question])[0])


if __name__ == "__main__":
    ray.init(
        "local",
        num_cpus=2,
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Eta.bind(os.environ["BENCH_MODEL"]), route_prefix="/")
    signal.pause()
