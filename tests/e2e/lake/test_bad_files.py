"""A folder that cannot be used ends ingest with one clear message, and nothing is left behind."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.lake.conftest import Steps, month_file
from tiphys.lake.s3 import S3
from tiphys.settings import S3Settings, load

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("trips.csv", lambda good: b"\x7fELF\0\0" + good, "trips.csv is no CSV file"),
        ("trips.csv.gz", lambda good: gzip.compress(good)[:-20], "trips.csv.gz is cut off"),
        (
            "trips.csv",
            lambda good: good.replace(b"pickup_datetime", b"start"),
            "pickup_datetime or tpep_pickup_datetime",
        ),
        ("trips.csv.gz", lambda good: gzip.compress(good + b"7" * 100_000_000, 1), "trips.csv.gz, line 7 is longer"),
        ("trips.parquet", lambda good: good, "trips.parquet is no Parquet file"),
    ],
    ids=["binary", "truncated", "other columns", "100 MB line", "no parquet"],
)
def test_a_useless_file_ends_ingest_with_one_message(
    steps: Steps,
    folder: Path,
    name: str,
    change: Callable[[bytes], bytes],
    complaint: str,
) -> None:
    """Exit code 65 means that trying again is of no use; no traceback, no manifest."""
    (folder / name).write_bytes(change(month_file("2018-01", 5)))
    done = steps.run("ingest", source=steps.upload(folder))
    assert done.code == 65
    assert complaint in done.log
    assert "Traceback" not in done.log
    assert "manifest" not in done.outputs


def test_an_empty_prefix_is_named(steps: Steps) -> None:
    """Nothing was uploaded there."""
    done = steps.run("ingest", source="s3://landing/nothing/")
    assert done.code == 65
    assert "s3://landing/nothing/ has no usable file" in done.log


def test_ingest_twice_leaves_the_same_state(steps: Steps, folder: Path) -> None:
    """The same content has one manifest; a copy under another name is taken once."""
    (folder / "a.csv").write_bytes(month_file("2018-01", 5))
    (folder / "b.csv").write_bytes(month_file("2018-01", 5))
    first = steps.run("ingest", source=steps.upload(folder))
    store = S3(load(S3Settings, steps.environment("etl")))
    objects = store.list("s3://raw/taxi_eta/")
    again = steps.run("ingest", source=steps.upload(folder))
    assert first.outputs == again.outputs
    assert first.outputs["files"] == "1"
    assert store.list("s3://raw/taxi_eta/") == objects
