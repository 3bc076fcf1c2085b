"""The table of a model's variants, measured at length: size, error, latency, throughput, memory, cost; what was not run, and why.

    tiphys up && tiphys run continuous-training ...
    .venv/bin/python bench/variants.py [--use-case taxi_eta] [--version models:/taxi_eta/1] [--seconds 5] [--rounds 3]
        [--openvino PYTHON] [--core-hour 0.04 --gpu-hour 2.5 --device-hour 0] [--figures docs/figures]

The same code as in the step `export`, on the newest registered version and its own dataset in the running stack: only longer, and
in rounds, of which the median is told. OpenVINO comes from a Python of its own (`bench/openvino.txt` says how to make one).
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

import plots
from pipeline import PROJECT

sys.path.insert(0, str(PROJECT))
from components.export import interval, onnx_export
from components.export.step import as_asked, calibration, held_out
from components.export.variants.choose import choose
from components.export.variants.table import Bench, Prices, Variant, middle, table
from tiphys import model_files
from tiphys.settings import stack_settings
from tiphys.stack import environment
from tiphys.step import contracts
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase

COLUMNS = (
    ("variant", "{0.name}"),
    ("MB", "{0.size_mb:.2f}"),
    ("MAE", "{0.mae:.2f}"),
    ("loss", "{0.loss:+.3%}"),
    ("loss at most", "{0.loss_at_most:.3%}"),
    ("worst difference", "{0.worst_difference:.3g}"),
    ("load ms", "{0.load_ms:.0f}"),
    ("p50 ms", "{0.p50_ms:.3f}"),
    ("p95 ms", "{0.p95_ms:.3f}"),
    ("p99 ms", "{0.p99_ms:.3f}"),
    ("rows/s", "{0.rows_per_s:,.0f}"),
    ("memory MB", "{0.memory_mb:.0f}"),
    ("one by one", "{0.cost_one_by_one:.5f}"),
    ("in batches", "{0.cost_in_batches:.6f}"),
    ("on device", "{0.cost_on_device:.5f}"),
)


def measure(given: argparse.Namespace) -> list[Variant]:
    """Measure every variant in rounds."""
    use_case, tracking = UseCase(given.use_case), Tracking()
    version = tracking.version(given.version or newest(tracking, use_case.name))
    run = tracking.run(version.run)
    if run is None:
        raise SystemExit(f"MLflow does not know the run of {version.name} {version.number}")
    model = model_files.load_model(use_case, model_files.fetch_version(tracking, version))
    _, latest = held_out(use_case, run.tags["tiphys.dataset"])
    made_from, measured_on = (latest.where(half) for half in interval.halves(len(latest)))
    band = interval.fit(onnx_export.ask_torch(model, use_case, made_from.features), made_from.target)
    plain = onnx_export.to_onnx(model, use_case, band)
    pythons = {"openvino": given.openvino} if given.openvino else {}
    bench = Bench(Prices(given.core_hour, given.gpu_hour, given.device_hour), given.seconds, pythons)
    rows, shown = as_asked(use_case, measured_on), calibration(use_case, made_from)
    rounds = [table(plain, shown, rows, bench) for _ in range(given.rounds)]
    print(
        f"{version.name} version {version.number}, {len(rows):,} held-out rows, {given.rounds} x {given.seconds:g} s\n"
    )
    return [middle([each[name][0] for each in rounds]) for name in rounds[0]]


def newest(tracking: Tracking, name: str) -> str:
    """Name the newest registered version."""
    found = tracking.versions(name)
    if not found:
        raise SystemExit(f"no version of {name} is registered here: run the pipeline once")
    return found[0].uri


def show(variants: list[Variant], figures: Path) -> None:
    """Print the table and draw the plots."""
    done = [each for each in variants if each.measured]
    columns = [each for each in COLUMNS if all(_cell(each[1], variant) for variant in done)]
    print("| " + " | ".join(name for name, _ in columns) + " |\n|" + "---|" * len(columns))
    for variant in done:
        print("| " + " | ".join(_cell(text, variant) for _, text in columns) + " |")
    print("\nNot run:\n")
    for variant in variants:
        if not variant.measured:
            print(f"- `{variant.name}`: {variant.reason}")
    for field, title, unit in (
        ("p50_ms", "Latency of one row, median", "ms"),
        ("rows_per_s", "Rows a second in batches of 1,024, one core", "/s"),
        ("size_mb", "Size of the file", "MB"),
        ("loss_at_most", "Loss that no truth can exceed, share of the error", ""),
        ("memory_mb", "Peak memory of model and questions", "MB"),
    ):
        shown = [(each.name, float(getattr(each, field))) for each in done]
        plots.bars(figures / f"variants-{field.replace('_', '-')}.svg", title, shown, unit, marked=done[0].name)


def _cell(text: str, variant: Variant) -> str:
    named = {each.name for each in fields(variant) if getattr(variant, each.name) is None}
    return "" if any(f"0.{name}" in text for name in named) else text.format(variant)


def main() -> None:
    """Measure, print, draw, and say what the step would choose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--use-case", default="taxi_eta")
    parser.add_argument("--version", default="")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openvino", default="")
    parser.add_argument("--core-hour", type=float, default=0.04)
    parser.add_argument("--gpu-hour", type=float, default=2.5)
    parser.add_argument("--device-hour", type=float, default=0.0)
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    given = parser.parse_args()
    os.environ.update(environment(stack_settings(), contracts(), "export"))
    variants = measure(given)
    show(variants, given.figures)
    print(f"\nChosen: {choose(variants, UseCase(given.use_case).part('slo').SLO).why}")


if __name__ == "__main__":
    main()
