"""What the parts of bench/serving.py share: the questions, what the gateway answers to them, and files for the clients of load."""

from __future__ import annotations

import argparse
import json
import random
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
from serving_load import openloop
from serving_peers import Peer, answer, plain
from serving_releases import MODEL, repository
from serving_world import World, until

from tiphys.serving.repository import TRITON_TYPES
from tiphys.usecase import UseCase

QUESTIONS = 100


def questions(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Rides from anywhere to anywhere at any time of a month."""
    draw = random.Random(seed)  # noqa: S311 - the same each time
    return [
        {
            "pickup_zone": draw.randint(1, 263),
            "dropoff_zone": draw.randint(1, 263),
            "pickup_time": datetime.fromtimestamp(draw.randint(1_559_347_200, 1_561_939_199), UTC)
            .replace(tzinfo=None)
            .isoformat(),
            "passengers": draw.randint(1, 6),
        }
        for _ in range(count)
    ]


def tensors(question: dict[str, Any]) -> bytes:
    """A question as JSON of the V2 protocol."""
    use_case = UseCase(MODEL)
    row = use_case.api.to_features(use_case.api.request.model_validate_json(json.dumps(question)))
    given = [
        {"name": each.name, "datatype": TRITON_TYPES[each.dtype], "shape": [1, 1], "data": [row[each.name]]}
        for each in use_case.features
    ]
    return json.dumps({"inputs": given}).encode()


def message(question: dict[str, Any]) -> bytes:
    """A question as a framed ModelInferRequest."""
    from tritonclient.grpc import service_pb2  # noqa: PLC0415 - only one part wants it

    use_case = UseCase(MODEL)
    row = use_case.api.to_features(use_case.api.request.model_validate_json(json.dumps(question)))
    found = service_pb2.ModelInferRequest(model_name=MODEL)
    for each in use_case.features:
        found.inputs.add(name=each.name, datatype=TRITON_TYPES[each.dtype], shape=[1, 1])
        found.raw_input_contents.append(struct.pack("<q" if each.dtype == "int64" else "<f", row[each.name]))
    content = found.SerializeToString()
    return struct.pack(">BI", 0, len(content)) + content


@dataclass
class Bench:
    """One world with version 1 of the model in production."""

    world: World
    folder: Path
    copy: Path
    arguments: argparse.Namespace
    ours: Peer = field(init=False)
    expected: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Release the model and keep what it answers."""
        self.questions = questions(QUESTIONS)
        self.key = {"Authorization": f"Bearer {self.world.key}"}
        ports = self.world.plan.ports
        self.ours = Peer(
            "gateway", f"http://{ports.address('gateway')}/v1/eta", self.world.pids("gateway", "triton-production", "s3"),
            plain, lambda body: body["duration_s"], self.key,
        )  # fmt: skip
        self.world.releases.serve(repository(self.copy, "1"))
        until(lambda: self.answers_from("1"), "the gateway answers from the model")
        self.expected = [answer(self.ours, each) for each in self.questions]
        self.bodies = self.file("plain.txt", [plain(each) for each in self.questions])
        self.answers = self.file("expected.txt", [str(each).encode() for each in self.expected])

    def answers_from(self, version: str) -> bool:
        """Whether a question is answered by that version of the model."""
        headers = {"Content-Type": "application/json", **self.key}
        try:
            reply = urllib3.request("POST", self.ours.url, body=plain(self.questions[0]), headers=headers, timeout=5.0)
        except urllib3.exceptions.HTTPError:
            return False
        return (reply.headers.get("x-tiphys-arm"), reply.headers.get("x-tiphys-version")) == ("production", version)

    def file(self, name: str, lines: list[bytes]) -> Path:
        """Write lines for a client of load."""
        path = self.folder / name
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    def open_load(self, rate: float, seconds: float, key: str = "") -> Any:
        """Start riders' questions at a fixed rate, whose answers are compared."""
        options = {"url": self.ours.url, "key": key or self.world.key, "bodies": self.bodies, "expected": self.answers}
        return openloop(self.folder, rate=rate, seconds=seconds, **options)


def result(client: Any) -> dict[str, Any]:
    """Wait for the open-loop client; what it found."""
    found: dict[str, Any] = json.loads(client.communicate(timeout=120)[0])
    return found
