"""What is taken out of the live tables: training files, and a sample of doubtful rows for a person to look at.

Training files are raw files like any other: by the names of ``data.py``, a file a month of the own clock, called
``live-YYYY-MM.csv`` so that each row says where it came from. They lie under the digest of their content. Trusted rows never
go out: they are the holdout. Knows no use case.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiphys.lake.raw import BUCKET
from tiphys.lake.s3 import S3
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

REVIEWED = 200
"""Doubtful rows that a review gets at most."""


@dataclass(frozen=True)
class Training:
    """Training files that were written."""

    prefix: str
    """``s3://raw/USE_CASE/live/DIGEST/``; empty where there was no row."""
    rows: int
    incomplete: int
    """Rows left out because a fact that ``data.py`` needs was not reported."""


def training(labelled: pa.Table, use_case: UseCase, store: S3) -> Training:
    """Write the training files of rows of ``labelled``; the same rows always make the same files."""
    files, incomplete = _files(labelled, use_case)
    if not files:
        return Training("", 0, incomplete)
    contents = {f"live-{month}.csv": _csv(rows, use_case) for month, rows in sorted(files.items())}
    listed = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in contents.items())
    prefix = f"s3://{BUCKET}/{use_case.name}/live/{hashlib.sha256(listed.encode()).hexdigest()[:32]}/"
    sizes = {each.name: each.size for each in store.list(prefix)}
    for name, text in contents.items():
        if sizes.get(name) != len(text):
            store.put(prefix + name, text)
    return Training(prefix, sum(len(rows) for rows in files.values()), incomplete)


def review(labelled: pa.Table) -> str:
    """A sample of the doubtful rows as CSV, by the digest of their id: the same rows stay in it as others come."""
    doubtful = [row for row in labelled.to_pylist() if row["doubtful"] and not row["trusted"]]
    chosen = sorted(doubtful, key=lambda row: hashlib.sha256(row["prediction_id"].encode()).hexdigest())[:REVIEWED]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    features = list(chosen[0]["features"]) if chosen else []
    writer.writerow(["prediction_id", "doubtful", "moment", *features, "value", "actual", "outcome_asker", "facts"])
    for row in chosen:
        facts = ";".join(f"{name}={value}" for name, value in sorted(row["facts"] or ()))
        own = [row["features"][name] for name in features]
        moment = row["moment"].isoformat()
        writer.writerow(
            [
                row["prediction_id"],
                row["doubtful"],
                moment,
                *own,
                row["value"],
                row["actual"],
                row["outcome_asker"],
                facts,
            ]
        )
    return text.getvalue()


def _files(labelled: pa.Table, use_case: UseCase) -> tuple[dict[str, list[dict[str, Any]]], int]:
    live, needed = use_case.live, [each.name for each in use_case.data.columns if each.required]
    files, incomplete = defaultdict(list), 0
    rows = [row for row in labelled.to_pylist() if not row["trusted"] and not row["doubtful"]]
    for row in sorted(rows, key=lambda row: (row["moment"], row["prediction_id"])):
        made = live.to_row(row["features"], row["actual"], dict(row["facts"] or ()))
        if any(made.get(name) in {None, ""} for name in needed):
            incomplete += 1
            continue
        files[str(made[use_case.data.time])[:7]].append(made)
    return files, incomplete


def _csv(rows: list[dict[str, Any]], use_case: UseCase) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in use_case.data.columns], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
