"""The steps from a registered model to production, each run as its container would be."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, NestedField, StringType, TimestampType

from tests.e2e.serving.conftest import TINY
from tests.usecases.tiny.model import CONFIG, build
from tiphys import model_files
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import MONTHS
from tiphys.settings import CatalogSettings, S3Settings, TrackingSettings, load
from tiphys.tracking import Tracking, Version

pytestmark = pytest.mark.e2e

SCHEMA = Schema(
    NestedField(1, "switched_on", TimestampType()),
    NestedField(2, "litres", DoubleType()),
    NestedField(3, "celsius", DoubleType()),
    NestedField(4, "seconds", DoubleType()),
    NestedField(5, "month", StringType()),
)


@dataclass(frozen=True)
class Registered:
    """A registered version and a dataset to prove it on."""

    version: Version
    dataset: str
    run: str

    @property
    def uri(self) -> str:
        """Its name."""
        return self.version.uri


@pytest.fixture(scope="module")
def dataset(stack: Any) -> str:
    """A version of a table ``served`` with 300 boilings of one month, written as etl leaves them."""
    environment = stack.environment("etl")
    lake = Lake(load(CatalogSettings, environment), load(S3Settings, environment))
    catalog = lake.writer()
    catalog.create_namespace_if_not_exists("tiny")
    spec = PartitionSpec(PartitionField(5, 1000, IdentityTransform(), "month"))
    table = catalog.create_table("tiny.served", SCHEMA, partition_spec=spec)
    rng = np.random.default_rng(0)
    rows = {
        "switched_on": np.full(300, np.datetime64("2024-03-01T08:00:00", "us")),
        "litres": rng.uniform(0.2, 2.5, 300),
        "celsius": rng.uniform(5, 60, 300).round(),
        "seconds": rng.uniform(60, 400, 300),
        "month": ["2024-03"] * 300,
    }
    table.append(pa.table(rows), snapshot_properties={MONTHS: json.dumps({"2024-03": "0" * 64})})
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "v-served").commit()
    return "tiny.served@v-served"


@pytest.fixture
def registered(stack: Any, dataset: str) -> Registered:
    """A model with weights by chance, registered as evaluate registers one that passed."""
    torch.manual_seed(0)
    model = build(CONFIG)
    model.pace.fill_(120.0)
    torch.nn.init.normal_(model.deep[-1].weight, std=0.3)
    weights = model_files.dump(model, {})
    tracking = Tracking(load(TrackingSettings, stack.environment("export")))
    run = tracking.start_run("tiny-served", "by hand", {})
    tracking.log_artifact(run.id, f"{model_files.FOLDER}/{model_files.FILE}", weights)
    digest = hashlib.sha256(weights).hexdigest()
    version = tracking.register("tiny-served", run.id, model_files.FOLDER, {"sha256": digest})
    return Registered(version, dataset, run.id)


def outputs(folder: Path) -> dict[str, str]:
    """Return the output parameters that a step wrote."""
    return {each.name: each.read_text() for each in (folder / "outputs").iterdir()}


@dataclass(frozen=True)
class Exported:
    """What export told."""

    model: Registered
    repository: str
    manifest_sha256: str
    image: str = ""

    def release(self) -> dict[str, str]:
        """Inputs that deploy and integration-test share."""
        return {**self.described(), "image": self.image}

    def described(self) -> dict[str, str]:
        """Inputs that package shares with them."""
        return {
            "use_case": TINY,
            "model_version": self.model.uri,
            "repository": self.repository,
            "manifest_sha256": self.manifest_sha256,
        }


def export(shop: Any, model: Registered, folder: Path) -> Exported:
    """Run export."""
    shop.step("export", folder, use_case=TINY, dataset=model.dataset, model_version=model.uri)
    told = outputs(folder)
    assert float(told["max_difference"]) < 0.1
    assert int(told["rows_compared"]) == 150, "the half of the last month that did not make the interval"
    version, manifest = model.version, told["manifest_sha256"]
    where = f"s3://models/{version.name}/{version.number}-{version.sha256[:12]}-{manifest[:12]}/"
    assert told["repository"] == where, "the same number of another registry would lie in the same place"
    return Exported(model, told["repository"], told["manifest_sha256"])


def package(shop: Any, made: Exported, folder: Path) -> Exported:
    """Run package."""
    shop.step("package", folder, dataset=made.model.dataset, **made.described())
    told = outputs(folder)
    assert told["image"].endswith("@" + told["digest"])
    return replace(made, image=told["image"])


def test_a_registered_model_reaches_production_through_every_step(
    shop: Any, registered: Registered, tmp_path: Path
) -> None:
    """Export, package, deploy, integration test, load test and promote, each with its own credentials only.

    Canary and judge have a test of their own (test_canary): what they would have found is put into the ledger here.
    """
    made = package(shop, export(shop, registered, tmp_path / "export"), tmp_path / "package")
    shop.step("deploy", tmp_path / "deploy", **made.release())
    generation = outputs(tmp_path / "deploy")["generation"]
    shop.step("integration_test", tmp_path / "integration", **made.release())
    report = json.loads((tmp_path / "integration/artifacts/integration-test.json").read_text())
    assert report["held"]
    assert int(outputs(tmp_path / "integration")["checks"]) == len(report["checks"]) > 20
    shop.step(
        "load_test",
        tmp_path / "load",
        use_case=TINY,
        model_version=registered.uri,
        mlflow_run=registered.run,
        seconds=3,
    )
    figures = outputs(tmp_path / "load")
    assert int(figures["errors"]) == 0
    assert 0 < float(figures["p50_ms"]) <= float(figures["p95_ms"]) <= float(figures["p99_ms"])
    tracking = Tracking(load(TrackingSettings, shop.stack.environment("export")))
    assert b"p95" in tracking.artifact(registered.run, "load-test/load-test.html")
    shop.prove(shop.ledger().current("staging").releases[TINY])
    shop.step("promote", tmp_path / "promote", use_case=TINY, staging_generation=generation)
    number = str(registered.version.number)
    assert outputs(tmp_path / "promote")["serving"] == f"tiny version {number}"
    production = shop.ledger().current("production")
    assert production.releases[TINY].image == production.observed["tiny"].image == made.image
    assert shop.answer("production")[1] == number


def test_export_twice_leaves_the_same_state(shop: Any, registered: Registered, tmp_path: Path) -> None:
    """The second finds the first one's repository and keeps its bytes; the ONNX file is attached with its digest."""
    first = export(shop, registered, tmp_path / "first")
    again = export(shop, registered, tmp_path / "again")
    assert again.manifest_sha256 == first.manifest_sha256
    tracking = Tracking(load(TrackingSettings, shop.stack.environment("export")))
    version = tracking.version(registered.uri)
    assert tracking.attached(version, "model.onnx")
    assert version.tags["manifest_sha256"] == first.manifest_sha256


def test_a_repository_that_answers_otherwise_is_left_alone(shop: Any, registered: Registered, tmp_path: Path) -> None:
    """Its digests agree and the version names it, but its model says something else: the right one lies beside it."""
    number = registered.version.number
    other = shop.put(shop.make(1.0, number=number), f"tiny-served/{number}-other/")
    tracking = Tracking(load(TrackingSettings, shop.stack.environment("export")))
    tracking.tag_version(tracking.version(registered.uri), {"repository": other.repository})
    made = export(shop, registered, tmp_path)
    assert made.repository != other.repository
    assert made.manifest_sha256 != other.manifest_sha256
    assert tracking.version(registered.uri).tags["repository"] == made.repository


def test_an_integration_test_of_another_version_fails_with_its_report(
    shop: Any, registered: Registered, tmp_path: Path
) -> None:
    """Staging serves something else than what was exported: named, and the report is there."""
    made = package(shop, export(shop, registered, tmp_path / "export"), tmp_path / "package")
    shop.serve(50.0)
    said, _ = shop.step("integration_test", tmp_path / "test", code=65, **made.release())
    assert "did not hold" in said
    assert not json.loads((tmp_path / "test/artifacts/integration-test.json").read_text())["held"]


def test_a_missed_slo_fails_and_names_the_figures(shop: Any, tmp_path: Path) -> None:
    """More is asked than two cores can answer: rate or latency is named with what was wanted."""
    served = shop.serve(51.0)
    inputs = {"use_case": TINY, "model_version": f"models:/tiny/{served.version}", "seconds": 2, "rate": 10000}
    said, folder = shop.step("load_test", tmp_path, code=65, **inputs)
    assert "misses its SLO" in said
    assert "wanted >= 9500/s" in said
    assert "missed" in (folder / "artifacts/load-test.html").read_text()


def test_only_what_was_tested_is_promoted(shop: Any, tmp_path: Path) -> None:
    """Staging moved on since the tests: nothing reaches production."""
    first = shop.serve(52.0)
    generation = shop.ledger().current("staging").releases[TINY].generation
    shop.serve(53.0)
    before = shop.ledger().current("production").generation
    said, _ = shop.step("promote", tmp_path, code=65, use_case=TINY, staging_generation=generation)
    assert "not generation" in said
    assert shop.ledger().current("production").generation == before
    assert first.version


def test_a_release_that_staging_refused_is_not_promoted(shop: Any, tmp_path: Path) -> None:
    """It is staging's newest, but it does not serve."""
    recorded = shop.release(shop.put(shop.make(54.0, onnx=b"no model")))
    said, _ = shop.step("promote", tmp_path, code=65, use_case=TINY, staging_generation=recorded.generation)
    assert "does not serve" in said
