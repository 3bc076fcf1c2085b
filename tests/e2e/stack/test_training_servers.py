"""MLflow and Ray do what the training asks of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tiphys.settings import PROJECT

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e


def test_mlflow_keeps_runs_and_proxies_artifacts(stack: Stack, tmp_path: Path) -> None:
    """A run's metric and its files come back; the client holds no key of S3."""
    from mlflow import MlflowClient  # noqa: PLC0415 - seconds

    client = MlflowClient(stack.config["TIPHYS_MLFLOW_URL"])
    run = client.create_run(client.create_experiment("tried")).info.run_id
    client.log_metric(run, "mae", 231.5, step=3)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"\x00weights" * 1000)
    client.log_artifacts(run, str(tmp_path / "model"), "model/v1")
    client.log_text(run, "a report", "report.html")

    assert client.get_run(run).data.metrics == {"mae": 231.5}
    assert [(each.path, each.is_dir) for each in client.list_artifacts(run)] == [
        ("model", True),
        ("report.html", False),
    ]
    assert [each.path for each in client.list_artifacts(run, "model/v1")] == ["model/v1/weights.bin"]
    assert client.list_artifacts(run, "report.html") == []
    fetched = client.download_artifacts(run, "model", str(tmp_path / "fetched"))
    assert (Path(fetched) / "v1" / "weights.bin").read_bytes() == b"\x00weights" * 1000


@pytest.fixture
def jobs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ray's job client with the train step's token."""
    from ray.job_submission import JobSubmissionClient  # noqa: PLC0415 - seconds

    return JobSubmissionClient(
        stack.config["TIPHYS_RAY_URL"],
        headers={"Authorization": f"Bearer {stack.secrets['train']['TIPHYS_RAY_TOKEN']}"},
    )


def test_a_ray_job_finds_its_credentials_and_its_record_does_not(
    stack: Stack, jobs: Any, eventually: Callable[..., None]
) -> None:
    """A job runs tasks on this head, knows the train step's key from its environment, and tells it nowhere."""
    program = (
        "import os, ray, tiphys.settings as s; ray.init(); "
        "print('task says', ray.get(ray.remote(lambda: 6 * 7).remote())); "
        "print('key ends', s.load(s.S3Settings).access_key[-4:])"
    )
    name = jobs.submit_job(entrypoint=f'python -c "{program}"', submission_id="tried-1")

    def over() -> bool:
        """The job ended."""
        return jobs.get_job_status(name).is_terminal()

    eventually(over, within=120)
    secrets = stack.secrets["train"]
    logs = jobs.get_job_logs(name)
    assert jobs.get_job_status(name) == "SUCCEEDED", logs
    assert "task says 42" in logs
    assert f"key ends {secrets['TIPHYS_S3_ACCESS_KEY'][-4:]}" in logs
    record = str(jobs.get_job_info(name))
    assert not [variable for variable, value in secrets.items() if value in record]
    assert str(PROJECT) not in record
