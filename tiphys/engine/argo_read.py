"""A run read from Argo's own Workflow object, so that a cluster's run is drawn as one of this machine is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

Json = dict[str, Any]


def run_of(workflow: Json) -> RunState:
    """The state that a Workflow with its status tells; for looking at, not for driving."""
    metadata, status = workflow.get("metadata") or {}, workflow.get("status") or {}
    spec = workflow.get("spec") or {}
    kept = status.get("storedWorkflowTemplateSpec") or {}
    run = RunState(
        name=metadata.get("name") or "", uid=metadata.get("uid") or "", created=seconds(metadata.get("creationTimestamp")),
        spec={**kept, **spec}, namespace=metadata.get("namespace") or "default",
        generate_name=metadata.get("generateName") or "", labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
    )  # fmt: skip
    run.phase, run.message = status.get("phase") or "", status.get("message") or ""
    run.started, run.finished = seconds(status.get("startedAt")), seconds(status.get("finishedAt"))
    run.shutdown, run.suspended = spec.get("shutdown") or "", bool(spec.get("suspend"))
    run.outputs = status.get("outputs")
    run.nodes = {key: _node(value) for key, value in _in_order(status.get("nodes") or {})}
    return run


def seconds(moment: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 for none."""
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _in_order(nodes: dict[str, Json]) -> list[tuple[str, Json]]:
    """By the second in which they started: Argo's map has no order."""
    return sorted(nodes.items(), key=lambda item: (item[1].get("startedAt") or "~", item[1].get("name") or ""))


def _node(data: Json) -> Node:
    return Node(
        id=data["id"],
        name=data.get("name") or data["id"],
        display_name=data.get("displayName") or data.get("name") or data["id"],
        type=data.get("type") or "",
        phase=data.get("phase") or "",
        boundary=data.get("boundaryID") or "",
        template_name=data.get("templateName") or "",
        template_ref=data.get("templateRef"),
        message=data.get("message") or "",
        started=seconds(data.get("startedAt")),
        finished=seconds(data.get("finishedAt")),
        children=data.get("children") or [],
        outbound=data.get("outboundNodes") or [],
        flags=data.get("nodeFlag"),
        inputs=data.get("inputs"),
        outputs=data.get("outputs"),
        memoization=data.get("memoizationStatus"),
        daemoned=bool(data.get("daemoned")),
        pod_ip=data.get("podIP") or "",
    )
