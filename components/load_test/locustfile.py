"""What Locust runs: users who ask the gateway at a constant rate. Started by the step; its plan is a JSON file.

Latencies are kept one by one, so percentiles are exact. What happens while users are still being added is the
warm-up and is not counted. It knows no use case: paths and bodies are in the plan.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from locust import FastHttpUser, constant_throughput, events

from tiphys.settings import AskerSettings, load


class Samples:
    """When each answer came, how long it took in ms, and whether it was right."""

    def __init__(self) -> None:
        """Start empty."""
        self.started = time.monotonic()
        self.seconds = 0.0
        self.rows: list[tuple[float, float, str]] = []

    def restart(self, **_: Any) -> None:
        """Forget the warm-up."""
        self.started = time.monotonic()
        self.rows.clear()

    def stop(self, **_: Any) -> None:
        """Take the time: users begin to leave."""
        self.seconds = time.monotonic() - self.started

    def write(self, path: Path) -> None:
        """Write down what came while all users were there."""
        rows = [each for each in self.rows if each[0] <= self.seconds]
        path.write_text(json.dumps({"seconds": self.seconds, "rows": rows}))

    def add(self, response_time: float, exception: BaseException | None, **_: Any) -> None:
        """Keep one answer."""
        error = "" if exception is None else f"{type(exception).__name__}: {exception}"[:200]
        self.rows.append((time.monotonic() - self.started, response_time, error))


class Asker(FastHttpUser):  # type: ignore[misc]
    """One user: asks the examples in turn, as often as the plan says."""

    path = ""
    headers: Mapping[str, str] = MappingProxyType({})
    bodies: itertools.cycle[bytes]
    connection_timeout = 5.0
    network_timeout = 5.0
    max_retries = 0

    def ask(self) -> None:
        """Ask one question."""
        self.client.post(self.path, data=next(self.bodies), headers=self.headers, name=self.path)

    tasks = (ask,)


def add_plan(parser: Any) -> None:
    """Take the plan and the place for the samples from the command line."""
    parser.add_argument("--plan")
    parser.add_argument("--samples")


def prepare(environment: Any, **_: Any) -> None:
    """Read the plan, and count from when all users are there."""
    options = environment.parsed_options
    if not options or not options.plan:
        return
    plan = json.loads(Path(options.plan).read_bytes())
    Asker.path = plan["path"]
    Asker.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {load(AskerSettings).key}"}
    Asker.bodies = itertools.cycle([json.dumps(each).encode() for each in plan["questions"]])
    Asker.wait_time = constant_throughput(plan["rate"] / plan["users"])
    samples = Samples()
    environment.events.spawning_complete.add_listener(samples.restart)
    environment.events.request.add_listener(samples.add)
    environment.events.test_stopping.add_listener(samples.stop)
    environment.events.quitting.add_listener(lambda **_: samples.write(Path(options.samples)))


events.init_command_line_parser.add_listener(add_plan)
events.init.add_listener(prepare)
