"""The V2 protocol through the gateway, beside Triton itself."""

from __future__ import annotations

import statistics
from collections import defaultdict
from functools import partial

from serving_bench import Bench, message, tensors
from serving_load import Load, h2load, wrk
from serving_releases import MODEL
from serving_world import cpu_seconds

CLIENTS = (1, 16, 32)
_TARGETS = {"Triton": ("production_http", "production_grpc"), "gateway": ("gateway", "gateway_grpc")}


def part(bench: Bench) -> None:
    """Measure in alternating order, and print."""
    runs: dict[tuple[str, str, int], list[Load]] = defaultdict(list)
    costs: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for turn in range(bench.arguments.repeats):
        for name in _TARGETS if turn % 2 == 0 else reversed(_TARGETS):
            for clients in CLIENTS:
                _measure(bench, name, clients, runs, costs)
    middles = {each: Load.middle(found) for each, found in sorted(runs.items())}
    print(f"{'':<14} {'clients':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'req/s':>8} {'CPU ms':>7} {'errors':>7}")
    for (protocol, name, clients), each in middles.items():
        cost = 1000 * statistics.median(costs[protocol, name, clients])
        print(
            f"{protocol + ' ' + name:<14} {clients:>7} {each.p50:>8.2f} {each.p95:>8.2f} {each.p99:>8.2f} "
            f"{each.rate:>8.0f} {cost:>7.2f} {each.errors:>7}"
        )
    for protocol in ("HTTP", "gRPC"):
        added = middles[protocol, "gateway", 1].p50 - middles[protocol, "Triton", 1].p50
        most = {name: max(middles[protocol, name, clients].rate for clients in CLIENTS) for name in _TARGETS}
        kept = most["gateway"] / most["Triton"]
        print(f"{protocol}: the gateway adds {added:.2f} ms at p50, and keeps {kept:.2f} of the rate")


def _measure(
    bench: Bench,
    name: str,
    clients: int,
    runs: dict[tuple[str, str, int], list[Load]],
    costs: dict[tuple[str, str, int], list[float]],
) -> None:
    http, grpc = (bench.world.plan.ports.address(each) for each in _TARGETS[name])
    bodies = bench.file("v2.txt", [tensors(each) for each in bench.questions])
    path = bench.folder / "message"
    path.write_bytes(message(bench.questions[0]))
    pids = bench.world.pids("gateway", "triton-production")
    url, seconds = f"http://{http}/v2/models/{MODEL}/infer", bench.arguments.seconds
    count = int(seconds * (500 if clients == 1 else 1500))
    for protocol, ask in (
        ("HTTP", partial(wrk, bench.folder, url, bodies, bench.key, clients, seconds)),
        ("gRPC", partial(h2load, bench.folder, grpc, path, bench.world.key, clients, count)),
    ):
        before = cpu_seconds(pids)
        found = ask()
        runs[protocol, name, clients].append(found)
        costs[protocol, name, clients].append((cpu_seconds(pids) - before) / max(1, found.answers))
