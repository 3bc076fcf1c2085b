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
    strategy = run.spec.get("ttlStrategy") or {}
    by_phase = {SUCCEEDED: "secondsAfterSuccess", FAILED: "secondsAfterFailure"}
    for field in (by_phase.get(run.phase, ""), "secondsAfterCompletion"):
        if run.done and strategy.get(field) is not None:
            return run.finished + float(strategy[field])
    return None


def delete_artifacts(run: RunState, store: ArtifactStore, *moments: str) -> bool:
    """Delete the artifacts whose strategy is one of `moments`, and mark them so; whether there were any."""
    found = list(_artifacts(run))
    keys = {artifact["s3"]["key"] for _, artifact in found if _strategy(run, artifact) in moments}
    for key in keys:
        store.delete(key)
    for node_id, artifact in found:
        if artifact["s3"]["key"] in keys:
            artifact["deleted"] = True
            run.dirty.add(node_id)
    return bool(keys)


def _artifacts(run: RunState) -> Iterator[tuple[str, Json]]:
    for node in run.nodes.values():
        for artifact in (node.outputs or {}).get("artifacts") or []:
            if (artifact.get("s3") or {}).get("key") and not artifact.get("deleted"):
                yield node.id, artifact


def _strategy(run: RunState, artifact: Json) -> str:
    """The artifact's own strategy, else the workflow's."""
    own = (artifact.get("artifactGC") or {}).get("strategy")
    return str(own or (run.spec.get("artifactGC") or {}).get("strategy") or "Never")
