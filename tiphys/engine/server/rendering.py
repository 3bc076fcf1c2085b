"""Runs as Argo's JSON, rendered once for each change: a list of finished runs costs no more than copying bytes."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import Any

from tiphys.engine.argo_shape import workflow_json
from tiphys.engine.engine import Engine
from tiphys.engine.errors import JournalDamagedError, UnknownRunError
from tiphys.engine.journal import Summary
from tiphys.engine.nodes import SUCCEEDED, Node
from tiphys.engine.run_state import RunState
from tiphys.engine.server.fields import Fields

Json = dict[str, Any]
_MOST_BYTES = 64 << 20
_NAME = 100
"""Bytes that a field's name takes beside its characters, about."""
_COMPLETED = "workflows.argoproj.io/completed"
_PHASE = "workflows.argoproj.io/phase"
_DONE = ("Succeeded", "Failed", "Error")
_WHOLE = Fields()
NOT_SHOWN = (UnknownRunError, JournalDamagedError)
"""What a run is left out for where many are shown: it is gone since, or its rows can't be read."""


def document(run: RunState, version: int) -> Json:
    """The Workflow as Argo's API shows it: `version` is that of the journal, its resourceVersion."""
    workflow = workflow_json(run)
    workflow["metadata"]["resourceVersion"] = str(version)
    status = workflow["status"]
    status.setdefault("phase", "Pending")
    status["artifactRepositoryRef"] = {"default": True, "artifactRepository": {}}  # the web UI reads what is in it
    if run.nodes:
        pods = [node for node in run.nodes.values() if node.type == "Pod"]
        status["progress"] = f"{sum(1 for node in pods if node.phase == SUCCEEDED)}/{len(pods)}"
        for node in pods:
            status["nodes"][node.id]["progress"] = _progress(node)
    return workflow


def _progress(node: Node) -> str:
    return "1/1" if node.phase == SUCCEEDED else "0/1"


def labels_of(summary: Summary) -> dict[str, str]:
    """A run's labels, with those that Argo's controller sets."""
    labels = {**summary.labels, _PHASE: summary.phase or "Pending"}
    if summary.phase in _DONE:
        labels[_COMPLETED] = "true"
    return labels


def encode(value: Any) -> bytes:
    """JSON, as compact as it gets."""
    return json.dumps(value, separators=(",", ":")).encode()


_Key = tuple[str, int, Fields, str]


class Rendered:
    """The bytes of runs by name, version and choice of fields; the least used go when there are too many."""

    def __init__(self, most: int = _MOST_BYTES) -> None:
        """`most` is in bytes."""
        self._most = most
        self._size = 0
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, engine: Engine, summary: Summary, fields: Fields, above: str = "") -> bytes:
        """The run as it is, or was when `summary` was read. Raises one of NOT_SHOWN.

        `fields` name paths in a larger object, in which the run lies below `above`.
        """
        key = (summary.name, summary.version, fields, above if fields.names else "")
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return found
        if fields.names:
            made = encode(chosen(json.loads(self.of(engine, summary, _WHOLE)), fields, above))
        else:
            made = encode(document(engine.get(summary.name), summary.version))
        with self._lock:
            self._keep(key, made)
        return made

    def _keep(self, key: _Key, made: bytes) -> None:
        if _weight(key, made) > self._most // 4 or key in self._kept:
            return
        self._kept[key] = made
        self._size += _weight(key, made)
        while self._size > self._most:
            self._size -= _weight(*self._kept.popitem(last=False))


def _weight(key: _Key, made: bytes) -> int:
    """The bytes that an entry holds: a client may name more fields than a run has."""
    return len(made) + sum(len(name) + _NAME for name in key[2].names)


def chosen(workflow: Json, fields: Fields, above: str = "") -> Json:
    """The workflow with only the chosen fields; metadata and spec are always there, as Argo's clients expect."""
    if not fields.names:
        return workflow
    cleaned: Json = fields.clean(workflow, *([above] if above else []))
    return {"metadata": {}, "spec": {}, **cleaned}
