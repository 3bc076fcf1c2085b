"""Drift tests on real rides: false alarms on stable half-years, every scenario over 50 onsets, beside other libraries.

python bench/drift.py FOLDER [--kept FOLDER] [--only stable|replay|scenarios|peers] [--half-years 200] [--onsets 50]

FOLDER has the files of 2018-01..2019-06 (../shared/data/tlc). Thresholds are those of ``thresholds.py``, chosen on 2018 alone: stable
half-years are weeks of 2018 drawn with replacement, and, as nobody chose anything by it, weeks of 2019 against 2018. A false
alarm of a check is one after a week without. 2019-01..06 is replayed day by day as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path

import drift_peers
import drift_scenarios
import drift_stable as stable
import numpy as np
import plots
from drift_world import DAY, World, load

from tiphys.watch.drift.reference import Reference
from tiphys.watch.drift.thresholds import CHOSEN
from tiphys.watch.drift.watch import State, look

_FIGURES = Path(__file__).parent.parent / "docs" / "figures"


def main() -> None:
    """Print the figures."""
    asked = arguments()
    first, second = load(asked.folder, asked.kept)
    reference = stable.reference_of(first)
    parts = {
        "stable": lambda: false_alarms(first, second, reference, asked.half_years),
        "replay": lambda: replay(second, reference),
        "scenarios": lambda: drift_scenarios.report(second, reference, asked.onsets),
        "peers": lambda: drift_peers.report(first, second, reference, asked.kept, asked.onsets),
    }
    for name, part in parts.items():
        if asked.only in {"", name}:
            begun = time.perf_counter()
            print(f"\n## {name}")
            part()
            print(f"({name}: {time.perf_counter() - begun:.0f} s, load {os.getloadavg()[0]:.1f})")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the real files")
    parser.add_argument("--kept", type=Path, default=Path("/tmp/tiphys-drift"), help="answers and peers' environments")  # noqa: S108
    parser.add_argument("--only", default="", choices=("", "stable", "replay", "scenarios", "peers"))
    parser.add_argument("--half-years", type=int, default=200)
    parser.add_argument("--onsets", type=int, default=50)
    return parser.parse_args()


def false_alarms(first: World, second: World, reference: Reference, count: int) -> None:
    """Stable half-years: alarms a year, with the interval that a bootstrap over half-years gives."""
    for name, world, skipped in (
        ("2018", first, ()),
        ("2019", second, ()),
        ("2019 without passengers", second, ("mix passengers",)),
    ):
        summaries = stable.summed(world, reference)
        weeks = stable.whole_weeks(list(summaries))
        begin = weeks[0][0]
        per_half_year, which = [], Counter[str]()
        for number in range(count):
            days = stable.drawn(weeks, 26, np.random.default_rng([2, number]))
            found = stable.measure(reference, stable.stamped(summaries, days, begin), begin, CHOSEN)
            told = {
                key: stable.episodes(each) for key, each in stable.alarms(found, CHOSEN).items() if key not in skipped
            }
            per_half_year.append(sum(told.values()))
            which.update({key: each for key, each in told.items() if each})
        low, high = _interval(per_half_year)
        print(
            f"{name}: {len(weeks)} weeks, {count} half-years: {2 * np.mean(per_half_year):.2f} false alarms a year ({low:.2f} to {high:.2f}); {dict(which.most_common(8))}"
        )


def _interval(counts: list[int]) -> tuple[float, float]:
    """95 % interval of the yearly rate: half-years drawn with replacement."""
    drawn = np.random.default_rng(0).choice(counts, (2000, len(counts))).mean(axis=1) * 2
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def replay(world: World, reference: Reference) -> None:
    """2019 as it was, looked at every midnight with the week before."""
    state, first = State.new(reference), int(world.day.min())
    told: dict[str, list[str]] = {}
    evidence: list[float] = []
    days = range(7, int(world.day.max()) - first + 2)
    for number in days:
        until = float((first + number) * DAY)
        window = stable.window_of(world, reference, until - 7 * DAY, until)
        found = look(reference, window, state)
        state = found.state
        evidence.append(found.tracks[0].peak / found.tracks[0].limit)
        for each in found.alarms:
            told.setdefault(f"{each.kind} {each.subject}", []).append(str(np.datetime64(first + number - 1, "D")))
    for name, when in told.items():
        print(f"{name}: {len(when)} days, {when[0]} to {when[-1]}")
    print(f"{len(days)} looks, {len(told)} findings: {json.dumps({name: len(each) for name, each in told.items()})}")
    labels = [str(np.datetime64(first + number - 1, "D")) if number % 30 == 0 else "" for number in days]
    plots.lines(
        _FIGURES / "drift-replay.svg",
        "Evidence of longer rides in 2019, replayed (1: alarm)",
        labels,
        {"evidence": evidence},
        "",
    )


if __name__ == "__main__":
    main()
