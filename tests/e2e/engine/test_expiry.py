"""Logs as artifacts, artifacts that go with their run, and runs whose time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, RunState, UnknownRunError, load_text
from tiphys.engine.control import delete

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
"""


def artifacts(run: RunState, node: str = "wf") -> list[Any]:
    """The artifacts of a node."""
    return list((run.nodes[node].outputs or {}).get("artifacts") or [])


@pytest.mark.parametrize("code", [0, 3])
def test_the_log_of_main_is_an_artifact_whatever_the_exit_code(run: Run, state: Path, code: int) -> None:
    """main-logs below the pod's own key, plain text (executor.go saveContainerLogs, workflowpod.go IsArchiveLogs)."""
    done = run(
        HEAD
        + f"""
  archiveLogs: true
  templates:
  - name: main
    container: {{image: "debian:12", command: [sh, -c, "echo out; echo err >&2; exit {code}"]}}
"""
    )
    assert artifacts(done) == [{"name": "main-logs", "s3": {"key": "wf/wf/main.log"}}]
    assert (state / "artifacts/wf/wf/main.log").read_text() == "out\nerr\n"


def test_a_template_may_decide_for_itself_and_each_container_of_a_set_has_a_log(run: Run) -> None:
    """archiveLocation.archiveLogs goes before the spec's archiveLogs."""
    done = run(
        HEAD
        + """
  archiveLogs: true
  templates:
  - name: main
    steps: [[{name: quiet, template: quiet}, {name: set, template: set}]]
  - name: quiet
    archiveLocation: {archiveLogs: false}
    container: {image: "debian:12", command: ["true"]}
  - name: set
    containerSet:
      containers:
      - {name: a, image: "debian:12", command: ["true"]}
      - {name: main, image: "debian:12", command: ["true"]}
"""
    )
    by_name = {node.display_name: node.id for node in done.nodes.values()}
    assert artifacts(done, by_name["quiet"]) == []
    assert [entry["name"] for entry in artifacts(done, by_name["set"])] == ["a-logs", "main-logs"]


GARBAGE = """
  %s
  artifactGC: {strategy: %s}
  templates:
  - name: main
    container: {image: "debian:12", command: [touch, /tmp/a, /tmp/b]}
    outputs:
      artifacts:
      - {name: a, path: /tmp/a, archive: {none: {}}}
      - {name: b, path: /tmp/b, archive: {none: {}}, artifactGC: {strategy: Never}}
"""


def test_artifacts_go_when_the_run_has_ended_unless_they_say_otherwise(run: Run, state: Path) -> None:
    """OnWorkflowCompletion; an artifact's own strategy goes before the workflow's (workflow_types.go GetArtifactGCStrategy)."""
    done = run(HEAD + GARBAGE % ("", "OnWorkflowCompletion"))
    assert sorted(path.name for path in (state / "artifacts").rglob("*") if path.is_file()) == ["b"]
    assert [entry.get("deleted", False) for entry in artifacts(done)] == [True, False]


def test_a_run_whose_time_is_over_goes_with_its_logs_and_what_is_tied_to_it(
    engine: Engine, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """secondsAfterSuccess, and OnWorkflowDeletion; nothing goes before (gc_controller.go ttl)."""
    text = HEAD + GARBAGE % (
        "ttlStrategy: {secondsAfterSuccess: 1000, secondsAfterCompletion: 5}",
        "OnWorkflowDeletion",
    )
    engine.run(engine.submit(load_text(text)), handle_signals=False)
    assert [summary.name for summary in engine.runs()] == ["wf"]
    assert (state / "artifacts/wf/wf/a").exists()
    later = time.time() + 1001
    monkeypatch.setattr(time, "time", lambda: later)
    assert engine.runs() == []
    assert [path.name for path in (state / "artifacts").rglob("*") if path.is_file()] == ["b"]
    assert not (state / "runs" / "wf").exists()
    with pytest.raises(UnknownRunError):
        engine.get("wf")


def test_a_run_that_is_deleted_takes_what_is_tied_to_it_along(engine: Engine, state: Path) -> None:
    """ArtifactGC OnWorkflowDeletion holds for a person's delete, too."""
    engine.run(engine.submit(load_text(HEAD + GARBAGE % ("", "OnWorkflowDeletion"))), handle_signals=False)
    assert (state / "artifacts/wf/wf/a").exists()
    delete(engine, "wf")
    assert [path.name for path in (state / "artifacts").rglob("*") if path.is_file()] == ["b"]
    assert engine.runs() == []


def test_a_run_in_error_counts_as_completed_and_not_as_failed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """gc_controller.go asks Status.Failed(), which is the phase Failed alone."""
    text = (
        HEAD
        + """
  ttlStrategy: {secondsAfterFailure: 1, secondsAfterSuccess: 1, secondsAfterCompletion: 1000}
  templates:
  - name: main
    container: {image: "debian:12", command: ["true"]}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/none}}]}
"""
    )
    assert engine.run(engine.submit(load_text(text)), handle_signals=False).phase == "Error"
    later = time.time() + 100
    monkeypatch.setattr(time, "time", lambda: later)
    assert [summary.name for summary in engine.runs()] == ["wf"]


def test_an_engine_that_starts_deletes_what_is_due(engine: Engine) -> None:
    """Every start looks."""
    text = HEAD + "  ttlStrategy: {secondsAfterCompletion: 0}\n  templates: [{name: main, suspend: {duration: 0s}}]\n"
    engine.run(engine.submit(load_text(text)), handle_signals=False)
    engine.run(engine.submit(load_text(text.replace("{name: wf}", "{name: next}"))), handle_signals=False)
    assert [summary.name for summary in engine.journal.runs()] == ["next"]
