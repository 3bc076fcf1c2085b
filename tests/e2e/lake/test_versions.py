"""From files to a version: every row is accounted for, only changed months are computed, and a kill does no harm."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from tests.e2e.lake.conftest import HEADER, ROW, Steps, month_file
from tiphys.lake.dataset import Dataset, last_trained, mark_trained

pytestmark = pytest.mark.e2e

OFFICIAL = HEADER.replace("vendor_id", "VendorID").replace("pickup_datetime", "tpep_pickup_datetime")
OFFICIAL = OFFICIAL.replace("dropoff_datetime", "tpep_dropoff_datetime").replace("rate_code_id", "RatecodeID")
OFFICIAL = OFFICIAL.replace("pickup_location_id", "PULocationID").replace("dropoff_location_id", "DOLocationID")


def reasons(version: Dataset) -> Counter[str]:
    """How often each reason was given."""
    table = Dataset.open(version.ref.rejects, version.lake).read(["reason"])
    return Counter(table["reason"].to_pylist())


def test_every_row_is_kept_or_rejected_with_its_line_and_reason(steps: Steps, folder: Path) -> None:
    """Both dialects, CSV, gzip and Parquet; byte-order mark, NUL, quoted newline, short, long and foreign rows."""
    good = ROW.format(month="2017-03")
    bad = {
        good.rsplit(",", 3)[0]: "wrong number of fields",
        good + ",extra,fields": "wrong number of fields",
        good.replace("1.65", "far"): "trip_distance is no double",
        good.replace("1.65", "NaN"): "trip_distance is no double",
        good.replace(",N,", ",N\0,"): "not text",
        good.replace("2017-03-11 18:24:44", ""): "no pickup_datetime",
        good.replace("2017-03-11 18:24:44", "2017"): "pickup_datetime is no timestamp",
        good.replace("2017-03", "2088-01"): "of another month than its file",
        good.replace("18:35:02", "18:24:50"): "shorter than 60 s",
        good.replace(",230,", ",264,"): "pick-up zone unknown",
        good.replace(",230,", ",,"): "pick-up zone unknown",
        good.replace(",N,", ',"N'): "wrong number of fields",
    }
    kept = [good.replace("1.65", f"1.{n:03}").replace(",1,1.", ",1.0,1.") for n in range(1, 201)]
    quoted = good.replace(",N,", ',"N",')
    text = "\ufeff" + "\r\n".join([HEADER, *kept, *bad, quoted, "", HEADER, ""])
    (folder / "a.csv").write_text(text, encoding="utf-8", newline="")
    (folder / "b.csv.gz").write_bytes(
        gzip.compress("\n".join([OFFICIAL, *(kept[:50]), "latin \xe9"]).encode("latin-1"))
    )
    table = csv.read_csv(pa.BufferReader("\n".join([OFFICIAL, *kept[:30]]).encode()))
    pq.write_table(table.drop_columns(["congestion_surcharge"]), folder / "c.parquet")
    made = steps.etl(steps.ingest(folder))
    version = Dataset.open(made["dataset"], steps.lake("check_data"))
    assert int(made["rows_in"]) == int(made["rows_kept"]) + int(made["rows_rejected"]) == 200 + len(bad) + 1 + 51 + 30
    assert version.rows == 200 + 1 + 50 + 30
    assert reasons(version) == Counter(bad.values()) + Counter(["not text"])
    lines = Dataset.open(version.ref.rejects, version.lake).read(["raw"])["raw"].to_pylist()
    assert set(bad) <= set(lines)
    assert set(version.read(["duration_s"])["duration_s"].to_pylist()) == {618}
    assert version.read(["store_and_fwd_flag"])["store_and_fwd_flag"].to_pylist().count("N") == version.rows


def test_only_changed_months_are_computed_and_versions_stay_readable(steps: Steps, folder: Path) -> None:
    """One month more, one month changed, a window: the old versions answer as before, and no version is computed twice."""
    for month in ("2016-01", "2016-02"):
        (folder / f"{month}.csv").write_bytes(month_file(month, 20))
    first = steps.etl(steps.ingest(folder))
    (folder / "2016-03.csv").write_bytes(month_file("2016-03", 30))
    (folder / "2016-02.csv").write_bytes(month_file("2016-02", 25))
    manifest = steps.ingest(folder)
    second = steps.etl(manifest)
    again = steps.etl(manifest)
    window = steps.etl(manifest, first_month="2016-02", last_month="2016-02")
    lake = steps.lake("check_data")
    assert [each["months_computed"] for each in (first, second, again, window)] == ["2", "2", "0", "0"]
    assert second["dataset"] == again["dataset"]
    assert Dataset.open(first["dataset"], lake).months == {"2016-01": 20, "2016-02": 20}
    assert Dataset.open(second["dataset"], lake).months == {"2016-01": 20, "2016-02": 25, "2016-03": 30}
    assert Dataset.open(window["dataset"], lake).months == {"2016-02": 25}
    assert Dataset.open(second["dataset"], lake).read(["month"], ["2016-03"]).num_rows == 30


def test_spark_killed_while_it_works_leaves_the_old_version_and_the_next_run_works(
    steps: Steps, folder: Path, eventually: Callable[..., None]
) -> None:
    """Killed at the first sign of written files; the error can be retried; no process stays."""
    (folder / "a.csv").write_bytes(month_file("2015-01", 40))
    before = steps.etl(steps.ingest(folder))
    (folder / "b.csv").write_bytes(month_file("2015-02", 40))
    manifest = steps.ingest(folder)
    lake = steps.lake()
    prefix = f"{lake.catalog.warehouse}/taxi_eta/trips_rejects/metadata/"
    held = len(lake.store.list(prefix))
    command = steps.command("etl", {"manifest": manifest})
    step = subprocess.Popen(
        command, env=steps.surroundings("etl"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    # The branch makes one file of metadata; Spark's own commit, under way, the next two.
    eventually(lambda: len(lake.store.list(prefix)) >= held + 3 or step.poll() is not None)
    java = [each for each in psutil.Process(step.pid).children(recursive=True) if "java" in each.name()]
    for each in java:
        os.kill(each.pid, signal.SIGKILL)
    log, _ = step.communicate(timeout=60)
    assert step.returncode == 75, log
    assert "Traceback" not in log
    assert all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in java)
    assert Dataset.open(before["dataset"], lake).rows == 40
    after = steps.etl(manifest)
    assert Dataset.open(after["dataset"], lake).months == {"2015-01": 40, "2015-02": 40}


SPARK_DIES = """
import logging, os, signal, threading
from pyspark import SparkContext
from pyspark.sql.functions import col
from tiphys.spark.session import session
from tiphys.errors import RetryableError
from tiphys.lake.catalog import Lake

def kill():
    os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
    SparkContext._gateway.proc.wait()

def between_two_calls(spark):
    kill()
    col("id")

def before_it_reads_a_call(spark):
    os.kill(SparkContext._gateway.proc.pid, signal.SIGSTOP)
    threading.Timer(1, kill).start()
    spark.sql("SELECT 1")

logging.basicConfig(level=logging.WARNING)
try:
    with session(Lake.from_settings()) as spark:
        {moment}(spark)
except RetryableError as error:
    print("retry:", error)
"""


@pytest.mark.parametrize("moment", ["between_two_calls", "before_it_reads_a_call"])
def test_spark_killed_at_any_moment_can_be_retried(steps: Steps, moment: str) -> None:
    """What py4j then says, that a class is not there or that a connection was reset, is no defect of ours."""
    done = subprocess.run(
        [sys.executable, "-c", SPARK_DIES.replace("{moment}", moment)], env=steps.surroundings("etl"),
        cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.startswith("retry: Spark's Java process ended"), done.stderr[-2000:]
    assert "Traceback" not in done.stderr


def test_all_rows_bad_ends_etl_and_makes_no_version(steps: Steps, folder: Path) -> None:
    """The message says where the reasons are; files that are better make a version afterwards."""
    (folder / "a.csv").write_bytes(month_file("2014-01", 20).replace(b",230,", b",265,"))
    done = steps.run("etl", manifest=steps.ingest(folder))
    assert done.code == 65
    assert "every row of 2014-01 was rejected" in done.log
    assert "dataset" not in done.outputs
    (folder / "a.csv").write_bytes(month_file("2014-01", 20))
    assert steps.etl(steps.ingest(folder))["rows_kept"] == "20"


def test_without_java_etl_tells_how_to_get_it(steps: Steps, folder: Path) -> None:
    """A command that can be typed; no half-made table."""
    (folder / "a.csv").write_bytes(month_file("2013-01", 20))
    done = steps.run("etl", {"JAVA_HOME": "/nowhere"}, manifest=steps.ingest(folder))
    assert done.code == 65
    assert "sudo apt-get install -y openjdk-17-jre-headless" in done.log
    assert "Traceback" not in done.log


def test_data_that_moved_too_far_from_the_last_trained_version_stops_the_pipeline(steps: Steps, folder: Path) -> None:
    """The same rides are fine; rides twice as long are not."""
    (folder / "a.csv").write_bytes(month_file("2012-01", 1000))
    usual = steps.etl(steps.ingest(folder))["dataset"]
    (folder / "a.csv").write_bytes(month_file("2012-01", 1000).replace(b"18:35:02", b"18:45:02"))
    slow = steps.etl(steps.ingest(folder))["dataset"]
    mark_trained(usual, steps.lake("train"))
    assert str(last_trained("taxi_eta", "trips", steps.lake("check_data"))) == usual
    fine = steps.run("check_data", dataset=usual)
    assert fine.code == 0, fine.log
    moved = steps.run("check_data", dataset=slow)
    assert moved.code == 65
    assert "median of duration_s" in moved.log
    assert "failed" in (steps.scratch / "artifacts" / "report.html").read_text()
    few = steps.run(
        "check_data", dataset=steps.etl(steps.ingest(_folder(folder / "few", month_file("2011-01", 20))))["dataset"]
    )
    assert few.code == 65
    assert "rows of 2011-01: 20 rows, allowed is at least 1,000" in few.log


def _folder(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    (folder / "a.csv").write_bytes(content)
    return folder
