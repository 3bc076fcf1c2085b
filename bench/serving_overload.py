"""Ten times what a key admits, and three times what the bounded queue does."""

from __future__ import annotations

import json
import time
from typing import Any

from serving_bench import Bench
from serving_load import wrk
from serving_releases import repository
from serving_world import LIMIT, cpu_seconds, memory_mb, until

SLO_MS = 50.0
"""What usecases/taxi_eta/slo.py asks of p95, asked of p99 here."""
_PRODUCTS = (16, 8, 4, 2)
"""What the model is slowed by, until it answers ``_ENOUGH`` questions a second."""
_ENOUGH = 400
_TIMES = 3
"""As often as the model can answer is asked: the model keeps a core busy, the rest and the client share the other, which is not
enough to refuse what ten times would be."""


def by_key(bench: Bench) -> None:
    """Ten times the rate that a key admits, between twice 0.9 times it."""
    rate = float(LIMIT)
    print(f"a refusal costs {1000 * _cost_of_refusal(bench):.3f} ms of CPU")
    _in_three_steps(bench, 0.9 * rate, 10 * rate, bench.world.limited)


def _cost_of_refusal(bench: Bench) -> float:
    """The gateway's CPU seconds for each, when hardly anything else is asked."""
    pids, key = bench.world.pids("gateway"), {"Authorization": f"Bearer {bench.world.limited}"}
    before = cpu_seconds(pids)
    found = wrk(bench.folder, bench.ours.url, bench.bodies, key, 8, 4)
    return (cpu_seconds(pids) - before) / max(1, found.errors)


def by_queue(bench: Bench) -> None:
    """``_TIMES`` what a slow model answers, from a key without a limit, between twice half of it."""
    most = 0.0
    for products in _PRODUCTS:
        _serve_slowed(bench, products)
        most = wrk(bench.folder, bench.ours.url, bench.bodies, bench.key, 8, 4).rate
        print(f"with {products} products more for each row the model answers {most:.0f} questions a second at most")
        if most >= _ENOUGH:
            break
    _in_three_steps(bench, 0.5 * most, _TIMES * most, bench.world.key)
    recorded = bench.world.releases.serve(repository(bench.copy, "1"))
    until(lambda: bench.answers_from("1"), f"generation {recorded.generation} answers")


def _serve_slowed(bench: Bench, products: int) -> None:
    releases = bench.world.releases
    version = str(1000 + releases.ledger().current("production").generation)
    releases.serve(repository(bench.copy, version, products=products))
    until(lambda: bench.answers_from(version), "the slow model answers")


def _in_three_steps(bench: Bench, ordinary: float, much: float, key: str) -> None:
    (pid,) = bench.world.pids("gateway")
    print(f"gateway's memory {memory_mb(pid):.0f} MB before")
    for name, rate, seconds in (("ordinary", ordinary, 8), ("overload", much, 15), ("after", ordinary, 15)):
        client = bench.open_load(rate, seconds, key)
        most = 0.0
        while client.poll() is None:
            most = max(most, memory_mb(pid))
            time.sleep(0.2)
        _tell(name, rate, json.loads(client.stdout.read()), most)


def _tell(name: str, rate: float, found: dict[str, Any], memory: float) -> None:
    print(
        f"{name}: {rate:.0f} questions a second; gateway's memory at most {memory:.0f} MB; wrong answers {found['wrong']}; "
        f"refusals without Retry-After {found['without_retry_after']}; answers by {found['arms']}"
    )
    for status, each in sorted(found["statuses"].items()):
        print(
            f"  status {status:>4}: {each['count']:>8}  p50 {each['p50']:>9.2f}  p95 {each['p95']:>9.2f}  p99 {each['p99']:>9.2f} ms"
        )
    if name == "after":
        late = [
            row["at"] for row in found["seconds"] if row["p99"].get("200", 0) > SLO_MS or set(row["statuses"]) - {"200"}
        ]
        print(f"  back within p99 <= {SLO_MS:.0f} ms, and no refusal, after {max(late) + 1 if late else 0} s")
