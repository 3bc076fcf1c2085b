"""Two runs beside each other, node by node: a laptop's and a cluster's, or the same one twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tiphys.engine.argo_read import seconds
from tiphys.engine.errors import EngineError
from tiphys.engine.parity import differences, normalise

Json = dict[str, Any]
_POD = re.compile(r"(WF[\w.-]*)-\d{6,10}\b")


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called, and its Workflow with status in Argo's JSON."""

    name: str
    workflow: Json


@dataclass(frozen=True)
class Row:
    """A node on both sides; a phase is empty where there is no such node. Times are in seconds."""

    node: str
    phases: tuple[str, str]
    times: tuple[float, float]
    same: bool


@dataclass(frozen=True)
class Diff:
    """The nodes, in the order of the first side, and each difference in words."""

    rows: list[Row]
    differences: list[str]

    def to_json(self) -> Json:
        """A JSON object."""
        nodes = [
            {"name": row.node, "phases": list(row.phases), "seconds": list(row.times), "same": row.same}
            for row in self.rows
        ]
        return {"same": not self.differences, "differences": self.differences, "nodes": nodes}


def compare(first: Side, second: Side) -> Diff:
    """What differs: phases, messages, inputs, outputs, edges; times are told and not compared. Raises EngineError."""
    shapes = _normal(first), _normal(second)
    said = list(differences(*shapes, names=(first.name, second.name)))
    times = [_times(side) for side in (first, second)]
    nodes = [{row["name"]: row for row in shape.get("nodes") or []} for shape in shapes]
    names = sorted(
        {*nodes[0], *nodes[1]}, key=lambda name: (times[0].get(name, times[1].get(name, (0.0, 0.0)))[0], name)
    )
    rows = [
        Row(
            name,
            (str(nodes[0].get(name, {}).get("phase") or ""), str(nodes[1].get(name, {}).get("phase") or "")),
            (times[0].get(name, (0.0, 0.0))[1], times[1].get(name, (0.0, 0.0))[1]),
            nodes[0].get(name) == nodes[1].get(name),
        )
        for name in names
    ]
    return Diff(rows, said)


def _normal(side: Side) -> Json:
    status = side.workflow.get("status")
    if not isinstance(status, dict) or not isinstance(status.get("nodes") or {}, dict):
        msg = f"{side.name} is no Workflow that has run: give a run, or what `argo get NAME -o json` prints"
        raise EngineError(msg)
    try:
        shape: Json = _without_ids(
            normalise(side.workflow), str((side.workflow.get("metadata") or {}).get("uid") or "")
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        msg = f"{side.name} has no status of Argo's shape ({type(error).__name__}: {error}): export it anew"
        raise EngineError(msg) from None
    return shape


def _without_ids(tree: Any, uid: str) -> Any:
    """Without what is another in each run: hashes in the names of pods, and the run's uid."""
    if isinstance(tree, dict):
        return {key: _without_ids(value, uid) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_ids(value, uid) for value in tree]
    if isinstance(tree, str):
        text = _POD.sub(r"\1-<id>", tree)
        return text.replace(uid, "UID") if uid else text
    return tree


def _times(side: Side) -> dict[str, tuple[float, float]]:
    """By name when a node began, from the start of its run, and how long it took."""
    name = side.workflow["metadata"]["name"]
    status = side.workflow["status"]
    began = seconds(status.get("startedAt"))
    found = {}
    for node in (status.get("nodes") or {}).values():
        start, end = seconds(node.get("startedAt")), seconds(node.get("finishedAt"))
        found[re.sub(r"-\d{6,10}\b", "-<id>", node["name"].replace(name, "WF"))] = (
            start - began,
            max(0.0, end - start) if end else 0.0,
        )
    return found
