"""Made-up boilings: physics, a lossy kettle, and a clumsy hand."""

from __future__ import annotations

import csv
import random
from pathlib import Path

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


def _boiling(chance: random.Random, month: int) -> list[str]:
    litres, celsius = chance.uniform(0.2, 1.7), float(chance.randint(5, 60))
    seconds = litres * HEAT * (100 - celsius) / (WATTS * chance.gauss(0.9, 0.02))
    if chance.random() < 0.03:
        litres = 0.0
    moment = f"2024-{month:02}-{chance.randint(1, 28):02} {chance.randint(6, 22):02}:{chance.randint(0, 59):02}:00"
    return [moment, f"{litres:.3f}", f"{celsius:.0f}", f"{seconds:.1f}"]
