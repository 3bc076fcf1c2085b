"""What the taxi's live feature gives: ``python -m bench.recent FOLDER [--seeds 2] [--change 2019-05-13]``.

FOLDER holds TLC files (snake_case CSV, gzip). Prints the figures of usecases/taxi_eta/recent.py (the usual by hour and miles, and
the prior), the model's error with and without the feature, trained alike, and what is left of it where the value is
missing. With ``--change``, how much a retraining still helps after every trip takes ``--factor`` times as long: the
old model has the feature at hand, too.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench import model as bench
from bench.retrain import at, by_months, errors, windowed
from components.train import choose
from tiphys.lake.window import Timed, cut, moment_of
from usecases.taxi_eta import lookups
from usecases.taxi_eta.recent import RECENT

if TYPE_CHECKING:
    from tiphys.usecase import Examples

_FITTED_UNTIL = 2019 * 12
_DAY_S = 86_400


def without(rows: Examples) -> Examples:
    """Rows of a world in which nobody keeps the feature."""
    unknown = np.full(len(rows), RECENT.fallback, np.float32)
    return dataclasses.replace(rows, features={**rows.features, RECENT.name: unknown})


def figures(rows: Examples) -> None:
    """Print the least-squares fit to the trips of 2018, and how rides and hours differ from it."""
    rows = rows.where(rows.month < _FITTED_UNTIL)
    hour = lookups.week_hour_of(rows.features["pickup_time"])
    column = hour % lookups.HOURS + lookups.HOURS * (hour >= 5 * lookups.HOURS)
    x = np.log(rows.hindsight["miles"] + 0.3)
    design = np.column_stack([column[:, None] == np.arange(2 * lookups.HOURS), x, x * x]).astype(np.float64)
    logs = np.log(rows.target.astype(np.float64))
    found = np.linalg.lstsq(design, logs, rcond=None)[0]
    for name, part in (("working day", found[:24]), ("weekend", found[24:48]), ("by miles", found[48:])):
        print(f"{name}: {', '.join(f'{each:.3g}' for each in part)}")
    _, which, count = np.unique(
        rows.features["pickup_time"] // RECENT.window_s, return_inverse=True, return_counts=True
    )
    off = logs - design @ found
    mean = np.bincount(which, off) / count
    within = ((off - mean[which]) ** 2).sum() / (len(off) - len(count))
    usual = (len(off) - (count**2).sum() / len(off)) / (len(count) - 1)
    between = ((count * mean**2).sum() / (len(count) - 1) - within) / usual
    print(f"rides differ by {within**0.5:.3f}, windows by {between**0.5:.3f}: a prior of {within / between:.1f} rides")


def compare(rows: Examples, seeds: int) -> None:
    """Print the error of models that know the feature, and of models that never did."""
    test_month = rows.month.max()
    print("\n| seed | without | with | with, value missing | where it is far off |\n|---|---|---|---|---|")
    for seed in range(seeds):
        told = []
        for each in (without(rows), rows):
            past, test = each.where(each.month < test_month), each.where(each.month == test_month)
            model, _ = bench.train(past, past.month == test_month - 1, seed)
            told.append(errors(model, test))
        missing = float(errors(model, without(test)).mean())
        pace = np.abs(test.features[RECENT.name])
        far = pace > np.quantile(pace, 0.9)
        gain = f"tenth farthest off: {told[0][far].mean():.1f} -> {told[1][far].mean():.1f}"
        print(f"| {seed} | {told[0].mean():.1f} | {told[1].mean():.1f} | {missing:.1f} | {gain} |", flush=True)


def slowdown(rows: Examples, change: str, factor: float, seen: int, *, knows: bool) -> None:
    """Print what retraining gives in the week after so many trips were seen since the change."""
    timed = at(rows, change, factor)
    timed, moment = timed if knows else Timed(without(timed.rows), timed.moment), timed.moment
    first = int(np.searchsorted(moment, moment_of(change)))
    known = timed.where(np.arange(first + seen))
    until = float(known.moment[-1])
    week = timed.where((moment > until) & (moment <= until + 7 * _DAY_S)).rows
    before = known.where(known.moment < moment_of(change)).rows
    frozen = by_months(before.where(before.month < before.month.max()))
    made = cut(known, change)
    new = windowed(made, choose.window(bench.USE_CASE, made, choose.Asked(change)))
    old_error, new_error = (float(errors(each, week).mean()) for each in (frozen, new))
    soon = timed.where((moment >= moment_of(change)) & (moment < moment_of(change) + _DAY_S)).rows
    print(
        f"| {change} | {'with' if knows else 'without'} | {errors(frozen, soon).mean():.1f} | {old_error:.1f} | {new_error:.1f} "
        f"| {new_error / old_error:.3f} |",
        flush=True,
    )


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--change", nargs="*", default=[])
    parser.add_argument("--factor", type=float, default=1.25)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = bench.read(given.folder)
    figures(rows)
    if given.seeds:
        compare(rows, given.seeds)
    if given.change:
        print("\n| change | feature | first day, old | week after, old | new | new / old |\n|---|---|---|---|---|---|")
    for change in given.change:
        for knows in (False, True):
            slowdown(rows, change, given.factor, given.rows, knows=knows)


if __name__ == "__main__":
    main()
