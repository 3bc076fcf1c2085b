"""A run as JSON, for programs: `run --summary FILE`, `get -o summary`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState
from tiphys.engine.scope import rfc3339

Json = dict[str, Any]


def summary(run: RunState, notes: list[str] | None = None) -> Json:
    """Phase, message, seconds, and every node with its phase, times, inputs and outputs."""
    return {
        "name": run.name,
        "phase": run.phase,
        "message": run.message,
        "started": _moment(run.started),
        "finished": _moment(run.finished),
        "seconds": _seconds(run.started, run.finished),
        "outputs": _outputs(run.outputs),
        "notes": notes or [],
        "nodes": [_node(node) for node in run.nodes.values()],
    }


def write_summary(run: RunState, path: Path, notes: list[str] | None = None) -> None:
    """Write the summary to a file."""
    path.write_text(json.dumps(summary(run, notes), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _node(node: Node) -> Json:
    parameters = (node.inputs or {}).get("parameters") or []
    return {
        "id": node.id,
        "name": node.name,
        "displayName": node.display_name,
        "type": node.type,
        "template": node.template_name,
        "phase": node.phase,
        "message": node.message,
        "started": _moment(node.started),
        "finished": _moment(node.finished),
        "seconds": _seconds(node.started, node.finished),
        "starts": node.attempts,
        "inputs": {entry["name"]: entry.get("value") for entry in parameters},
        "outputs": _outputs(node.outputs),
    }


def _outputs(outputs: Json | None) -> Json:
    outputs = outputs or {}
    found: Json = {key: outputs[key] for key in ("result", "exitCode") if key in outputs}
    if outputs.get("parameters"):
        found["parameters"] = {entry["name"]: entry.get("value") for entry in outputs["parameters"]}
    if outputs.get("artifacts"):
        found["artifacts"] = {entry["name"]: (entry.get("s3") or {}).get("key") for entry in outputs["artifacts"]}
    return found


def _moment(seconds: float) -> str | None:
    return rfc3339(seconds) if seconds else None


def _seconds(started: float, finished: float) -> float | None:
    return round((finished or time.time()) - started, 3) if started else None
