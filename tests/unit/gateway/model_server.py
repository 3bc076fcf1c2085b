"""A model server in place of Triton, for tests of what stands before it: it answers when it is told to."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from tiphys.serving.gateway.upstream import Answer, Call, UpstreamError

OUTPUTS = ["seconds", "seconds_low", "seconds_high"]


def parsed(request: bytes) -> tuple[bytes, dict[str, Any], bytes]:
    """Split a request into its head, the JSON header and the bytes behind."""
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert int(fields[b"content-length"]) == len(body)
    length = int(fields[b"inference-header-content-length"])
    return head, json.loads(body[:length]), body[length:]


def answer(columns: dict[str, list[float]], *, status: int = 200, **other: Any) -> Answer:
    """What Triton says."""
    outputs = [
        {
            "name": name,
            "datatype": "FP32",
            "shape": [len(values), 1],
            "parameters": {"binary_data_size": 4 * len(values)},
        }
        for name, values in columns.items()
    ]
    header = json.dumps({"model_name": "tiny", "model_version": "7", "outputs": outputs, **other}).encode()
    body = header + b"".join(struct.pack(f"<{len(values)}f", *values) for values in columns.values())
    return Answer(status, {b"inference-header-content-length": str(len(header)).encode()}, body)


def three(*values: float) -> Answer:
    """What Triton says of these, with an interval."""
    return answer({"seconds": list(values), "seconds_low": [0.0] * len(values), "seconds_high": [99.0] * len(values)})


class Triton:
    """Takes requests and answers when it is told to."""

    address = "127.0.0.1:1"

    def __init__(self) -> None:
        """Be asked nothing yet."""
        self.asked: list[tuple[list[float], Callable[[Answer | UpstreamError], None]]] = []

    def send(self, content: bytes, done: Callable[[Answer | UpstreamError], None], _deadline: float) -> Call | None:
        """Take a request."""
        _, header, body = parsed(content)
        count = header["inputs"][0]["shape"][0]
        self.asked.append((list(struct.unpack(f"<{count}f", body[: 4 * count])), done))
        return None

    def say(self, outcome: Answer | UpstreamError | None = None) -> None:
        """Answer the oldest request, with its own litres if nothing else is said."""
        litres, done = self.asked.pop(0)
        done(three(*litres) if outcome is None else outcome)
