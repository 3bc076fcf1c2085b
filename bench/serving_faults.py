"""Triton killed, and promotions and rollbacks, all while riders ask 200 questions a second."""

from __future__ import annotations

import statistics
import time
from typing import Any

from serving_bench import Bench, result
from serving_releases import MODEL, repository
from serving_world import until

RATE = 200.0
_MOST_TURNS = 3
_ELSE = ("postgres", "ledger", "s3")
"""What is dead during a rollback without the ledger; MLflow and the other environments are never there."""


def killed(bench: Bench) -> None:
    """Kill Triton, start it again five seconds later as the supervisor would, and let its agent see to the rest."""
    client = bench.open_load(RATE, 25)
    time.sleep(5)
    bench.world.kill("triton-production")
    at = time.time()
    time.sleep(5)
    bench.world.start("triton-production")
    found = result(client)
    print(
        f"Triton killed {at - found['began']:.1f} s into 25 s at {RATE:.0f} questions a second, and started 5 s later: "
        f"wrong answers {found['wrong']}; by arm {found['arms']}"
    )
    for status, each in sorted(found["statuses"].items()):
        print(f"  status {status:>4}: {each['count']:>8}  p99 {each['p99']:>9.2f} ms")
    until(lambda: bench.answers_from("1"), "the model answers again")


def releases(bench: Bench) -> None:
    """Promote and roll back, first through the ledger, then with everything but agent, Triton and gateway killed."""
    took: dict[str, list[float]] = {}
    lost: dict[str, int] = {}
    for _ in range(min(bench.arguments.repeats, _MOST_TURNS)):
        for without in ((), _ELSE):
            _promoted(bench, took, lost)
            for name in without:
                bench.world.kill(name)
            _rolled_back(bench, "without the ledger" if without else "through the ledger", took, lost)
            for name in without:
                bench.world.start(name)
            until(lambda: _is_settled(bench), "ledger and agent say the same")
    print("seconds from the command's start, or the ledger's word, to the first answer of the other version:")
    for name, seconds in took.items():
        listed = ", ".join(f"{each:.2f}" for each in seconds)
        print(
            f"  {name:<32} {statistics.median(seconds):.2f} of {listed}; requests that failed or were answered wrongly {lost[name]}"
        )


def _promoted(bench: Bench, took: dict[str, list[float]], lost: dict[str, int]) -> None:
    version = str(2 + bench.world.releases.ledger().current("production").generation)
    client = bench.open_load(RATE, 15)
    time.sleep(2)
    recorded = bench.world.releases.serve(repository(bench.copy, version))
    _count(result(client), "promotion", version, recorded.made_at.timestamp(), took, lost)


def _rolled_back(bench: Bench, how: str, took: dict[str, list[float]], lost: dict[str, int]) -> None:
    client = bench.open_load(RATE, 10)
    time.sleep(2)
    asked = time.time()
    command = bench.world.cli("release", "rollback", "production", MODEL, "--json")
    said = command.communicate(timeout=60)[0]
    print(f"the command took {time.time() - asked:.2f} s and says {' '.join(said.split())}", flush=True)
    if command.returncode != 0:
        raise SystemExit(f"the rollback failed: {said}")
    _count(result(client), f"rollback {how}", "1", asked, took, lost)


def _count(  # noqa: PLR0913, PLR0917 - what was found, and where it is kept
    found: dict[str, Any], name: str, version: str, since: float, took: dict[str, list[float]], lost: dict[str, int]
) -> None:
    answered = [found["began"] + each["at"] for each in found["changes"] if each["version"] == version]
    first = next((each - since for each in answered if each > since), float("nan"))
    statuses = {status: each["count"] for status, each in found["statuses"].items()}
    print(f"{name}: {first:.2f} s; statuses {statuses}, by arm {found['arms']}, wrong {found['wrong']}", flush=True)
    took.setdefault(name, []).append(first)
    lost[name] = lost.get(name, 0) + found["wrong"] + sum(statuses.values()) - statuses.get("200", 0)


def _is_settled(bench: Bench) -> bool:
    """Whether the ledger has the rollback and the agent serves by it."""
    seen = bench.world.releases.ledger().current("production")
    newest, observed = next(iter(seen.releases.values())), seen.observed.get(MODEL)
    served = observed is not None and (observed.generation, observed.state) == (newest.generation, "serving")
    return served and newest.kind == "rollback" and bench.answers_from("1")
