"""How long one look takes: 100,000 answers with 12 columns, from Arrow tables to verdict, page and metrics, beside Evidently.

python bench/monitor.py [--rows 100000] [--peers FOLDER]
Evidently compares the same columns with the same number of reference rows in its DataDriftPreset and saves its page; the time
to import each is told apart. Both in this run, one after the other: with other load on the machine, the ratio is what counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from serving_peers import environment

from components.monitor import prometheus, report
from tiphys.watch.drift.reference import make
from tiphys.watch.drift.residuals import Rows
from tiphys.watch.drift.summary import Window
from tiphys.watch.drift.watch import State, look

_COLUMNS = 12
_PEER = """
import sys, time
begun = time.perf_counter()
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
imported = time.perf_counter()
a, b = (pd.read_parquet(each) for each in sys.argv[1:3])
read = time.perf_counter()
Report([DataDriftPreset()]).run(b, a).save_html(sys.argv[3])
print(imported - begun, time.perf_counter() - read)
"""


def main() -> None:
    """Print both."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=100_000)
    asked.add_argument("--peers", type=Path, default=Path("/tmp/tiphys-drift/peers"))  # noqa: S108
    asked.add_argument("--out", type=Path, default=Path("/tmp/tiphys-drift"))  # noqa: S108
    options = asked.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{options.rows} rows x {_COLUMNS} columns, load {os.getloadavg()[0]:.1f}")
    ours, cpu = _ours(options.rows, options.out)
    print(f"ours: {ours:.2f} s, of it {cpu:.2f} s of processor: sketches, tests, page, metrics")
    import_s, run_s = _theirs(options.rows, options.peers, options.out)
    print(f"Evidently: {run_s:.2f} s and {import_s:.2f} s to import: {run_s / ours:.1f} times ours without the import")


def _ours(rows: int, out: Path) -> tuple[float, float]:
    """Arrow columns in, page and metrics out; the reference is there already, as after a version's first look."""
    past, now = (_table(rows, seed) for seed in (1, 2))
    kinds = {name: "category" if name.startswith("c") else "number" for name in past.column_names if name not in _OWN}
    moment, labelled = _moments(past), _rows(past)
    columns = {name: (kind, name, past[name].to_numpy()) for name, kind in kinds.items()}
    about = {"use_case": "bench", "model_version": "models:/bench/1", "unit": "s"}
    reference = make(about, moment=moment, columns=columns, truths=labelled.actual, tested=labelled, masks={})  # type: ignore[arg-type]
    begun, cpu = time.perf_counter(), time.process_time()
    rows_now = _rows(now)
    window = Window(
        0.0, 7 * 86_400.0, _moments(now), {name: now[name].to_numpy() for name in kinds},
        rows_now.value, rows_now.low, rows_now.high, rows_now, np.ones(rows, bool),
    )  # fmt: skip
    found = look(reference, window, State.new(reference))
    (out / "drift.html").write_text(report.page(about, window, found, reference))
    (out / "drift.prom").write_text(prometheus.text(found, about, window.until, time.time()))
    return time.perf_counter() - begun, time.process_time() - cpu


_OWN = {"moment", "value", "low", "high", "actual"}


def _table(rows: int, seed: int) -> pa.Table:
    chance = np.random.default_rng(seed)
    moment = np.sort(chance.uniform(0, 7 * 86_400, rows))
    value = chance.lognormal(6.3, 0.6, rows)
    numbers = {f"n{number}": chance.normal(size=rows) for number in range(_COLUMNS // 2)}
    categories = {f"c{number}": chance.integers(0, 20, rows).astype(float) for number in range(_COLUMNS // 2)}
    actual = value * np.exp(chance.normal(0, 0.35, rows))
    own = {"moment": moment, "value": value, "low": value * 0.64, "high": value * 1.57, "actual": actual}
    return pa.table({**own, **numbers, **categories})


def _moments(table: pa.Table) -> np.ndarray:
    return table["moment"].to_numpy()


def _rows(table: pa.Table) -> Rows:
    vectors = [table[name].to_numpy() for name in ("moment", "value", "low", "high", "actual")]
    return Rows(*vectors, {"all": np.ones(len(table), bool), "late": vectors[0] % 86_400 > 43_200})  # noqa: PLR2004


def _theirs(rows: int, peers: Path, out: Path) -> tuple[float, float]:
    for name, seed in (("a", 1), ("b", 2)):
        table = _table(rows, seed).drop(["moment", "low", "high", "value", "actual"])
        pq.write_table(table, out / f"{name}.parquet")
    arguments = [str(out / each) for each in ("a.parquet", "b.parquet", "evidently.html")]
    python = environment(peers, "evidently")
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", _PEER, *arguments], check=True, capture_output=True, text=True
    )
    imported, ran = done.stdout.split()[-2:]
    return float(imported), float(ran)


if __name__ == "__main__":
    main()
