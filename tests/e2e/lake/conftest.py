"""The data steps as programs, on a real stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tiphys.lake.catalog import Lake
from tiphys.lake.s3 import S3
from tiphys.lake.upload import upload_folder
from tiphys.settings import CatalogSettings, S3Settings, load

HEADER = (
    "vendor_id,pickup_datetime,dropoff_datetime,passenger_count,trip_distance,rate_code_id,store_and_fwd_flag,"
    "pickup_location_id,dropoff_location_id,payment_type,fare_amount,extra,mta_tax,tip_amount,tolls_amount,"
    "improvement_surcharge,total_amount,congestion_surcharge"
)
ROW = "2,{month}-11 18:24:44,{month}-11 18:35:02,1,1.65,1,N,230,237,1,8.5,1.0,0.5,2.06,0.0,0.3,12.36,"


@dataclass(frozen=True)
class Done:
    """A step that ended."""

    code: int
    log: str
    outputs: dict[str, str]


@dataclass(frozen=True)
class Steps:
    """Runs steps with their own credentials."""

    environment: Callable[[str], dict[str, str]]
    scratch: Path

    def command(self, component: str, inputs: dict[str, Any]) -> list[str]:
        """The step's command line; its inputs are one file."""
        file = self.scratch / f"{component}.json"
        file.write_text(json.dumps({"use_case": "taxi_eta", **inputs}))
        folders = ["--outputs", str(self.scratch / component), "--artifacts", str(self.scratch / "artifacts")]
        return [sys.executable, "-m", f"components.{component}", "--inputs", str(file), *folders]

    def surroundings(self, component: str, **changed: str) -> dict[str, str]:
        """The step's environment."""
        own = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
        return {**own, **self.environment(component), **changed}

    def run(self, component: str, changed: dict[str, str] | None = None, **inputs: Any) -> Done:
        """Run a step to its end."""
        done = subprocess.run(
            self.command(component, inputs),
            env=self.surroundings(component, **(changed or {})),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        folder = self.scratch / component
        outputs = {each.name: each.read_text() for each in folder.iterdir()} if folder.is_dir() else {}
        return Done(done.returncode, done.stdout + done.stderr, outputs)

    def upload(self, folder: Path) -> str:
        """Upload a folder as the command line does."""
        return upload_folder(folder, S3(load(S3Settings, self.environment("cli"))))

    def ingest(self, folder: Path) -> str:
        """Upload and ingest a folder; answers with the manifest."""
        done = self.run("ingest", source=self.upload(folder))
        assert done.code == 0, done.log
        return done.outputs["manifest"]

    def etl(self, manifest: str, **inputs: str) -> dict[str, str]:
        """Make a version."""
        done = self.run("etl", manifest=manifest, **inputs)
        assert done.code == 0, done.log
        return done.outputs

    def lake(self, component: str = "etl") -> Lake:
        """The lake as that component may see it."""
        environment = self.environment(component)
        return Lake(load(CatalogSettings, environment), load(S3Settings, environment))


@pytest.fixture
def steps(stack: Any, tmp_path: Path) -> Steps:
    """The data steps on the session's stack."""

    def environment(name: str) -> dict[str, str]:
        found: dict[str, str] = stack.environment(name)
        return found

    (tmp_path / "scratch").mkdir()
    return Steps(environment, tmp_path / "scratch")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for raw files."""
    made = tmp_path / "trips"
    made.mkdir()
    return made


def month_file(month: str, rows: int) -> bytes:
    """A small CSV file of that month, every row good and unlike its neighbours."""
    row = ROW.format(month=month)
    lines = [row.replace("1.65", f"1.{65 + n % 30}") for n in range(rows)]
    return "\n".join([HEADER, *lines, ""]).encode()
