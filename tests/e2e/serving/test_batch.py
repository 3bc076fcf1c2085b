"""Whole tables: asked through the gateway at the command line, and scored with Spark."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.model.conftest import boilings, publish_version
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import Dataset, version_tags
from tiphys.lake.upload import upload_folder
from tiphys.settings import PROJECT, CatalogSettings, S3Settings, load
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from conftest import Shop

pytestmark = pytest.mark.e2e

TINY = "tests.usecases.tiny"
ROWS_TO_KILL = 50_000
"""So many that Spark works on them for some seconds."""


def command(shop: Shop, *words: str) -> tuple[list[str], dict[str, str]]:
    """``tiphys predict`` of the tiny use case against the session's stack, and its surroundings."""
    settings = shop.stack.settings
    own = {"TIPHYS_HOME": str(settings.home), "TIPHYS_PORT_BASE": str(settings.port_base)}
    return [sys.executable, "-m", "tiphys", "predict", TINY, *words], {**os.environ, **own}


def predict(shop: Shop, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run it to its end."""
    line, environment = command(shop, *words)
    return subprocess.run(
        line, input=given, capture_output=True, env=environment, cwd=PROJECT, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def serving(shop: Shop) -> Shop:
    """Production says 100 seconds a litre."""
    shop.serve(100.0, "production")
    assert shop.answer("production")[0] == 200.0
    return shop


def test_a_table_is_answered_row_by_row_and_bad_rows_say_why(serving: Shop, tmp_path: Path) -> None:
    """CSV in, Parquet out, more rows than a request takes, other columns go along; exit code 1 says that some have an error."""
    table = tmp_path / "kettles.csv"
    rows = [f"k{n},{n % 90},{0.5 + n % 5 / 10:.1f}" for n in range(1500)]
    rows[7] = "k7,boiling,1.0"
    table.write_text("\n".join(["name,celsius,litres", *rows, ""]))
    done = predict(serving, "--batch", str(table), "--output", str(tmp_path / "out.parquet"))
    assert (done.returncode, done.stdout) == (1, b""), done.stderr
    assert b"1,499 rows answered, 1 refused" in done.stderr
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["name"].to_pylist() == [f"k{n}" for n in range(1500)]
    assert found["error"].to_pylist()[7].startswith("celsius: Input should be a valid integer")
    assert found["error"].null_count == 1499
    expected = [None if n == 7 else round((0.5 + n % 5 / 10) * 100, 1) for n in range(1500)]
    assert found["seconds"].to_pylist() == pytest.approx(expected, abs=1e-3)


def test_an_environment_without_a_model_is_named_with_what_to_type(serving: Shop) -> None:
    """One question to a canary that was never released ends with the command that tells more and the one that trains."""
    done = predict(serving, "--canary")
    assert done.returncode == 75
    assert b"is not served in canary; 'tiphys release show canary'" in done.stderr
    assert b"tiphys run continuous-training" in done.stderr


def test_a_pipe_and_a_parquet_file_are_answered_alike(serving: Shop, tmp_path: Path) -> None:
    """Through standard input and output nothing but the table comes out; the default output stands beside the file."""
    piped = predict(serving, "--batch", "-", "--quiet", given=b"litres,celsius\n1,20\n2,30\n")
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert [each["seconds"] for each in csv.DictReader(piped.stdout.decode().splitlines())] == ["100.0", "200.0"]
    pq.write_table(pa.table({"litres": [1.0, 2.0], "celsius": [20, 30]}), tmp_path / "k.parquet")
    assert predict(serving, "--batch", str(tmp_path / "k.parquet")).returncode == 0
    assert pq.read_table(tmp_path / "k.predicted.parquet")["seconds"].to_pylist() == [100.0, 200.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"litre,celsius\n1,2\n", b"has no column litres (is it 'litre'?)"),
        (b"", b"is empty"),
        (b"litres,celsius,seconds\n1,2,3\n", b"has column seconds, which the answers have, too"),
    ],
)
def test_a_table_that_cannot_be_asked_says_why_and_leaves_nothing(
    serving: Shop, tmp_path: Path, content: bytes, words: bytes
) -> None:
    """Exit code 65."""
    (tmp_path / "k.csv").write_bytes(content)
    done = predict(serving, "--batch", str(tmp_path / "k.csv"))
    assert done.returncode == 65
    assert words in done.stderr
    assert b"Traceback" not in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["k.csv"]


def test_an_output_that_is_there_is_kept_unless_forced(serving: Shop, tmp_path: Path) -> None:
    """Nothing is asked before that is known."""
    (tmp_path / "k.csv").write_text("litres,celsius\n1,2\n")
    (tmp_path / "k.predicted.csv").write_text("mine")
    assert predict(serving, "--batch", str(tmp_path / "k.csv")).returncode == 65
    assert (tmp_path / "k.predicted.csv").read_text() == "mine"
    assert predict(serving, "--batch", str(tmp_path / "k.csv"), "--force").returncode == 0
    assert (tmp_path / "k.predicted.csv").read_text().startswith("litres,celsius,seconds")


def test_ctrl_c_leaves_no_file(serving: Shop, tmp_path: Path, eventually: Callable[..., None]) -> None:
    """Neither the output nor a part of it."""
    (tmp_path / "k.csv").write_text("litres,celsius\n" + "1,2\n" * 2_000_000)
    line, environment = command(serving, "--batch", str(tmp_path / "k.csv"))
    process = subprocess.Popen(line, env=environment, cwd=PROJECT, stderr=subprocess.PIPE)
    part = tmp_path / "k.predicted.csv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 10_000)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert [each.name for each in tmp_path.iterdir()] == ["k.csv"]


def lake(shop: Shop) -> Lake:
    """The lake as the step sees it."""
    environment = shop.stack.environment("batch_score")
    return Lake(load(CatalogSettings, environment), load(S3Settings, environment))


def told(folder: Path) -> dict[str, str]:
    """What the step said."""
    return {each.name: each.read_text() for each in (folder / "outputs").iterdir()}


def versions(shop: Shop) -> set[str]:
    """Versions of the table of answers."""
    table = lake(shop).read("tiny", "predictions")
    return set() if table is None else set(version_tags(table))


@pytest.fixture(scope="module")
def kettles(shop: Shop) -> str:
    """A dataset version."""
    return publish_version(shop.stack.environment("etl"), UseCase(TINY), boilings(3000, 5), "v-batch")


def test_a_dataset_is_scored_with_what_production_serves_once(serving: Shop, kettles: str, tmp_path: Path) -> None:
    """Each row has its answer, its month, and what really happened; the same again is found without Spark."""
    serving.step("batch_score", tmp_path / "a", use_case=TINY, dataset=kettles)
    first = told(tmp_path / "a")
    assert (first["rows_in"], first["rows_scored"], first["rows_rejected"], first["computed"]) == (
        "3000",
        "3000",
        "0",
        "true",
    )
    assert first["model_version"] == serving.ledger().current("production").releases[TINY].model_version
    answers = Dataset.open(first["predictions"], lake(serving))
    assert answers.months == Dataset.open(kettles, lake(serving)).months
    rows = answers.read()
    assert np.allclose(rows["prediction"].to_numpy(), rows["litres"].to_numpy() * 100, rtol=1e-5)
    assert sorted(rows["actual"].to_pylist()) == pytest.approx(
        sorted(boilings(3000, 5)["seconds"].to_pylist()), rel=1e-5
    )
    assert rows["low"].null_count == 3000  # this model gives no interval
    log, _ = serving.step("batch_score", tmp_path / "b", use_case=TINY, dataset=kettles)
    assert told(tmp_path / "b") == {**first, "computed": "false"}
    assert "nothing to score" in log


def test_files_are_scored_as_the_gateway_would_and_every_row_is_accounted_for(serving: Shop, tmp_path: Path) -> None:
    """CSV and Parquet, rows that are no questions in the rejects; with the file and the number of the row."""
    (tmp_path / "in").mkdir()
    bad = 'boiling,1\n20,99\n"open,1\n20\n\xff,1\n'.encode("latin-1")
    (tmp_path / "in" / "a.csv").write_bytes(b"celsius,litres\n20,1.5\n" + bad + b"30,2\n")
    pq.write_table(pa.table({"litres": [1.0, None], "celsius": [5, 6]}), tmp_path / "in" / "b.parquet")
    source = upload_folder(tmp_path / "in", serving.store("cli"))
    serving.step("batch_score", tmp_path / "step", use_case=TINY, source=source)
    found = told(tmp_path / "step")
    assert (found["rows_in"], found["rows_scored"], found["rows_rejected"]) == ("9", "3", "6")
    answers = Dataset.open(found["predictions"], lake(serving))
    assert sorted(zip(answers.read()["row"].to_pylist(), answers.read()["prediction"].to_pylist(), strict=True)) == [
        (1, 100.0), (1, 150.0), (7, 200.0),
    ]  # fmt: skip
    rejects = Dataset.open(answers.ref.rejects, lake(serving)).read().to_pylist()
    reasons = {(each["row"], each["reason"].partition(":")[0]) for each in rejects}
    assert reasons == {
        (2, "celsius"), (3, "litres"), (4, "the row has a quote that is not closed"),
        (5, "the row has 1 fields and the header 2"), (6, "the row is not UTF-8"), (2, "litres"),
    }  # fmt: skip


def test_a_damaged_file_or_a_model_without_answers_publishes_nothing(
    serving: Shop, kettles: str, tmp_path: Path
) -> None:
    """Exit code 65 with the reason; what is there stays."""
    before = versions(serving)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"litre,celsius\n1,2\n")
    source = upload_folder(tmp_path / "in", serving.store("cli"))
    log, _ = serving.step("batch_score", tmp_path / "a", 65, use_case=TINY, source=source)
    assert "a.csv has no column litres (is it 'litre'?)" in log
    assert "Traceback" not in log
    log, _ = serving.step("batch_score", tmp_path / "b", 65, use_case=TINY, source="s3://landing/nothing/")
    assert "holds no file that can be scored" in log
    recorded = serving.release(serving.put(serving.make(float("inf"))), "production")
    log, _ = serving.step("batch_score", tmp_path / "c", 65, use_case=TINY, dataset=kettles)
    assert "no row of" in log
    assert "no finite number" in log
    assert recorded.model_version in log
    assert versions(serving) == before


def test_a_spark_that_is_killed_leaves_what_was_there(
    serving: Shop, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """The step says that it can be tried again; tried again it leaves the whole version."""
    serving.serve(300.0, "production")
    dataset = publish_version(serving.stack.environment("etl"), UseCase(TINY), boilings(ROWS_TO_KILL, 9), "v-killed")
    before = versions(serving)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ},
        **serving.stack.environment("batch_score"),
    }
    line = [sys.executable, "-m", "components.batch_score", "--use-case", TINY, "--dataset", dataset]
    line += ["--outputs", str(tmp_path / "killed"), "--artifacts", str(tmp_path / "artifacts")]
    process = subprocess.Popen(
        line, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    def works() -> bool:
        """A Python worker of Spark is there."""
        if process.poll() is not None:
            pytest.fail(f"the step ended before Spark worked: {process.communicate()[0]}")
        for each in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it ended while it was looked at
                if "pyspark.daemon" in each.cmdline():
                    return True
        return False

    eventually(works, 200.0)
    next(each for each in psutil.Process(process.pid).children() if each.name() == "java").kill()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "Spark's Java process ended" in said
    assert versions(serving) == before
    serving.step("batch_score", tmp_path / "again", use_case=TINY, dataset=dataset)
    assert told(tmp_path / "again")["rows_scored"] == str(ROWS_TO_KILL)
    assert len(versions(serving)) == len(before) + 1
