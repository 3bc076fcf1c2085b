"""The gateway beside its peers: one-trip questions as JSON.

Each peer runs alone beside our stack, first with each of its settings for a moment, then with the best of these in turns with
the gateway. What is compared is requests for each second of CPU time, at the highest number of clients at which p99 is at
most 25 ms: the load shares the cores, so with more clients nobody keeps that, and with one nobody batches.
"""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict

from serving_bench import Bench, tensors
from serving_load import Load, wrk
from serving_peers import SETTINGS, Peer, Setting, answer, started
from serving_world import cpu_seconds

CLIENTS = (1, 2, 4, 8, 16, 32)
P99_MS = 25.0
_FAR_MS = 4 * P99_MS
"""Beyond it nobody is asked by more clients."""
_TRIED_CLIENTS, _TRIED_SECONDS = (1, 4, 16), 2.0
ROUNDING = 0.1001
"""Most that two equal answers differ by, in seconds: the last digit of what is rounded."""

Runs = dict[int, list[tuple[Load, float]]]
"""Clients -> each run with its requests for each second of CPU time."""


def part(bench: Bench) -> None:
    """Measure every peer and print."""
    ours: list[Runs] = []
    theirs: dict[str, Runs] = {}
    for name in bench.arguments.peers:
        setting = _best(bench, name)
        print(f"{name} runs with: {setting.about}", flush=True)
        with _peer(bench, name, setting) as peer:
            mine, other = _in_turns(bench, peer)
        ours.append(mine)
        theirs[name] = other
    print(
        f"{'':<10} {'clients':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'req/s':>8} {'req/CPU s':>10} {'errors':>7}"
    )
    together = {clients: [run for each in ours for run in each.get(clients, [])] for clients in CLIENTS}
    for name, runs in {"gateway": together, **theirs}.items():
        _print(name, runs)
    for (name, runs), mine in zip(theirs.items(), ours, strict=True):
        _compare(name, runs, mine)


def _peer(bench: Bench, name: str, setting: Setting) -> contextlib.AbstractContextManager[Peer]:
    given = bench.arguments
    model = next(bench.copy.glob("*/*/model.onnx"))
    return started(name, setting, given.others, bench.folder, model, given.port_base, tensors)


def _best(bench: Bench, name: str) -> Setting:
    """Try each of a peer's settings for a moment: the one that ends up highest is the one that is measured."""
    settings = SETTINGS[name]
    ranks: list[tuple[float, float]] = []
    for setting in settings:
        runs: Runs = {}
        try:
            with _peer(bench, name, setting) as peer:
                _require_equal(bench, peer)
                _climb(bench, peer, runs, _TRIED_CLIENTS, _TRIED_SECONDS)
        except SystemExit as error:
            if not isinstance(error.code, str):
                raise  # the bench itself was told to end
            print(f"  {name}, {setting.about}: not measured: {error}", flush=True)
            ranks.append((-1.0, 0.0))
            continue
        kept = _highest(runs)
        rate = statistics.median(rate for _, rate in runs[kept]) if kept else 0.0
        worst = runs[_TRIED_CLIENTS[0]][0][0].p99
        told = f"{rate:.0f} requests for each second of CPU time at {kept} clients" if kept else f"p99 {worst:.1f} ms"
        print(f"  {name}, {setting.about}: {told}", flush=True)
        ranks.append((rate, -worst))
    return settings[ranks.index(max(ranks))]


def _require_equal(bench: Bench, peer: Peer) -> None:
    for question, expected in zip(bench.questions, bench.expected, strict=True):
        found = answer(peer, question)
        if abs(round(found, 1) - expected) > ROUNDING:
            raise SystemExit(f"{peer.name} says {found} where the gateway says {expected}: {question}")


def _in_turns(bench: Bench, peer: Peer) -> tuple[Runs, Runs]:
    found: dict[str, Runs] = {bench.ours.name: defaultdict(list), peer.name: defaultdict(list)}
    for turn in range(bench.arguments.repeats):
        for each in (bench.ours, peer) if turn % 2 == 0 else (peer, bench.ours):
            _climb(bench, each, found[each.name], CLIENTS, bench.arguments.seconds)
    return found[bench.ours.name], found[peer.name]


def _climb(bench: Bench, peer: Peer, runs: Runs, levels: tuple[int, ...], seconds: float) -> None:
    """Ask with more and more clients, until p99 is far beyond what counts."""
    bodies = bench.file(f"{peer.name}.txt", [peer.ask(each) for each in bench.questions])
    wrk(bench.folder, peer.url, bodies, peer.headers, 16, 1)
    for clients in levels:
        before = cpu_seconds(peer.pids)
        found = wrk(bench.folder, peer.url, bodies, peer.headers, clients, seconds)
        runs.setdefault(clients, []).append((found, found.answers / max(0.01, cpu_seconds(peer.pids) - before)))
        if found.p99 > _FAR_MS:
            return


def _highest(runs: Runs) -> int:
    """The highest number of clients that were all answered with the median p99 in bounds; 0 if there is none."""
    middles = {clients: Load.middle([each for each, _ in found]) for clients, found in runs.items() if found}
    return max((clients for clients, each in middles.items() if each.p99 <= P99_MS and not each.errors), default=0)


def _print(name: str, runs: Runs) -> None:
    for clients, found in runs.items():
        if found:
            middle, rate = Load.middle([each for each, _ in found]), statistics.median(rate for _, rate in found)
            print(
                f"{name:<10} {clients:>7} {middle.p50:>8.2f} {middle.p95:>8.2f} {middle.p99:>8.2f} {middle.rate:>8.0f} "
                f"{rate:>10.0f} {middle.errors:>7}"
            )


def _compare(name: str, runs: Runs, ours: Runs) -> None:
    kept, mine = _highest(runs), _highest(ours)
    if not kept or not mine:
        print(
            f"{name}: p99 is above {P99_MS:.0f} ms even for one client ({'its' if not kept else 'the gateway'}): no figure"
        )
        return
    rate, own = (statistics.median(each for _, each in found) for found in (runs[kept], ours[mine]))
    print(
        f"{name}: {rate:.0f} requests for each second of CPU time at {kept} clients, the gateway {own:.0f} at {mine}: {own / rate:.2f} times"
    )
