"""A real `argo` against the server, where --argo-cli names one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.server.conftest import SUSPEND, Served, steps

pytestmark = pytest.mark.e2e
Argo = Callable[..., str]


@pytest.fixture
def argo(server: Served, request: pytest.FixtureRequest) -> Argo:
    """`argo("list")`: what the command prints; it must end with `code`."""
    program = request.config.getoption("--argo-cli")
    if not program:
        pytest.skip("--argo-cli names no `argo`")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(server.home), "ARGO_SERVER": f"127.0.0.1:{server.port}", "ARGO_HTTP1": "true",
        "ARGO_SECURE": "false", "ARGO_TOKEN": f"Bearer {server.tokens['admin']}", "ARGO_NAMESPACE": "default", "KUBECONFIG": "/dev/null",
    }  # fmt: skip

    def call(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [program, *words], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return call


def _written(path: Path, kind: str, name: str, spec: object) -> str:
    document = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_a_run_is_submitted_watched_and_looked_at(argo: Argo, tmp_path: Path) -> None:
    """Submit, watch, list, get, logs, lint, resubmit, delete."""
    file = _written(tmp_path / "run.yaml", "Workflow", "cli-run", steps("echo one", "echo two")["spec"])

    assert "no linting errors" in argo("lint", file)
    assert "Succeeded" in argo("submit", file, "--watch")
    assert "cli-run" in argo("list", "--completed")
    assert "s1" in argo("get", "cli-run")
    assert [line.rpartition(": ")[2] for line in argo("logs", "cli-run", "--no-color").splitlines()] == ["one", "two"]
    assert [line.rpartition(": ")[2] for line in argo("logs", "cli-run", "-f", "--no-color").splitlines()] == [
        "one",
        "two",
    ]
    again = argo("resubmit", "cli-run", "-o", "name").strip()
    argo("wait", again)
    assert "deleted" in argo("delete", "cli-run", again)
    assert "not found" in argo("get", "cli-run", code=1)


def test_a_run_is_stopped_retried_suspended_and_resumed(argo: Argo, tmp_path: Path, server: Served) -> None:
    """What may be done to one that goes on, and to one that failed."""
    file = _written(tmp_path / "run.yaml", "Workflow", "cli-act", steps(SUSPEND, "exit 1")["spec"])
    argo("submit", file)
    server.wait_for_step("cli-act", "s0", "Running")

    assert "suspended" in argo("suspend", "cli-act")
    assert "resumed" in argo("resume", "cli-act")
    argo("wait", "cli-act", code=1)
    assert "Running" in argo("retry", "cli-act")
    argo("wait", "cli-act", code=1)
    again = argo("resubmit", "cli-act", "-o", "name").strip()
    server.wait_for_step(again, "s0", "Running")
    assert "stopped" in argo("stop", again)
    argo("wait", again, code=1)
    again = argo("resubmit", "cli-act", "-o", "name").strip()
    server.wait_for_step(again, "s0", "Running")
    assert "terminated" in argo("terminate", again)
    argo("wait", again, code=1)


def test_templates_and_cron_workflows(argo: Argo, tmp_path: Path, server: Served) -> None:
    """Create, list, update, submit from, suspend, delete."""
    spec = steps("echo {{workflow.parameters.who}}")["spec"] | {
        "arguments": {"parameters": [{"name": "who", "value": "world"}]}
    }
    template = _written(tmp_path / "template.yaml", "WorkflowTemplate", "cli-greet", spec)
    cluster = _written(tmp_path / "cluster.yaml", "ClusterWorkflowTemplate", "cli-all", spec)
    schedule = {"schedules": ["0 3 * * *"], "workflowSpec": {"workflowTemplateRef": {"name": "cli-greet"}}}
    cron = _written(tmp_path / "cron.yaml", "CronWorkflow", "cli-nightly", schedule)

    for what, file, name in (
        ("template", template, "cli-greet"),
        ("cluster-template", cluster, "cli-all"),
        ("cron", cron, "cli-nightly"),
    ):
        argo(what, "lint", file)
        argo(what, "create", file)
        assert name in argo(what, "list")
        assert name in argo(what, "get", name)
        argo(what, "update", file)
    for source in ("workflowtemplate/cli-greet", "clusterworkflowtemplate/cli-all", "cronwf/cli-nightly"):
        name = argo("submit", "--from", source, "-p", "who=me", "-o", "name").strip()
        argo("wait", name)
        assert argo("logs", name, "--no-color").endswith(": me\n")
    argo("cron", "suspend", "cli-nightly")
    assert server.get("/api/v1/cron-workflows/default/cli-nightly")["spec"]["suspend"] is True
    argo("cron", "resume", "cli-nightly")
    for what, name in (("cron", "cli-nightly"), ("template", "cli-greet"), ("cluster-template", "cli-all")):
        argo(what, "delete", name)
        assert name not in argo(what, "list")
