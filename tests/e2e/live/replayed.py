"""Ten days of a file's rides in the log of a real stack, and a gateway of its own that is asked about them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from tests.e2e.gateway.world import World
from tests.e2e.lake.conftest import Steps
from tests.e2e.live.conftest import NOW
from tiphys.lake import live
from tiphys.lake.catalog import Lake
from tiphys.lake.s3 import S3
from tiphys.settings import S3Settings, load
from tiphys.usecase import Arrival, UseCase
from usecases.taxi_eta.data import ZONES
from usecases.taxi_eta.recent import NAME, RECENT
from usecases.taxi_eta.simulator import replay

TAXI = UseCase("taxi_eta")
BEGIN, END = (int(np.datetime64(day).astype("datetime64[s]").astype(int)) for day in ("2017-03-06", "2017-03-16"))
"""A stretch of the own clock that no other test asks about."""
HEADER = "x-tiphys-live"


@dataclass
class City:
    """Rides of a file, asked about and reported on in the log of a real stack."""

    stack: Any
    steps: Steps
    world: World
    rides: list[Arrival]
    told: dict[str, str] = field(default_factory=dict)
    """Outputs of the first run of collect-outcomes."""

    @property
    def lake(self) -> Lake:
        """The lake as the step may see it."""
        return self.steps.lake("collect_outcomes")

    def land(self, topic: str, name: str, lines: list[dict[str, Any]]) -> None:
        """Land an object, as the gateway's spool does."""
        content = gzip.compress("".join(json.dumps(each) + "\n" for each in lines).encode(), mtime=0)
        store = S3(load(S3Settings, self.stack.environment("gateway")))
        store.put(f"s3://landing/{topic}/taxi_eta/date=2026-11-20/pace-{name}.ndjson.gz", content)

    def answers(self, rides: list[Arrival], first: int = 0) -> list[dict[str, Any]]:
        """Lines of answers to rides, of a gateway that did not know the live feature yet."""
        found = []
        for number, each in enumerate(rides, first):
            features = TAXI.api.to_features(TAXI.api.request.model_validate(dict(each.request), strict=False))
            del features[NAME]
            at = _text(NOW + timedelta(days=1, seconds=number))
            found.append(
                {
                    "prediction_id": identity(number), "at": at, "use_case": "taxi_eta", "arm": "production",
                    "model_version": "7", "source": "model", "asker": "rider", "latency_ms": 3.0, "features": features,
                    "value": 700.0, "low": None, "high": None,
                }
            )  # fmt: skip
        return found

    def reports(self, rides: list[Arrival], first: int = 0) -> list[dict[str, Any]]:
        """Lines of what these rides took."""
        return [
            {
                "prediction_id": identity(number), "at": _text(datetime.fromtimestamp(each.known_at, UTC)),
                "actual": each.actual, "asker": "auditor" if each.trusted else "rider",
                "received_at": _text(NOW + timedelta(days=1, seconds=number + 60)), "facts": dict(each.facts),
            }
            for number, each in enumerate(rides, first)
        ]  # fmt: skip

    def collect(self) -> dict[str, str]:
        """Run the step."""
        done = self.steps.run("collect_outcomes", unknown_after_s="1e9")
        assert done.code == 0, done.log
        return done.outputs

    def table(self) -> dict[tuple[int, int], float]:
        """The values of these days in the table: (step, group) -> value; each is there once."""
        days = {"since": float(BEGIN), "until": float(END + 7 * 86_400), "clock": "valid_from"}
        rows = live.read("taxi_eta", "recent", lake=self.lake, **days).to_pylist()
        keys = [
            (round(row["valid_from"].replace(tzinfo=UTC).timestamp()) // RECENT.step_s, row["number"]) for row in rows
        ]
        assert set(Counter(keys).values()) <= {1}
        return {key: row["value"] for key, row in zip(keys, rows, strict=True)}

    def served(self, rides: list[Arrival]) -> list[dict[str, Any]]:
        """Ask the gateway about rides; their lines of its log, which it lands when it ends."""
        store, address = S3(load(S3Settings, self.stack.environment("gateway"))), "s3://landing/predictions/taxi_eta/"
        others, named = {each.uri for each in store.list(address)}, set[str]()
        for first in range(0, len(rides), 500):
            questions = [dict(each.request) for each in rides[first : first + 500]]
            reply = self.world.ask({"questions": questions}, "/v1/eta/batch")
            assert reply.status == 200, reply.data[:500]
            named |= {each["prediction_id"] for each in reply.json()["answers"]}
        self.world.end()
        assert len(named) == len(rides)
        landed = [store.get(each.uri) for each in store.list(address) if each.uri not in others]
        lines = [json.loads(line) for content in landed for line in gzip.decompress(content).splitlines()]
        return [line for line in lines if line["prediction_id"] in named]

    def start(self, **changed: str) -> None:
        """Start a gateway on the stack's S3, with the taxi's model in production."""
        self.world.extra = {
            **{name: each for name, each in self.stack.environment("gateway").items() if name.startswith("TIPHYS_S3_")},
            "TIPHYS_GATEWAY_USE_CASES": "taxi_eta", **changed,
        }  # fmt: skip
        self.world.start()

    def one(self, moment: float, zone: int = 161) -> tuple[float, str, float]:
        """Ask about a ride at that moment: the value that was put in, what is said of it, and the answer in seconds."""
        at = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat()
        reply = self.world.ask({"pickup_zone": zone, "dropoff_zone": 138, "pickup_time": at}, "/v1/eta")
        assert reply.status == 200, reply.data
        assert reply.headers["x-tiphys-arm"] == "production", reply.headers
        value, state = reply.headers[HEADER].removeprefix(f"{NAME}=").split("; ")
        return float(value), state, float(reply.json()["duration_s"])


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def identity(number: int) -> str:
    """Name of an answer."""
    return f"{b'pace'.hex():0<16}{number:016x}"


def clean(table: pa.Table) -> pa.Table:
    """Rows that the model's history may hold, with what they took."""
    seconds = (
        (table["dropoff_datetime"].to_numpy() - table["pickup_datetime"].to_numpy())
        .astype("timedelta64[s]")
        .astype(int)
    )
    good = seconds > 0
    for name in ("pickup_location_id", "dropoff_location_id"):
        good &= table[name].to_numpy() <= ZONES
    return table.append_column("duration_s", pa.array(seconds)).filter(pa.array(good))


def askable(table: pa.Table) -> list[Arrival]:
    """Rides of a file that the API takes, in order; bad outcomes are among them."""
    found = []
    for each in replay(table):
        try:
            TAXI.api.request.model_validate_json(json.dumps(dict(each.request)))
        except ValueError:
            continue
        found.append(each)
    return found
