"""The whole loop after each scenario: ``python -m bench.loop FOLDER [--scenario NAME ...] [--repeats 3]``: plots, and a table.

FOLDER holds TLC files (../shared/data/tlc). A model trained on whole months serves real rides of 2019; at an onset, drawn at random, the
scenario begins. In process and on the rides' own clock, by the code that the servers run: the gateway's questions, which outcomes
stand, the watch's hourly look, the governor's desk with the use case's policy, a retraining's window, training, contest and gates. Export,
load test and canary are not part of it: ``--way`` seconds pass from a yes to production. Slower streets are lived through at
``--repeats`` onsets, the others at the first.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench import loop_city as city
from bench import loop_models as models
from bench import loop_told as told
from bench.loop_city import DAY
from bench.loop_life import AFTER_DAYS, World, live
from bench.loop_models import Workshop
from bench.model import USE_CASE, read
from tiphys.lake.window import Timed

if TYPE_CHECKING:
    from bench.loop_life import Life
    from tiphys.usecase import Examples

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
REPEATED = "slower_streets"
_BEFORE_DAYS, _ONSETS = 14, 3
_FIRST, _LAST = np.datetime64("2019-02-15"), np.datetime64("2019-05-31")


def main() -> None:
    """Live through the scenarios, and print and draw what happened."""
    asked = arguments()
    logging.basicConfig(level=logging.ERROR)
    shop, rows = Workshop(asked.kept), read(asked.folder)
    lives: dict[str, list[Life]] = {}
    began = time.perf_counter()
    for number, onset in enumerate(onsets(asked.repeats)):
        names = [each for each in asked.scenario if each == REPEATED or number == 0]
        if not names:
            continue
        world = world_of(asked.folder, rows, onset, shop)
        for name in names:
            lives.setdefault(name, []).append(one(world, name, shop, asked.way))
        told.same_before([each[number] for each in lives.values() if len(each) > number])
    for name, each in lives.items():
        told.draw(each[0], FIGURES / f"loop-{name}.svg")
    told.table(lives)
    if REPEATED in lives:
        told.excess(lives[REPEATED])
    print(f"\n({time.perf_counter() - began:.0f} s, load {os.getloadavg()[0]:.1f})")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    known = list(USE_CASE.part("scenarios").SCENARIOS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the real files")
    parser.add_argument("--scenario", nargs="+", default=known, choices=known, metavar="NAME")
    parser.add_argument(
        "--repeats", type=int, default=_ONSETS, choices=range(1, _ONSETS + 1), help="onsets of slower streets"
    )
    parser.add_argument("--way", type=float, default=360.0, help="seconds of the own clock from a yes to production")
    parser.add_argument("--kept", type=Path, default=Path("/tmp/tiphys-loop"), help="weights")  # noqa: S108
    return parser.parse_args()


def onsets(count: int) -> list[float]:
    """The first of a few hours of 2019 with a served fortnight before and four weeks after, drawn at random."""
    chance = np.random.default_rng(17)
    days = _FIRST.astype(int) + chance.integers(0, int((_LAST - _FIRST).astype(int)), _ONSETS)
    hours = chance.integers(0, 24, _ONSETS)
    return [float(day * DAY + hour * 3600) for day, hour in zip(days, hours, strict=True)][:count]


def world_of(folder: Path, rows: Examples, onset: float, shop: Workshop) -> World:
    """What there is around a moment of change."""
    month = np.datetime64(int(onset - _BEFORE_DAYS * DAY), "s").astype("datetime64[M]")
    begin = float(month.astype("datetime64[s]").astype(np.int64))
    every = models.in_order([Timed(rows, rows.features["pickup_time"].astype(np.float64))])
    past, before = (every.where(every.moment < each) for each in (begin, onset))
    old = shop.first(past.rows)
    reference = models.reference(old, past, f"models:/{USE_CASE.name}/1")
    return World(onset, begin, past, before, city.arrivals(folder, begin, onset + AFTER_DAYS * DAY), old, reference)


def one(world: World, name: str, shop: Workshop, way_s: float) -> Life:
    """Live through one scenario, and say how long that took."""
    began = time.perf_counter()
    life = live(world, USE_CASE.part("scenarios").SCENARIOS[name], shop, way_s)
    told.same_until_replaced(life)
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return life


if __name__ == "__main__":
    main()
