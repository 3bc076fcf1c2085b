"""Train and evaluate as the engine starts them, against real Ray, MLflow, S3 and the Iceberg catalog."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import urllib3
from safetensors.torch import load, save

from components.train.ray_job import submission_id
from components.train.spec import digest_of
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import last_trained
from tiphys.lake.s3 import S3
from tiphys.model_files import address
from tiphys.serving.manifest import parse
from tiphys.settings import PROJECT, CatalogSettings, RaySettings, S3Settings, TrackingSettings
from tiphys.settings import load as settings
from tiphys.tracking import Tracking

if TYPE_CHECKING:
    from conftest import Stack

pytestmark = pytest.mark.e2e

TINY = "tests.usecases.tiny"
Step = Callable[..., "tuple[int, dict[str, Any], str]"]


@pytest.fixture(scope="module")
def store(stack: Stack) -> S3:
    """S3 with the rights of train."""
    return S3(settings(S3Settings, stack.environment("train")))


@pytest.fixture(scope="module")
def tracking(stack: Stack) -> Tracking:
    """MLflow."""
    return Tracking(settings(TrackingSettings, stack.environment("train")))


@pytest.fixture
def trained(step: Step, kettles: str) -> dict[str, Any]:
    """What train tells of the tiny use case; trained by the first test that asks, found by the others."""
    code, outputs, log = step("train", "trained", use_case=TINY, dataset=kettles)
    assert code == 0, log
    return outputs


def test_training_leaves_weights_metrics_and_a_mark_on_the_dataset(
    stack: Stack, trained: dict[str, Any], tracking: Tracking, kettles: str
) -> None:
    """A run in MLflow that is finished, tagged with its data, and the dataset marked as last trained."""
    run = tracking.run(trained["mlflow_run"])
    assert run is not None
    assert run.status == "FINISHED"
    assert run.tags["tiphys.dataset"] == kettles
    environment = stack.environment("train")
    lake = Lake(settings(CatalogSettings, environment), settings(S3Settings, environment))
    assert str(last_trained("tiny", "boilings", lake)) == kettles


def test_the_same_inputs_are_not_trained_twice(step: Step, trained: dict[str, Any], kettles: str) -> None:
    """Another run with the same inputs gets the same answer without a job."""
    code, outputs, log = step("train", "again", use_case=TINY, dataset=kettles)
    assert (code, outputs) == (0, {**trained, "reused": True})
    assert "trained already" in log


def test_no_credential_is_in_the_job_s_record(stack: Stack, trained: dict[str, Any]) -> None:
    """Whoever may list jobs sees a command with an address."""
    ray = settings(RaySettings, stack.environment("train"))
    answer = urllib3.request("GET", f"{ray.url}/api/jobs/", headers={"Authorization": f"Bearer {ray.token}"})
    secrets = [value for value in stack.secrets["train"].values() if len(value) > 8]
    assert "components.train.job" in answer.data.decode()
    assert not [value for value in secrets if value in answer.data.decode()]


def test_a_training_cut_short_goes_on_from_the_last_whole_checkpoint(
    step: Step, store: S3, trained: dict[str, Any], kettles: str
) -> None:
    """With the result gone and the last checkpoint damaged, the one before is taken, it is said, and little is redone."""
    prefix = trained["model_uri"].partition("model.safetensors")[0]
    notes = [each.uri for each in store.list(prefix + "epochs/") if each.uri.endswith(".json")]
    whole = {uri: store.get(uri) for uri in notes}
    store.put(notes[-1].replace(".json", ".ckpt"), b"cut sho")
    store.delete(prefix + "result.json")
    code, outputs, log = step("train", "resumed", use_case=TINY, dataset=kettles)
    assert code == 0, log
    assert outputs["epochs_run"] == trained["epochs_run"]
    assert outputs["mlflow_run"] == trained["mlflow_run"]
    assert [uri for uri in notes if store.get(uri) != whole[uri]] == [notes[-1]]


def test_a_stopped_step_stops_its_job(
    stack: Stack, kettles: str, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """SIGTERM while the job runs: the job is stopped, the run is closed as killed."""
    from tests.e2e.model.model_steps import start  # noqa: PLC0415 - beside this file

    inputs = {"use_case": TINY, "dataset": kettles, "epochs": 1000, "seed": 99}
    process = start(stack, "train", tmp_path / "stopped", "stopped", 0, inputs)
    ray = settings(RaySettings, stack.environment("train"))

    def status() -> str:
        name = submission_id("stopped", "stopped-train", 0, digest_of(TINY, TINY, kettles, 1000, 99))
        url = f"{ray.url}/api/jobs/{name}"
        answer = urllib3.request("GET", url, headers={"Authorization": f"Bearer {ray.token}"})
        return str(answer.json()["status"]) if answer.status == 200 else ""

    eventually(lambda: status() in {"PENDING", "RUNNING"})
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0, told
    eventually(lambda: status() == "STOPPED")


def test_a_dataset_that_is_not_there_ends_the_step_with_its_name(step: Step) -> None:
    """A permanent failure that a person can act on, through Ray and back."""
    code, _, log = step("train", "missing", use_case=TINY, dataset="tiny.boilings@v-never")
    assert code == 65
    assert "tiny.boilings@v-never" in log
    assert "Traceback" not in log


def test_a_good_model_is_registered_once_as_safetensors(
    step: Step, trained: dict[str, Any], tracking: Tracking, kettles: str
) -> None:
    """Evaluated twice, there is one version, and its weights have the digest that it says."""
    given = {
        "use_case": TINY,
        "dataset": kettles,
        "model_uri": trained["model_uri"],
        "mlflow_run": trained["mlflow_run"],
    }
    first = step("evaluate", "good", 0, **given)
    assert first[0] == 0, first[2]
    second = step("evaluate", "good", 1, **given)
    assert second[1]["model_version"] == first[1]["model_version"]
    assert first[1]["verdict"] == "passed"
    assert first[1]["mae"] < 0.7 * first[1]["status_quo_mae"]
    version = tracking.version(first[1]["model_version"])
    weights = tracking.artifact(version.run, "model/model.safetensors", version.sha256)
    assert set(load(weights)) >= {"pace"}
    assert b"All figures" in tracking.artifact(version.run, "evaluation.html")


def test_the_figures_of_a_registered_model_can_be_computed_again(
    step: Step, stack: Any, trained: dict[str, Any], kettles: str
) -> None:
    """From its dataset version and its registered weights alone; nothing is registered or recorded by that."""
    code, told, log = step(
        "evaluate", "again", use_case=TINY, dataset=kettles, model_uri=trained["model_uri"],
        mlflow_run=trained["mlflow_run"],
    )  # fmt: skip
    assert code == 0, log
    environment = {**os.environ, **stack.environment("evaluate")}
    command = [sys.executable, "-m", "components.evaluate.recompute", TINY, kettles, told["model_version"]]
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    metrics = told["metrics"] if isinstance(told["metrics"], dict) else json.loads(told["metrics"])
    assert json.loads(done.stdout) == pytest.approx(metrics, rel=1e-5, abs=1e-5)
    command[-1] = "models:/tiny/99999"
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, "does not exist" in done.stderr) == (65, True)


def test_a_registered_model_is_exported_with_its_interval_its_variants_and_the_status_quo(
    stack: Stack, step: Step, trained: dict[str, Any], kettles: str
) -> None:
    """The chosen file answers as the reference says, four truths of five lie in their intervals; a second time nothing moves."""
    given = {"use_case": TINY, "dataset": kettles}
    run = {"model_uri": trained["model_uri"], "mlflow_run": trained["mlflow_run"]}
    code, judged, log = step("evaluate", "for-export", **given, **run)
    assert code == 0, log
    code, told, log = step("export", "exported", **given, model_version=judged["model_version"])
    assert code == 0, log
    assert told["chosen"] == "onnx-fp32"
    assert 0.7 < told["coverage"] < 0.9
    reasons = {each["name"]: each["reason"] for each in told["variants"]}
    assert reasons["onnx-int8-dynamic"] == ""
    assert reasons["onnx-tensorrt"]
    store = S3(settings(S3Settings, stack.environment("export")))
    manifest = parse(store.get(told["repository"] + "manifest.json"), told["manifest_sha256"], "here")
    assert manifest.outputs == ["seconds", "seconds_low", "seconds_high"]
    assert manifest.variant == "onnx-fp32"
    reference = json.loads(store.get(told["repository"] + "reference.json"))
    asked = {name: np.array([reference[name]], dtype).T for name, dtype in manifest.inputs.items()}
    session = onnxruntime.InferenceSession(store.get(told["repository"] + manifest.onnx_path))
    for name, found in zip(manifest.outputs, session.run(manifest.outputs, asked), strict=True):
        np.testing.assert_allclose(found[:, 0], reference[name], rtol=1e-5)
    with np.load(io.BytesIO(store.get(told["repository"] + "fallback.npz")), allow_pickle=False) as arrays:
        assert {"pace", "_edges", "_low", "_high", "_floor"} == set(arrays)
    code, again, log = step("export", "exported-again", **given, model_version=judged["model_version"])
    assert code == 0, log
    measured = {"why", "variants"}
    assert {n: v for n, v in again.items() if n not in measured} == {n: v for n, v in told.items() if n not in measured}
    assert "is there already" in log


def test_a_spoiled_model_fails_the_gate_with_the_reason_and_is_not_registered(
    step: Step, store: S3, trained: dict[str, Any], tracking: Tracking, kettles: str
) -> None:
    """Weights of noise: exit 65, the missed gates by name, figures published, no new version."""
    uri, _, _ = trained["model_uri"].partition("#")
    spoiled = {name: value + 0.5 for name, value in load(store.get(uri)).items()}
    where = uri.replace("model.safetensors", "spoiled.safetensors")
    sha256 = store.put(where, save(spoiled))
    before = tracking.versions("tiny")
    code, outputs, log = step(
        "evaluate", "spoiled", use_case=TINY, dataset=kettles, model_uri=address(where, sha256),
        mlflow_run=trained["mlflow_run"],
    )  # fmt: skip
    assert code == 65
    assert "status_quo.mae" in log
    assert outputs["verdict"].startswith("missed: mae")
    assert json.dumps(outputs["metrics"])
    assert outputs["model_version"] == ""
    assert tracking.versions("tiny") == before


def test_weights_with_another_digest_are_refused(step: Step, trained: dict[str, Any], kettles: str) -> None:
    """Not a byte of them is loaded."""
    uri = address(trained["model_uri"].partition("#")[0], "0" * 64)
    code, _, log = step(
        "evaluate", "forged", use_case=TINY, dataset=kettles, model_uri=uri, mlflow_run=trained["mlflow_run"]
    )
    assert code == 65
    assert "damaged" in log


def test_a_training_is_named_the_same_in_every_process(trained: dict[str, Any], kettles: str) -> None:
    """Its folder in S3 is the digest of its inputs."""
    assert digest_of(TINY, TINY, kettles, None, None) in trained["model_uri"]
