"""The step etl on a Spark cluster, a real standalone one: the same table as alone, whoever is lost, and no secret told."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from tests.e2e.lake.conftest import Steps, month_file
from tests.e2e.lake.standalone import Standalone, new
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import Dataset
from tiphys.spark.conf import parse

pytestmark = [pytest.mark.e2e, pytest.mark.long]

_LONG = 600.0
"""Seconds: three Java machines start for each job, on a machine that may be busy."""

_QUICK = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
"""Java for jobs of seconds: most of their time is the compiler's."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A master and two workers of one core each."""
    made = new(tmp_path_factory.mktemp("spark"))
    with made.started("one", "two"):
        yield made


def settings(steps: Steps, cluster: Standalone, **more: str) -> dict[str, str]:
    """What a step is told of the cluster; a key of ``more`` is one of Spark's with ``_`` for the dots."""
    jars = parse(steps.environment("etl")["TIPHYS_SPARK_CONF"])["spark.jars"].replace(",", ":")
    lines = {
        "spark.master": cluster.url,
        "spark.driver.extraClassPath": jars,
        "spark.executor.extraClassPath": jars,
        "spark.authenticate": "true",
        "spark.network.crypto.enabled": "true",
        "spark.driver.memory": "640m",
        "spark.executor.memory": "640m",
        "spark.driver.extraJavaOptions": _QUICK,
        "spark.executor.extraJavaOptions": _QUICK,
        "spark.sql.shuffle.partitions": "2",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": cluster.folder.as_uri(),
        **{key.replace("_", "."): value for key, value in more.items()},
    }
    conf = "# a cluster\n" + "".join(f"{key}  {value}\n" for key, value in lines.items())
    return {"TIPHYS_SPARK_CONF": conf, "TIPHYS_SPARK_SECRET_CONF": cluster.secret_conf}


@contextlib.contextmanager
def begun(steps: Steps, cluster: Standalone, manifest: str) -> Iterator[subprocess.Popen[str]]:
    """The step on that cluster while it works; not longer than the test."""
    step = subprocess.Popen(
        steps.command("etl", {"manifest": manifest}), env=steps.surroundings("etl", **settings(steps, cluster)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield step
    finally:
        if step.poll() is None:
            step.kill()
            step.wait()


def content(name: str, lake: Lake) -> list[tuple[object, ...]]:
    """All rows of a version and of its rejects."""
    found: list[tuple[object, ...]] = []
    version = Dataset.open(name, lake)
    for each in (version, Dataset.open(version.ref.rejects, lake)):
        columns = each.read().to_pydict()
        found += sorted(zip(*columns.values(), strict=True), key=repr)
    return found


def forget(name: str, lake: Lake) -> None:
    """Take the version's name away, so that the next step computes it anew."""
    version = Dataset.open(name, lake)
    for ref in (version.ref, version.ref.rejects):
        table = lake.writer().load_table((ref.use_case, ref.table))
        table.manage_snapshots().remove_tag(ref.tag).commit()


def test_a_cluster_makes_the_same_table_and_no_secret_is_told(
    steps: Steps, folder: Path, cluster: Standalone, eventually: Callable[..., None]
) -> None:
    """Rows, tag and rejects are those of a Spark alone; both workers did tasks; no key on a command line or in a log."""
    for number in range(4):
        rows = month_file("2010-01", 100 + number) + month_file("2010-01", 3).replace(b",230,", b",265,")
        (folder / f"{number}.csv").write_bytes(rows)
    manifest = steps.ingest(folder)
    own = {name: value for name, value in steps.environment("etl").items() if re.search("KEY|PASSWORD", name)}
    secrets = [*own.values(), cluster.secret]
    told: set[str] = set()
    with begun(steps, cluster, manifest) as step:

        def over() -> bool:
            """The step ended; what all processes were started with until then is kept."""
            for each in psutil.process_iter(["cmdline"]):
                told.update(each.info["cmdline"] or [])
            return step.poll() is not None

        eventually(over, within=_LONG)
        log, _ = step.communicate()
    assert step.returncode == 0, log
    name = (steps.scratch / "etl" / "dataset").read_text()
    lake = steps.lake()
    made = content(name, lake)
    assert all("Finished task" in cluster.log_of(each) for each in ("one", "two"))
    everything = "\n".join([*told, log, *(each.read_text(errors="replace") for each in _files(cluster.folder))])
    assert "KubernetesExecutorBackend" in everything or "CoarseGrainedExecutorBackend" in everything
    assert "SparkListenerJobStart" in everything
    assert not [each for each in secrets if each in everything]
    forget(name, lake)
    assert steps.etl(manifest)["dataset"] == name
    assert content(name, lake) == made


def _files(folder: Path) -> list[Path]:
    return [
        each for each in folder.rglob("*") if each.is_file() and each.name != "cluster.conf" and each.suffix != ".jar"
    ]


def test_a_worker_lost_in_mid_job_changes_nothing(
    steps: Steps, folder: Path, cluster: Standalone, eventually: Callable[..., None]
) -> None:
    """Killed with its executor between the two writes: its part is computed anew by the other, and every row is there."""
    for number in range(4):
        (folder / f"{number}.csv").write_bytes(month_file("2009-01", 50 + number))
    manifest = steps.ingest(folder)
    lake = steps.lake()
    prefix = f"{lake.catalog.warehouse}/taxi_eta/trips_rejects/metadata/"
    held = len(lake.store.list(prefix))
    with begun(steps, cluster, manifest) as step:
        eventually(lambda: len(lake.store.list(prefix)) >= held + 3 or step.poll() is not None, within=_LONG)
        alive = step.poll() is None
        cluster.kill("two")
        log, _ = step.communicate(timeout=_LONG)
    cluster.add("two")
    assert alive, log
    assert step.returncode == 0, log
    name = (steps.scratch / "etl" / "dataset").read_text()
    assert Dataset.open(name, lake).months == {"2009-01": sum(range(50, 54))}


def test_a_step_that_is_stopped_lets_its_executors_go(
    steps: Steps, folder: Path, cluster: Standalone, eventually: Callable[..., None]
) -> None:
    """SIGTERM while executors work: the step ends with Argo's code for it and the workers are free again."""
    (folder / "a.csv").write_bytes(month_file("2004-01", 20))
    manifest = steps.ingest(folder)
    with begun(steps, cluster, manifest) as step:
        eventually(lambda: len(cluster.processes("one")) > 1 or step.poll() is not None, within=_LONG)
        step.send_signal(signal.SIGTERM)
        log, _ = step.communicate(timeout=_LONG)
    assert step.returncode == 143, log
    eventually(lambda: all(len(cluster.processes(each)) == 1 for each in ("one", "two")))


def test_executors_that_never_come_end_the_step(steps: Steps, folder: Path, cluster: Standalone) -> None:
    """More memory than any worker has: Spark would wait for ever."""
    (folder / "a.csv").write_bytes(month_file("2008-01", 20))
    manifest = steps.ingest(folder)
    greedy = settings(steps, cluster, spark_executor_memory="64g", spark_tiphys_executors_wait="5")
    done = steps.run("etl", greedy, manifest=manifest)
    assert done.code == 75, done.log
    assert "had no executor for 5 s (none ever came)" in done.log
    assert "spark.executor.memory" in done.log
    assert "Traceback" not in done.log


def test_an_executor_out_of_memory_is_not_tried_again(steps: Steps, folder: Path, cluster: Standalone) -> None:
    """The message names the setting to raise."""
    table = csv.read_csv(pa.BufferReader(month_file("2007-01", 1)))
    at = table.column_names.index("store_and_fwd_flag")
    table = table.set_column(at, "store_and_fwd_flag", pa.array(["N" * 120_000_000]))
    pq.write_table(table, folder / "a.parquet", compression="zstd")
    manifest = steps.ingest(folder)
    small = settings(steps, cluster, spark_executor_memory="480m", spark_task_maxFailures="1")
    done = steps.run("etl", small, manifest=manifest)
    assert done.code == 65, done.log[-3000:]
    assert "an executor ran out of memory with spark.executor.memory 480m: raise it" in done.log
    assert "Traceback" not in done.log


def test_a_master_that_is_away_can_be_tried_again(steps: Steps, folder: Path, tmp_path: Path) -> None:
    """Nobody listens there: named, with what to look at; the step ends by itself."""
    (folder / "a.csv").write_bytes(month_file("2006-01", 20))
    nobody = new(tmp_path / "nobody")
    done = steps.run("etl", settings(steps, nobody), manifest=steps.ingest(folder))
    assert done.code == 75, done.log
    assert f"the Spark master {nobody.url} does not answer" in done.log
    assert "Traceback" not in done.log


def test_a_wrong_secret_ends_the_step(steps: Steps, folder: Path, cluster: Standalone) -> None:
    """The master refuses; the secret itself is told nowhere."""
    (folder / "a.csv").write_bytes(month_file("2005-01", 20))
    wrong = settings(steps, cluster) | {"TIPHYS_SPARK_SECRET_CONF": "spark.authenticate.secret 0123456789abcdef\n"}
    done = steps.run("etl", wrong, manifest=steps.ingest(folder))
    assert done.code == 75, done.log
    assert "spark.authenticate.secret" in done.log
    assert "0123456789abcdef" not in done.log
