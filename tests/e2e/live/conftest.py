"""A log of live answers and outcomes on the landing bucket of a real stack, as the gateway lands it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lake.conftest import Steps
from tiphys.lake.catalog import Lake
from tiphys.lake.s3 import S3
from tiphys.settings import S3Settings, load

MONDAY = datetime(2019, 7, 1, 8, tzinfo=UTC)
"""The own clock's first moment."""
NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
"""The wall clock's."""


@dataclass
class Log:
    """Writes objects as the gateway's spool does; a ``name`` makes ids that no other test makes."""

    store: S3
    name: str
    landed: dict[str, bytes] = field(default_factory=dict)

    def identity(self, number: int) -> str:
        """Name of an answer."""
        return f"{self.name.encode().hex():0<16}"[:16] + f"{number:016x}"

    def answer(self, number: int, **changed: Any) -> dict[str, Any]:
        """The line of a ride of 600 s from zone 161 to 138, a minute after the one before."""
        moment = MONDAY + timedelta(minutes=number)
        features = {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": int(moment.timestamp()), "passengers": 1}
        line = {
            "prediction_id": self.identity(number), "at": _text(NOW + timedelta(seconds=number)), "use_case": "taxi_eta",
            "arm": "production", "model_version": "7", "source": "model", "asker": "rider", "latency_ms": 3.125,
            "features": features, "value": 600.0, "low": 400.0, "high": 900.0,
        }  # fmt: skip
        return line | changed

    def outcome(self, number: int, actual: float = 660.0, **changed: Any) -> dict[str, Any]:
        """The line of what that ride took, told when it was over."""
        end = MONDAY + timedelta(minutes=number, seconds=actual)
        line = {
            "prediction_id": self.identity(number), "at": _text(end), "actual": actual, "asker": "rider",
            "received_at": _text(NOW + timedelta(seconds=number + 60)), "facts": {"miles": 2.5},
        }  # fmt: skip
        return line | changed

    def land(self, topic: str, name: str, lines: Iterable[dict[str, Any] | bytes]) -> str:
        """Land an object of these lines; the same again overwrites it."""
        rows = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
        return self.land_bytes(topic, name, gzip.compress(b"\n".join([*rows, b""]), mtime=0))

    def land_bytes(self, topic: str, name: str, content: bytes) -> str:
        """Land an object as it is."""
        origin = f"date=2026-11-20/{self.name}-{name}.ndjson.gz"
        self.store.put(f"s3://landing/{topic}/taxi_eta/{origin}", content)
        return origin


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@pytest.fixture
def new_log(stack: Any) -> Callable[[str], Log]:
    """``new_log(name)`` lands what the gateway would."""
    return lambda name: Log(S3(load(S3Settings, stack.environment("gateway"))), name)


@pytest.fixture
def steps(stack: Any, tmp_path: Path) -> Steps:
    """Steps on the session's stack."""

    def environment(name: str) -> dict[str, str]:
        found: dict[str, str] = stack.environment(name)
        return found

    (tmp_path / "scratch").mkdir()
    return Steps(environment, tmp_path / "scratch")


@pytest.fixture
def lake(steps: Steps) -> Lake:
    """The lake as the step may see it."""
    return steps.lake("collect_outcomes")
