"""What may be trained on leaves as raw files; what is trusted or doubtful never does."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from components.collect_outcomes.export import REVIEWED, Training, review, training
from components.ingest.scan import scan
from tiphys.lake.s3 import S3, Stored
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

TAXI = UseCase("taxi_eta")
MOMENT = datetime(2019, 6, 30, 23, 50)  # noqa: DTZ001 - the tables' times are UTC without a zone


class Folder:
    """Stands for the bucket: what is put there."""

    def __init__(self) -> None:
        """Be empty."""
        self.objects: dict[str, bytes] = {}

    def put(self, uri: str, content: bytes) -> None:
        """Keep it."""
        self.objects[uri] = content

    def list(self, prefix: str) -> list[Stored]:
        """List it."""
        return [Stored(uri, len(text), "") for uri, text in self.objects.items() if uri.startswith(prefix)]


def ride(number: int, **changed: Any) -> dict[str, Any]:
    """A labelled ride of ten minutes and some."""
    moment = MOMENT + timedelta(minutes=number)
    seconds = int((moment - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001
    row = {
        "prediction_id": f"{number:032x}", "moment": moment, "value": 650.0, "actual": 600.0 + number,
        "features": {"pickup_zone": 161, "dropoff_zone": 138, "pickup_time": seconds, "passengers": 2},
        "facts": [("miles", 2.5)], "outcome_asker": "rider", "trusted": False, "doubtful": "",
    }  # fmt: skip
    return row | changed


def table(*rows: dict[str, Any]) -> pa.Table:
    """The rows as the lake gives them."""
    facts = pa.array([row["facts"] for row in rows], pa.map_(pa.string(), pa.float64()))
    plain = pa.Table.from_pylist([{name: value for name, value in row.items() if name != "facts"} for row in rows])
    return plain.append_column("facts", facts)


def written(*rows: dict[str, Any]) -> tuple[dict[str, bytes], Training]:
    """Export the rows: files by name, and what was told."""
    store = Folder()
    told = training(table(*rows), TAXI, cast("S3", store))
    return {uri.removeprefix(told.prefix): text for uri, text in store.objects.items()}, told


def test_rides_become_raw_files_by_the_month_of_their_own_clock(tmp_path: Path) -> None:
    """Ingest takes them as what they are."""
    files, told = written(*(ride(n) for n in range(20)))
    assert sorted(files) == ["live-2019-06.csv", "live-2019-07.csv"]
    assert told.prefix.startswith("s3://raw/taxi_eta/live/")
    assert told.rows == 20
    (path := tmp_path / "live-2019-07.csv").write_bytes(files["live-2019-07.csv"])
    with path.open("rb", buffering=0) as file:
        found = scan(path.name, file, TAXI.data)
    assert (found.rows, found.months) == (10, ("2019-07",))
    first = next(csv.DictReader(io.StringIO(files["live-2019-07.csv"].decode())))
    assert first["pickup_datetime"] == "2019-07-01 00:00:00"
    assert first["dropoff_datetime"] == "2019-07-01 00:10:10"
    assert (first["trip_distance"], first["passenger_count"], first["fare_amount"]) == ("2.5", "2", "")


def test_what_is_trusted_doubtful_or_incomplete_is_not_trained_on() -> None:
    """The holdout stays out, whatever else is asked."""
    files, told = written(ride(0), ride(1, trusted=True), ride(2, doubtful="contradicted"), ride(3, facts=[]))
    assert (told.rows, told.incomplete) == (1, 1)
    assert files["live-2019-06.csv"].decode().count("\n") == 2
    assert written(ride(1, trusted=True))[1].prefix == ""


def test_the_same_rows_in_any_order_are_the_same_files() -> None:
    """And another row makes others."""
    prefixes = {written(*rows)[1].prefix for rows in ([ride(0), ride(1)], [ride(1), ride(0)], [ride(0), ride(2)])}
    assert len(prefixes) == 2


def test_a_review_is_a_sample_of_the_doubtful_rows_with_their_reasons() -> None:
    """The same rows stay in it while it grows; trusted ones need no review."""
    rows = [ride(n, doubtful="contradicted") for n in range(REVIEWED - 1)]
    extra = [ride(900), ride(901, trusted=True, doubtful="contradicted"), ride(902, doubtful="asker x: far")]
    lines = list(csv.DictReader(io.StringIO(review(table(*rows, *extra)))))
    assert len(lines) == REVIEWED
    assert {line["doubtful"] for line in lines} == {"contradicted", "asker x: far"}
    assert lines[0]["facts"] == "miles=2.5"
    assert review(table(ride(0))).count("\n") == 1
