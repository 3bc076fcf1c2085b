"""A run in the shape of Argo's own Workflow object: for its API, its tools, and comparison with a real Argo."""

from __future__ import annotations

from typing import Any

from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState
from tiphys.engine.scope import rfc3339

Json = dict[str, Any]
_MEMOIZATION = ("hit", "key", "cacheName")


def workflow_json(run: RunState) -> Json:
    """The Workflow with its status, as `argo get -o json` shows it."""
    status: Json = {
        "phase": run.phase,
        "message": run.message,
        "conditions": [{"type": "Completed", "status": "True" if run.done else "False"}],
        "startedAt": _moment(run.started),
        "finishedAt": _moment(run.finished),
        "outputs": run.outputs,
        "nodes": {node.id: _node(node) for node in run.nodes.values()},
    }
    labels = {**run.labels, "workflows.argoproj.io/phase": run.phase or "Pending"}
    if run.done:
        labels["workflows.argoproj.io/completed"] = "true"
    metadata = {
        "name": run.name, "generateName": run.generate_name, "namespace": run.namespace, "uid": run.uid,
        "creationTimestamp": rfc3339(run.created), "labels": labels, "annotations": run.annotations,
    }  # fmt: skip
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": _given(metadata),
        "spec": _spec(run),
        "status": _given(status),
    }


def _spec(run: RunState) -> Json:
    """The spec with what was asked of the run since."""
    asked: Json = {"suspend": True} if run.suspended else {}
    asked |= {"shutdown": run.shutdown} if run.shutdown else {}
    return {**{key: value for key, value in run.spec.items() if key != "suspend"}, **asked}


def _node(node: Node) -> Json:
    return {
        "id": node.id,
        "name": node.name,
        "displayName": node.display_name,
        "type": node.type,
        "phase": node.phase,
        **_given(
            {
                "message": node.message,
                "templateName": node.template_name,
                "templateRef": node.template_ref,
                "boundaryID": node.boundary,
                "daemoned": node.daemoned,
                "podIP": node.pod_ip if node.daemoned else "",
                "children": node.children,
                "outboundNodes": node.outbound,
                "startedAt": _moment(node.started),
                "finishedAt": _moment(node.finished),
                "inputs": node.inputs,
                "outputs": node.outputs,
            }
        ),
        **({} if node.flags is None else {"nodeFlag": node.flags}),
        **(
            {}
            if node.memoization is None
            else {"memoizationStatus": {key: node.memoization[key] for key in _MEMOIZATION}}
        ),
    }


def _given(fields: Json) -> Json:
    return {key: value for key, value in fields.items() if value}


def _moment(seconds: float) -> str | None:
    return rfc3339(seconds) if seconds else None
