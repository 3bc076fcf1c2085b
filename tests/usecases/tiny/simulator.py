"""Made-up boilings: physics, a lossy kettle, and a clumsy hand."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

from tiphys.usecase import Arrival

WATTS = 2000.0
HEAT = 4186.0
"""Joules that warm a litre of water by one degree."""


def simulate(folder: Path, rows: int = 2000, seed: int = 1) -> None:
    """Write four months of CSV, 2024-01..2024-04, with three bad rows in a hundred."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for month in range(1, 5):
        with (folder / f"boilings_2024-{month:02}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["switched_on", "litres", "celsius", "seconds"])
            for _ in range(rows // 4):
                writer.writerow(_boiling(chance, month))


def arrivals(start: float, end: float, *, rate: float, seed: int) -> Iterator[Arrival]:
    """Boilings live: by day from six to 23 o'clock, ``rate`` an hour in the mean of a day; hours are drawn one by one.

    One in ten is never reported, one in ten by a thermometer that is trusted; a report comes 5 s after the water boils.
    """
    for hour in range(math.floor(start / 3600), math.ceil(end / 3600)):
        chance = random.Random(seed * 10_000_019 + hour)
        moment = hour * 3600.0
        while (
            hour % 24 in range(6, 23)
            and (moment := moment + chance.expovariate(rate * 24 / 17 / 3600)) < (hour + 1) * 3600
        ):
            each = _live(chance, moment)
            if start <= moment < end:
                yield each


def replay(table: Any) -> Iterator[Arrival]:
    """Boilings of a file, asked about when the kettle was switched on."""
    for row in table.to_pylist():
        moment = row["switched_on"].replace(tzinfo=UTC).timestamp()
        request = {"litres": row["litres"], "celsius": int(row["celsius"])}
        yield Arrival(moment, "host", request, row["seconds"], moment + row["seconds"] + 5.0, {"switched_on": moment})


def _live(chance: random.Random, moment: float) -> Arrival:
    litres, celsius = round(chance.uniform(0.2, 1.7), 3), chance.randint(5, 60)
    seconds = litres * HEAT * (100 - celsius) / (WATTS * chance.gauss(0.9, 0.02))
    persona = "tea_drinker" if litres <= 1 else "host"
    lot = chance.random()
    return Arrival(
        moment, persona, {"litres": litres, "celsius": celsius}, None if lot < 0.1 else round(seconds, 1),
        moment + seconds + 5.0, {} if lot < 0.1 else {"switched_on": round(moment)}, trusted=lot >= 0.9,
    )  # fmt: skip


def _boiling(chance: random.Random, month: int) -> list[str]:
    litres, celsius = chance.uniform(0.2, 1.7), float(chance.randint(5, 60))
    seconds = litres * HEAT * (100 - celsius) / (WATTS * chance.gauss(0.9, 0.02))
    if chance.random() < 0.03:
        litres = 0.0
    moment = f"2024-{month:02}-{chance.randint(1, 28):02} {chance.randint(6, 22):02}:{chance.randint(0, 59):02}:00"
    return [moment, f"{litres:.3f}", f"{celsius:.0f}", f"{seconds:.1f}"]
