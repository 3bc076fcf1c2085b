"""Labelled rides until a lasting quarter more of a ride's time is seen: ours beside Evidently and alibi-detect.

All see the same number a ride: the log ratio of truth to answer. All are set to the same rate of false alarms on the same
stable half-years: a threshold is the level that so few of them reach. Every peer's test is run with each window size, and only
its best one, on the very onsets that are reported, is held against ours. Windows of Evidently's tests are laid end to end; those
of alibi-detect's slide. Their packages: bench/peers/requirements.txt.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import drift_stable as stable
import numpy as np
import plots
from drift_scenarios import onsets
from drift_world import DAY, Array, World
from serving_peers import environment

from tiphys.watch.drift import sequential
from tiphys.watch.drift.reference import Reference
from tiphys.watch.drift.residuals import ALL, Residuals, Rows
from tiphys.watch.drift.thresholds import CHOSEN

_CODE = Path(__file__).parent / "peers"
_FIGURES = Path(__file__).parent.parent / "docs" / "figures"
SLOWER = 1.25
OURS = "tiphys, limits in use"
"""Its three directions together raise fewer false alarms than the peers are allowed: none in 200 half-years of 2018."""
WINDOWS = (100, 200, 330, 700, 1100)
_SLIDING = (50, 100, 200, 400)
RATE = 0.1
"""Half-years with a false alarm, as a share: 0.2 a year."""
_BEFORE, _AFTER = 7, 14
_HALF_YEARS, _WEEKS = 200, 26


def report(first: World, second: World, reference: Reference, kept: Path, count: int) -> None:
    """Print a line a detector."""
    weeks = [np.flatnonzero(np.isin(first.day, days)) for days in stable.whole_weeks(np.unique(first.day).tolist())]
    ratio = [np.log(each.rows.target / each.value).astype(np.float64) for each in (first, second)]
    streams = [_stream(second, ratio[1], at) for at in onsets(second, count)]
    found = _ours(first, second, reference, weeks, count)
    for peer in (_evidently, _alibi):
        found |= peer(kept, ratio[0], weeks, streams)
        _said_of_all(found)
    _drawn(found)


def _said_of_all(found: dict[str, Array]) -> None:
    ours = float(np.mean(found[OURS]))
    print("detector | seen | labelled rides until the alarm: mean, median, 90 % | ours as a share of its mean")
    for name, rides in sorted(found.items(), key=lambda each: np.mean(each[1])):
        print(f"{name} | {np.isfinite(rides).sum()} of {len(rides)} | {_said(rides)} | {ours / np.mean(rides):.2f}")


def _drawn(found: dict[str, Array]) -> None:
    rows = sorted(((name, float(np.mean(rides))) for name, rides in found.items()), key=lambda each: each[1])
    shown = [(name.replace("alibi-detect ", "alibi "), rides) for name, rides in rows if np.isfinite(rides)]
    plots.bars(
        _FIGURES / "drift-delay.svg", "Labelled rides until rides that take a quarter longer are seen", shown, "rides"
    )


def _said(rides: Array) -> str:
    return ", ".join(f"{each:.0f}" for each in (np.mean(rides), np.median(rides), np.quantile(rides, 0.9)))


def _stream(world: World, ratio: Array, onset: float) -> tuple[Array, int]:
    """Errors from a week before the onset to two weeks after it, a quarter more from then on, and where that begins."""
    there = (world.moment >= onset - _BEFORE * DAY) & (world.moment < onset + _AFTER * DAY)
    own, moment = ratio[there], world.moment[there]
    begins = int(np.searchsorted(moment, onset))
    return np.concatenate([own[:begins], own[begins:] + np.log(SLOWER)]), begins


def threshold(scores: Sequence[float]) -> float:
    """Level that a share ``RATE`` of half-years of such weeks reaches: ``scores`` are the weeks' highest."""
    chance = np.random.default_rng(3)
    weeks = np.asarray(scores)[chance.integers(0, len(scores), (_HALF_YEARS, _WEEKS))]
    return float(np.quantile(weeks.max(axis=1), 1 - RATE))


def _ours(first: World, second: World, reference: Reference, weeks: Sequence[Array], count: int) -> dict[str, Array]:
    """The running test of all rides, its limit set as the peers' are; evidence is carried over the weeks."""
    errors, group = reference.residuals, reference.residuals.groups[ALL]
    blocks = [_sums(errors, stable.rows_of(first.where(each), ())) for each in weeks]
    gained = [_gains(each, group) for each in blocks]
    chance, highest = np.random.default_rng(3), []
    for drawn in chance.integers(0, len(weeks), (_HALF_YEARS, _WEEKS)):
        hourly = np.concatenate([gained[int(each)] for each in drawn])
        highest.append(_highest(hourly))
    limit = float(np.quantile(highest, 1 - RATE))
    print(f"ours: limit {limit:.2f} at that rate for longer rides alone; the one in use is {CHOSEN.error_longer}")
    return {
        name: np.array([_until(second, errors, group, at, each) for at in onsets(second, count)])
        for name, each in ((OURS, CHOSEN.error_longer), ("tiphys, at that rate for longer rides alone", limit))
    }


def _sums(errors: Residuals, rows: Rows) -> Array:
    _, sums = errors.ledger(rows).stacked()
    found: Array = sums[:, tuple(errors.groups).index(ALL)]
    return found


def _gains(sums: Array, group: object) -> Array:
    found: Array = np.minimum(sequential.gains(sums, group, "longer", CHOSEN), CHOSEN.error_day)  # type: ignore[arg-type]
    return found


def _highest(hourly: Array) -> float:
    _, peaks = sequential.run(hourly[:, None, -1], hourly.max(axis=1)[:, None], np.array([np.inf]))
    return float(peaks.max())


def _until(world: World, errors: Residuals, group: object, onset: float, limit: float) -> float:
    """Rides from the onset to the end of the hour in which the evidence passes the limit; infinite if it does not."""
    begin = np.floor((onset - 21 * DAY) / DAY) * DAY
    near = world.where((world.moment >= begin) & (world.moment < onset + _AFTER * DAY))
    rows = stable.rows_of(near, ())
    rows = Rows(
        rows.moment,
        rows.value,
        rows.low,
        rows.high,
        np.where(rows.moment >= onset, SLOWER, 1.0) * rows.actual,
        rows.masks,
    )
    hourly, before = _gains(_sums(errors, rows), group), 0.0
    for day, gained in enumerate(hourly):
        ends = begin + day * DAY + 3600.0 * (np.arange(24) + 1)
        passed = np.flatnonzero((before + gained >= limit) & (ends > onset))
        if len(passed):
            return float(((rows.moment >= onset) & (rows.moment < ends[passed[0]])).sum())
        before = max(0.0, before + float(gained[-1]))
    return np.inf


def _asked(python: Path, script: str, given: dict[str, Array], kept: Path) -> dict[str, Array]:
    """Let a peer's program answer; what it answered to the same is kept."""
    source, target = kept / f"{script}-in.npz", kept / f"{script}-out.npz"
    if not target.exists():
        np.savez(source, **given)
        subprocess.run([str(python), str(_CODE / f"{script}.py"), str(source), str(target)], check=True)
    held = np.load(target)
    return {name: held[name] for name in held.files}


def _evidently(
    kept: Path, ratio: Array, weeks: Sequence[Array], streams: Sequence[tuple[Array, int]]
) -> dict[str, Array]:
    reference = np.random.default_rng(4).choice(ratio, 10_000, replace=False)
    given = {"reference": reference}
    for size in WINDOWS:
        given |= {f"{size} week {number}": _cut(ratio[rows], size) for number, rows in enumerate(weeks)}
        given |= {f"{size} onset {number}": _cut(stream, size) for number, (stream, _) in enumerate(streams)}
    scores = _asked(environment(kept / "peers", "evidently"), "drift_evidently", given, kept)
    found = {}
    for method in sorted({name.rpartition("|")[2] for name in scores}):
        of = {size: _delays(scores, method, size, len(weeks), streams) for size in WINDOWS}
        best = min(of, key=lambda size: float(np.mean(of[size])))
        found[f"Evidently {method}, windows of {best}"] = of[best]
    return found


def _cut(errors: Array, size: int) -> Array:
    """Windows [number, size] laid end to end; what is left over is dropped."""
    return errors[: len(errors) // size * size].reshape(-1, size)


def _delays(
    scores: dict[str, Array], method: str, size: int, weeks: int, streams: Sequence[tuple[Array, int]]
) -> Array:
    limit = threshold([float(scores[f"{size} week {number}|{method}"].max()) for number in range(weeks)])
    found = []
    for number, (_, begins) in enumerate(streams):
        ends = size * (np.arange(len(scores[f"{size} onset {number}|{method}"])) + 1)
        passed = np.flatnonzero((scores[f"{size} onset {number}|{method}"] > limit) & (ends > begins))
        found.append(float(ends[passed[0]] - begins) if len(passed) else np.inf)
    return np.array(found)


def _alibi(kept: Path, ratio: Array, weeks: Sequence[Array], streams: Sequence[tuple[Array, int]]) -> dict[str, Array]:
    given = {"reference": np.random.default_rng(4).choice(ratio, 1000, replace=False)}
    given |= {f"week {number}": ratio[rows] for number, rows in enumerate(weeks)}
    filled = 500
    given |= {
        f"onset {number}": stream[begins - filled : begins + 1800] for number, (stream, begins) in enumerate(streams)
    }
    held = _asked(environment(kept / "peers", "alibi_detect"), "drift_alibi", given, kept)
    found = {}
    for at in range(held["week 0"].shape[1]):
        limit = threshold([float(np.nanmax(held[f"week {number}"][:, at])) for number in range(len(weeks))])
        delays: list[float] = []
        for number in range(len(streams)):
            passed = np.flatnonzero(held[f"onset {number}"][filled:, at] > limit)
            delays.append(float(passed[0] + 1) if len(passed) else np.inf)
        found[f"alibi-detect CVMDriftOnline, window {_SLIDING[at]}"] = np.array(delays)
    return found
