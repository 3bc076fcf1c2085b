"""Measure the simulator: ``python bench/simulator.py [ROWS]``: seconds, and what its trips look like."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from usecases.taxi_eta.simulator import ROWS, simulate

LIMIT_S = 10.0


def main() -> int:
    """Print the figures; exit 1 where 200,000 trips take longer than the limit."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        files = simulate(Path(folder), rows)
        took = time.perf_counter() - began
        size = sum(each.stat().st_size for each in files)
        trips = pa.concat_tables([csv.read_csv(each).drop_columns(["congestion_surcharge"]) for each in files])
    print(
        f"{rows:,} trips in {len(files)} files, {size / 1e6:.1f} MB: {took:.1f} s, limit for {ROWS:,} is {LIMIT_S:.0f} s"
    )
    _describe(trips)
    return int(rows == ROWS and took > LIMIT_S)


def _describe(trips: pa.Table) -> None:
    pickup = trips["pickup_datetime"].to_numpy().astype("datetime64[s]")
    seconds = (trips["dropoff_datetime"].to_numpy().astype("datetime64[s]") - pickup).astype(np.int64)
    start, end = (trips[f"{name}_location_id"].to_numpy() for name in ("pickup", "dropoff"))
    miles = trips["trip_distance"].to_numpy()
    good = (seconds >= 60) & (seconds <= 10_800) & (miles > 0) & (np.maximum(start, end) <= 263)  # noqa: PLR2004
    print(f"good rows {good.mean():.1%}; median {np.median(seconds[good]):.0f} s, {np.median(miles[good]):.2f} miles")
    last = pickup.astype("datetime64[M]") == pickup.astype("datetime64[M]").max()
    pair = start * 1000 + end
    past, test = good & ~last, good & last
    middle = np.median(seconds[past])
    by_pair = _medians(pair[past], seconds[past])
    guess = np.array([by_pair.get(each, middle) for each in pair[test]])
    print(
        f"pairs seen {len(by_pair):,}; error of the global median {np.abs(seconds[test] - middle).mean():.0f} s", end=""
    )
    print(f", of the pair's median {np.abs(seconds[test] - guess).mean():.0f} s, on the last month")


def _medians(keys: np.ndarray, values: np.ndarray) -> dict[int, float]:
    order = np.argsort(keys, kind="stable")
    names, first = np.unique(keys[order], return_index=True)
    parts = np.split(values[order], first[1:])
    return {int(name): float(np.median(part)) for name, part in zip(names, parts, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
