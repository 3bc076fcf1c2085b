"""What goes when a run has ended: artifacts by artifactGC, and the run itself by ttlStrategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiphys.engine.artifacts import ArtifactStore
from tiphys.engine.nodes import FAILED, SUCCEEDED
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
ON_COMPLETION, ON_DELETION = "OnWorkflowCompletion", "OnWorkflowDeletion"


def expires_at(run: RunState) -> float | None:
    """When the run is to be deleted, in seconds since the epoch; None if it stays. Error is no failure, as on Argo."""
    if run.done and run.deleted:
        return run.finished
    strategy = run.spec.get("ttlStrategy") or {}
    by_phase = {SUCCEEDED: "secondsAfterSuccess", FAILED: "secondsAfterFailure"}
    for field in (by_phase.get(run.phase, ""), "secondsAfterCompletion"):
        if run.done and strategy.get(field) is not None:
            return run.finished + float(strategy[field])
    return None


def doomed(run: RunState, *moments: str) -> set[str]:
    """The keys of the artifacts whose strategy is one of `moments`."""
    return {artifact["s3"]["key"] for _, artifact in _artifacts(run) if _strategy(run, artifact) in moments}


def delete_artifacts(store: ArtifactStore, keys: set[str]) -> None:
    """Delete them from the store, which may be far away. Raises EngineError."""
    for key in sorted(keys):
        store.delete(key)


def mark_deleted(run: RunState, keys: set[str]) -> None:
    """Note in the run that these are gone."""
    for node_id, artifact in list(_artifacts(run)):
        if artifact["s3"]["key"] in keys:
            artifact["deleted"] = True
            run.dirty.add(node_id)


def _artifacts(run: RunState) -> Iterator[tuple[str, Json]]:
    for node in run.nodes.values():
        for artifact in (node.outputs or {}).get("artifacts") or []:
            if (artifact.get("s3") or {}).get("key") and not artifact.get("deleted"):
                yield node.id, artifact


def _strategy(run: RunState, artifact: Json) -> str:
    """The artifact's own strategy, else the workflow's."""
    own = (artifact.get("artifactGC") or {}).get("strategy")
    return str(own or (run.spec.get("artifactGC") or {}).get("strategy") or "Never")
