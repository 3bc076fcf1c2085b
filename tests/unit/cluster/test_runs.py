"""A cluster's run is drawn by the same code as one of this machine: it is read out of Argo's own JSON."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.cluster.logs import is_argos_own
from tiphys.engine.argo_get import draw, pod_of
from tiphys.engine.argo_read import run_of, seconds
from tiphys.engine.argo_shape import workflow_json

pytestmark = pytest.mark.unit


def recorded() -> dict[str, Any]:
    """A Workflow as a real server gave it, shortened."""
    return {
        "metadata": {"name": "hello-z8nvv", "namespace": "tiphys", "creationTimestamp": "2026-11-21T20:41:41Z"},
        "spec": {"arguments": {"parameters": [{"name": "text", "value": "ahoy"}]}},
        "status": {
            "phase": "Succeeded",
            "startedAt": "2026-11-21T20:42:19Z",
            "finishedAt": "2026-11-21T20:43:52Z",
            "nodes": {
                "hello-z8nvv-161093326": {
                    "id": "hello-z8nvv-161093326", "name": "hello-z8nvv.b", "displayName": "b", "type": "Pod",
                    "templateName": "say", "phase": "Succeeded", "boundaryID": "hello-z8nvv",
                    "startedAt": "2026-11-21T20:43:10Z", "finishedAt": "2026-11-21T20:43:24Z",
                },
                "hello-z8nvv": {
                    "id": "hello-z8nvv", "name": "hello-z8nvv", "displayName": "hello-z8nvv", "type": "DAG",
                    "templateName": "main", "phase": "Succeeded", "children": ["hello-z8nvv-144315707"],
                    "startedAt": "2026-11-21T20:42:19Z", "finishedAt": "2026-11-21T20:43:52Z",
                },
                "hello-z8nvv-144315707": {
                    "id": "hello-z8nvv-144315707", "name": "hello-z8nvv.a", "displayName": "a", "type": "Pod",
                    "templateName": "say", "phase": "Succeeded", "boundaryID": "hello-z8nvv",
                    "children": ["hello-z8nvv-161093326"],
                    "startedAt": "2026-11-21T20:42:19Z", "finishedAt": "2026-11-21T20:42:28Z",
                },
            },
        },
    }  # fmt: skip


def test_a_run_of_a_cluster_is_drawn_as_argo_draws_it() -> None:
    """The lines of the tree are those that were seen on a terminal beside a real server."""
    assert draw(run_of(recorded()), seconds("2026-11-21T20:44:19Z"))[-4:] == [
        "STEP            TEMPLATE  PODNAME                    DURATION  MESSAGE",
        " ✔ hello-z8nvv  main",
        " ├─✔ a          say       hello-z8nvv-say-144315707  9s",
        " └─✔ b          say       hello-z8nvv-say-161093326  14s",
    ]


def test_the_pods_are_called_as_the_cluster_calls_them() -> None:
    """A node's pod has the name under which its lines come."""
    run = run_of(recorded())
    assert pod_of(run, run.nodes["hello-z8nvv-144315707"]) == "hello-z8nvv-say-144315707"


def test_what_is_read_is_written_the_same() -> None:
    """Reading is the other direction of what the engine shows as Argo's JSON."""
    workflow = recorded()
    again = workflow_json(run_of(workflow))
    assert again["status"]["nodes"] == workflow["status"]["nodes"]
    for key in ("phase", "startedAt", "finishedAt"):
        assert again["status"][key] == workflow["status"][key]


@pytest.mark.parametrize("status", [{}, {"nodes": None}, {"phase": ""}, None])
def test_a_run_that_has_not_begun_can_be_drawn(status: dict[str, Any] | None) -> None:
    """A Workflow that no controller has seen yet has no status at all."""
    shown = draw(run_of({**recorded(), "status": status}), seconds("2026-11-21T20:44:19Z"))
    assert "Status:              Pending" in shown


@pytest.mark.parametrize(
    ("line", "own"),
    [
        (
            'time=2026-11-21T20:42:23.914Z level=INFO msg="waiting for signals" argo=true signalPath=/var/run/argo/x',
            True,
        ),
        ('time=2026-11-21T20:42:27.921Z level=INFO msg="sub-process exited" error=<nil> argo=true', True),
        ("said ahoy", False),
        ("time=2026-11-21T20:42:27.921Z level=INFO msg=ours", False),
        ("my argo=true", False),
        ("", False),
    ],
)
def test_the_lines_of_argos_executor_are_told_from_the_steps(line: str, own: bool) -> None:  # noqa: FBT001
    """Recorded lines of the executor are its own; a step's are not, whatever they look like."""
    assert is_argos_own(line) is own
