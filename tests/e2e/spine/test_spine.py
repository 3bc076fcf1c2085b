"""The whole pipeline as a person starts it: from a folder of raw files to an answer from production."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.usecases.tiny import simulator as kettles
from tiphys.settings import PROJECT

pytestmark = pytest.mark.e2e

REAL_TRIPS = PROJECT.parent / "shared" / "data" / "tlc"
TINY = "tests.usecases.tiny"


@dataclass(frozen=True)
class Cli:
    """The command line on the session's stack."""

    environment: dict[str, str]
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; its output is one stream of lines."""
        command = [sys.executable, "-m", "tiphys", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end and hold it to its exit code."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == code, output
        return output

    def train(self, *arguments: str, code: int = 0) -> tuple[str, dict[str, Any]]:
        """Run the pipeline; answer with what it printed and with its summary."""
        summary = self.folder / "summary.json"
        summary.unlink(missing_ok=True)
        output = self("run", "continuous-training", "--summary", str(summary), *arguments, code=code)
        return output, json.loads(summary.read_text())


def on(home: Path, port_base: int, folder: Path) -> Cli:
    """Make the command line of the stack in a state folder."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ},
        "TIPHYS_HOME": str(home),
        "TIPHYS_PORT_BASE": str(port_base),
    }
    made = Cli(environment, folder)
    made("up")
    return made


@pytest.fixture
def cli(stack: Any, tmp_path: Path) -> Cli:
    """The command line, its state the session's stack."""
    return on(stack.settings.home, stack.settings.port_base, tmp_path)


@pytest.fixture
def fresh(new_stack: Any, tmp_path: Path) -> Iterator[Cli]:
    """The command line on a stack of the test's own, where nothing was ever trained."""
    settings = new_stack(tmp_path)
    made = on(settings.home, settings.port_base, tmp_path)
    yield made
    made("down")


@pytest.fixture(scope="session")
def boilings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files of the second use case."""
    folder = tmp_path_factory.mktemp("boilings")
    kettles.simulate(folder)
    return folder


@pytest.fixture(scope="session")
def trips() -> Path:
    """Real trips, where they are."""
    if not REAL_TRIPS.is_dir():
        pytest.skip(f"no real trips at {REAL_TRIPS}")
    return REAL_TRIPS


def outputs(summary: dict[str, Any]) -> dict[str, str]:
    """Return the run's exported outputs."""
    found: dict[str, str] = summary["outputs"]["parameters"]
    return found


def starts(summary: dict[str, Any]) -> dict[str, str]:
    """When each step started, by its name."""
    return {each["displayName"]: each["started"] for each in summary["nodes"] if each["phase"] != "Omitted"}


def succeeded(summary: dict[str, Any]) -> set[str]:
    """Names of the steps that are done."""
    return {each["displayName"] for each in summary["nodes"] if each["phase"] == "Succeeded"}


def until(process: subprocess.Popen[str], says: Callable[[str], bool]) -> Iterator[str]:
    """Read lines up to the one that was waited for."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if says(line):
            return
    pytest.fail("the command ended before it said so")


def test_real_trips_become_a_model_in_production(cli: Cli, trips: Path) -> None:
    """Every row is accounted for, the model is as good as promised, and production answers with it."""
    output, summary = cli.train("--upload", f"source={trips}")
    told = outputs(summary)
    assert int(told["etl-rows-kept"]) + int(told["etl-rows-rejected"]) == int(told["etl-rows-in"]) == 180_000
    assert float(told["evaluate-mae"]) <= 250
    assert int(told["load-test-errors"]) == 0
    assert told["evaluate-model-version"] in output
    answer = json.loads(cli("predict", "--json"))
    assert answer["model_version"] in told["promote-serving"]
    assert 60 < answer["duration_s"] < 3 * 3600


@pytest.mark.long
def test_real_trips_reach_production_with_every_step_in_its_image(
    trips: Path, all_images: dict[str, str], fresh: Cli
) -> None:
    """The images hold all that the steps need, Spark and torch included, and the model is as good."""
    assert all_images
    _, summary = fresh.train("--upload", f"source={trips}", "--containers")
    told = outputs(summary)
    assert int(told["etl-rows-kept"]) + int(told["etl-rows-rejected"]) == int(told["etl-rows-in"]) == 180_000
    assert float(told["evaluate-mae"]) <= 250
    assert json.loads(fresh("predict", "--json"))["model_version"] in told["promote-serving"]


def test_simulated_trips_become_a_model_in_production(fresh: Cli, tmp_path: Path) -> None:
    """Without any real file the pipeline reaches production, too, and its model beats the status quo."""
    folder = tmp_path / "simulated"
    fresh("simulate", str(folder), "--rows", "40000")
    _, summary = fresh.train("--upload", f"source={folder}")
    told = outputs(summary)
    assert float(told["evaluate-mae"]) < 0.95 * float(told["evaluate-status-quo-mae"])
    assert json.loads(fresh("predict", "--json"))["model_version"] in told["promote-serving"]


def test_a_killed_engine_goes_on_where_it_was(cli: Cli, boilings: Path) -> None:
    """After kill -9 the same command finishes the run without redoing a finished step; another subject needs no change."""
    upload = ("--upload", f"source={boilings}", "-p", f"use-case={TINY}")
    killed = cli.start("run", "continuous-training", *upload)
    list(until(killed, lambda line: "train Running" in line))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    interrupted = json.loads(cli("list", "-o", "json"))[0]["name"]
    before = json.loads(cli("get", interrupted, "-o", "summary"))
    output, summary = cli.train(*upload)
    assert f"going on with {interrupted}" in output
    assert summary["phase"] == "Succeeded"
    finished = {name: start for name, start in starts(before).items() if name in succeeded(before)}
    assert {"ingest", "etl", "check-data"} <= set(finished)
    assert {name: starts(summary)[name] for name in finished} == finished
    assert "tiny" in outputs(summary)["promote-serving"]


def test_an_unchanged_run_finds_its_work_done_and_says_so(cli: Cli, boilings: Path) -> None:
    """Months and training are there by digest; what serves stays."""
    output, summary = cli.train("--upload", f"source={boilings}", "-p", f"use-case={TINY}")
    assert "4 of 4 months of data; the training: same data, settings and code" in output
    assert outputs(summary)["train-reused"] == "true"


def test_a_folder_without_usable_files_is_refused_before_anything_runs(cli: Cli, tmp_path: Path) -> None:
    """One line names the folder and what would be usable."""
    (tmp_path / "notes.txt").write_text("no trips here")
    output = cli("run", "continuous-training", "--upload", f"source={tmp_path}", code=65)
    assert str(tmp_path) in output
    assert "csv" in output
    assert "Traceback" not in output


def test_a_file_that_is_no_csv_ends_the_run_with_its_name(cli: Cli, tmp_path: Path) -> None:
    """The run fails at ingest, says which file and why, and leaves the production model alone."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "trips_2024-01.csv").write_bytes(bytes(range(256)) * 64)
    output, summary = cli.train("--upload", f"source={folder}", code=1)
    assert summary["phase"] == "Failed"
    assert "trips_2024-01.csv" in output
    assert "Traceback" not in output
    assert "nothing new by this run" in output
