"""What a batch takes: a table by `tiphys predict --batch`, by a loop of single questions, by ONNX Runtime alone, by Spark.

Asks the model in production on the running stack, all with the same rows, which are rows of the dataset that was trained on last.
Before anything is timed, the answers of batch and model must agree. Printed are medians over the repeats: rows a second by the
clock, and rows a second of processor time, which says on a busy machine what one idle core would do. The time of the command line
and of Spark is their own and their children's, without gateway and Triton. Example::

    tiphys up && tiphys run continuous-training && python bench/batch.py --rows 200000 --repeats 3
"""

from __future__ import annotations

import argparse
import csv
import functools
import http.client
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from components.batch_score.contract import Inputs
from components.batch_score.model import Model, find
from components.batch_score.scoring import Session
from tiphys.cli.surroundings import settings
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import Dataset, last_trained
from tiphys.lake.s3 import S3
from tiphys.lake.upload import upload_folder
from tiphys.serving.batch_questions import Questions
from tiphys.serving.batch_source import open_source
from tiphys.settings import (
    PROJECT,
    AskerSettings,
    CatalogSettings,
    LedgerSettings,
    S3Settings,
    load,
    stack_settings,
    surroundings,
)
from tiphys.stack import environment
from tiphys.step import contracts
from tiphys.usecase import UseCase

SINGLES = 2000
"""Rows that are asked one by one: the rate is the same for more."""
SMALL = 1000
"""Rows of the small Spark job, which shows what starting costs."""


def main() -> None:
    """Compare, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--use-case", default="taxi_eta")
    parser.add_argument("--only", default="", metavar="WORD", help="only the ways whose name has this word")
    parser.add_argument("--no-spark", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as scratch:
        measure(arguments, UseCase(arguments.use_case), Path(scratch))


def measure(arguments: argparse.Namespace, use_case: UseCase, folder: Path) -> None:
    """Print the table."""
    own = environment(stack_settings(), contracts(), "batch_score")
    lake = Lake(load(CatalogSettings, own), load(S3Settings, own))
    table = folder / "in.csv"
    write_questions(use_case, lake, arguments.rows, table)
    model = serving(arguments.use_case, lake.store, own)
    command = functools.partial(by_batch, arguments.use_case, table, folder / "out.csv")
    ways: list[tuple[str, int, Callable[[], Took]]] = [
        ("tiphys predict --batch", arguments.rows, command),
        ("single questions, one after the other", SINGLES, lambda: by_singles(use_case, table)),
        ("ONNX Runtime, from the file", arguments.rows, lambda: timed(lambda: by_hand(use_case, table, model))),
        ("ONNX Runtime alone", arguments.rows, lambda: model_alone(use_case, table, model, arguments.rows)),
    ]
    if not arguments.no_spark:
        ways += [
            (
                f"Spark step, {rows:,} rows",
                rows,
                functools.partial(by_spark, arguments.use_case, table, rows, folder, own),
            )
            for rows in (SMALL, arguments.rows)
        ]
    if not arguments.only:
        command()
        compare(use_case, table, folder / "out.csv", model)
    said = "answers not compared" if arguments.only else "the same answers"
    print(f"{arguments.rows:,} rows, {said}; medians of {arguments.repeats}; load {os.getloadavg()[0]:.1f}")
    print(f"  {'':<40} {'s':>8} {'rows/s':>10} {'rows/s of CPU':>15}")
    for name, rows, way in ways:
        if arguments.only in name:
            found = [way() for _ in range(arguments.repeats)]
            wall, cpu = (statistics.median(each) for each in zip(*((one.wall, one.cpu) for one in found), strict=True))
            print(f"  {name:<40} {wall:>8.1f} {rows / wall:>10,.0f} {rows / cpu:>15,.0f}", flush=True)
    slo = getattr(use_case.part("slo"), "SLO", None)
    if slo is not None:
        print(f"asked of it: {slo.batch_rows_per_s:,.0f} rows/s on one core")


def write_questions(use_case: UseCase, lake: Lake, rows: int, table: Path) -> None:
    """Write so many questions: the dataset's newest rows, again and again."""
    ref = last_trained(use_case.name, use_case.data.table, lake)
    if ref is None:
        message = "nothing was trained here yet: tiphys run continuous-training"
        raise SystemExit(message)
    dataset = Dataset.open(ref, lake)
    features = use_case.examples(dataset.read(use_case.columns)).features
    names = list(features)
    found = zip(*(features[name].tolist() for name in names), strict=True)
    questions = [use_case.api.to_request(dict(zip(names, each, strict=True))) for each in itertools.islice(found, rows)]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(questions[0]))
        writer.writeheader()
        writer.writerows(itertools.islice(itertools.cycle(questions), rows))


def serving(use_case: str, store: S3, own: Mapping[str, str]) -> Model:
    """The model that production serves."""
    return find(Inputs(use_case=use_case), store, load(LedgerSettings, own))


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and seconds of processors here and in processes that were started and have ended."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any]) -> Took:
    """What it takes."""
    started, before = time.perf_counter(), os.times()
    work()
    wall, after = time.perf_counter() - started, os.times()
    return Took(wall, sum(after[:4]) - sum(before[:4]))


def by_batch(use_case: str, table: Path, target: Path) -> Took:
    """Seconds of the command, its start with it."""
    command = [sys.executable, "-m", "tiphys", "predict", use_case, "--batch", str(table), "--output", str(target)]
    return timed(lambda: subprocess.run([*command, "--force", "--quiet"], cwd=PROJECT, check=True))


def questions_of(table: Path, use_case: UseCase, rows: int) -> list[bytes]:
    """The first questions of the table as JSON."""
    with open_source(str(table)) as source:
        made = Questions(use_case.api, source.columns, source.where)
        return [made.question(each) for each in next(iter(source.chunks(rows))).rows]


def by_singles(use_case: UseCase, table: Path) -> Took:
    """Seconds of a loop over the single route, one kept connection."""
    questions = questions_of(table, use_case, SINGLES)
    asker = settings(AskerSettings)
    url, key = asker.url, asker.key
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def loop() -> None:
        for each in questions:
            connection.request("POST", f"/v1/{use_case.api.route}", each, headers)
            reply = connection.getresponse()
            content = reply.read()
            if reply.status != http.client.OK:
                raise SystemExit(content.decode())

    return timed(loop)


def by_hand(use_case: UseCase, table: Path, model: Model) -> list[tuple[float, ...]]:
    """Read, check and ask in this process; the answer and the interval's ends of each row."""
    session = Session(model.pieces, use_case)
    answers: list[tuple[float, ...]] = []
    with open_source(str(table)) as source:
        made = Questions(use_case.api, source.columns, source.where)
        for chunk in source.chunks(8192):
            rows = [made.features(each) for each in chunk.rows]
            found = session({f.name: np.array([row[f.name] for row in rows], f.dtype) for f in use_case.features})
            answers += zip(*(each.tolist() for each in found.values()), strict=True)
    return answers


def model_alone(use_case: UseCase, table: Path, model: Model, rows: int) -> Took:
    """Seconds of the model by itself, features ready, 8,192 rows at a time."""
    session = Session(model.pieces, use_case)
    with open_source(str(table)) as source:
        made = Questions(use_case.api, source.columns, source.where)
        found = [made.features(each) for each in next(iter(source.chunks(8192))).rows]
    features = {f.name: np.array([row[f.name] for row in found], f.dtype) for f in use_case.features}
    times = max(1, rows // len(found))
    took = timed(lambda: [session(features) for _ in range(times)])
    share = rows / (times * len(found))
    return Took(took.wall * share, took.cpu * share)


def compare(use_case: UseCase, table: Path, answered: Path, model: Model) -> None:
    """Insist that the gateway's batch, its single route and the model itself say the same."""
    wanted = by_hand(use_case, table, model)
    with answered.open() as file:
        rows = list(csv.DictReader(file))
    field = next(name for name in use_case.api.answer.model_fields)
    found = [float(each[field] or "nan") for each in rows]
    off = [abs(one - other[0]) for one, other in zip(found, wanted, strict=True)]
    if not all(each <= 0.051 for each in off):  # answers are rounded to a tenth  # noqa: PLR2004
        message = f"the batch and the model differ by up to {max(each for each in off if not math.isnan(each))}"
        raise SystemExit(message)


def by_spark(use_case: str, table: Path, rows: int, folder: Path, own: Mapping[str, str]) -> Took:
    """Seconds of the step, for files that nobody scored before."""
    part = Path(tempfile.mkdtemp(dir=folder))
    with table.open() as file:
        header, *lines = itertools.islice(file, rows + 1)
    nonce = time.time_ns()
    for number, half in enumerate((lines[::2], lines[1::2])):
        text = header.rstrip("\n") + ",nonce\n" + "".join(each.rstrip("\n") + f",{nonce}\n" for each in half)
        (part / f"{number}.csv").write_text(text)
    keys = environment(stack_settings(), contracts(), "cli")
    source = upload_folder(part, S3(load(S3Settings, keys)))
    command = [sys.executable, "-m", "components.batch_score", "--use-case", use_case, "--source", source]
    command += ["--outputs", str(part / "outputs"), "--artifacts", str(part / "artifacts")]
    seconds = timed(lambda: run_quietly(command, {**surroundings("PATH", "HOME", "JAVA_HOME"), **own}))
    scored = int((part / "outputs" / "rows_scored").read_text())
    if scored != rows:
        message = f"Spark scored {scored} rows of {rows}"
        raise SystemExit(message)
    return seconds


def run_quietly(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a program; what it said is shown only if it fails."""
    done = subprocess.run(command, cwd=PROJECT, env=dict(variables), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
