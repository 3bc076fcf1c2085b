"""What the gateway adds: its latency beside Triton's own over gRPC, in one run on the running stack.

Each round asks both, one after the other; printed are the medians over the rounds. Example::

    tiphys up && tiphys run continuous-training && python bench/gateway.py
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np

from tiphys.cli.surroundings import settings
from tiphys.serving.repository import TRITON_TYPES
from tiphys.serving.triton import TritonUser
from tiphys.settings import ServingSettings
from tiphys.usecase import UseCase

Ask = Callable[[], None]
SHARES = (0.5, 0.95, 0.99)


def by_gateway(use_case: UseCase, url: str) -> Ask:
    """Return a function that asks the gateway once, over one kept connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    bodies = itertools.cycle([json.dumps(dict(each)) for each in use_case.api.examples])

    def ask() -> None:
        connection.request("POST", f"/v1/{use_case.api.route}", next(bodies), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        if reply.status != http.client.OK:
            message = (
                f"the gateway answers {reply.status}: is {use_case.name} in production? tiphys release show production"
            )
            raise SystemExit(message)

    return ask


def by_triton(use_case: UseCase, address: str) -> Ask:
    """Return a function that asks Triton once through tritonclient's gRPC."""
    user = TritonUser("grpc", address)
    api = use_case.api
    rows = [api.to_features(api.request.model_validate_json(json.dumps(dict(each)))) for each in api.examples]
    questions = itertools.cycle(
        [
            {
                each.name: (TRITON_TYPES[each.dtype], np.array([[row[each.name]]], each.dtype))
                for each in use_case.features
            }
            for row in rows
        ]
    )

    def ask() -> None:
        user.infer(use_case.name, next(questions), use_case.target.name)

    return ask


def measure(make: Callable[[], Ask], clients: int, requests: int) -> list[float]:
    """Latency in ms of each request, asked by so many clients at once; a tenth before it is not counted."""

    def client(_: int) -> list[float]:
        ask = make()
        for _ in range(requests // 10):
            ask()
        found = []
        for _ in range(requests):
            started = time.perf_counter()
            ask()
            found.append(1000 * (time.perf_counter() - started))
        return found

    with ThreadPoolExecutor(clients) as pool:
        return [each for found in pool.map(client, range(clients)) for each in found]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--use-case", default="taxi_eta")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=500, help="requests of each client in each round")
    arguments = parser.parse_args()
    serving, use_case = settings(ServingSettings), UseCase(arguments.use_case)
    ways: dict[str, Callable[[], Ask]] = {
        "Triton, gRPC": lambda: by_triton(use_case, serving.production_grpc),
        "gateway, HTTP": lambda: by_gateway(use_case, serving.gateway_url),
    }
    print(f"{'':<14} {'clients':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'req/s':>8}")
    for clients in (1, 8):
        rounds: dict[str, list[list[float]]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, make in ways.items():
                found = sorted(measure(make, clients, arguments.requests // clients))
                figures = [found[int(share * (len(found) - 1))] for share in SHARES]
                rounds[name].append([*figures, 1000 * clients / statistics.mean(found)])
        for name, listed in rounds.items():
            middle = [statistics.median(column) for column in zip(*listed, strict=True)]
            print(f"{name:<14} {clients:>7} {middle[0]:>8.2f} {middle[1]:>8.2f} {middle[2]:>8.2f} {middle[3]:>8.0f}")


if __name__ == "__main__":
    main()
