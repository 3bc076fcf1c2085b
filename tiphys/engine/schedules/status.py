"""The status of a CronWorkflow: what the engine writes into the object, in the shape that Argo gives it."""

from __future__ import annotations

import copy
from typing import Any

from tiphys.engine.schedules.cron_workflow import Child

Json = dict[str, Any]
SPEC_ERROR, SUBMISSION_ERROR = "SpecError", "SubmissionError"
ACTIVE, STOPPED = "Active", "Stopped"


def with_status(cron: Json) -> Json:
    """The object with all fields of a status, as everything here gives it back."""
    cron = copy.deepcopy(cron)
    status_of(cron)
    return cron


def status_of(cron: Json) -> Json:
    """The object's status, with everything that Argo always shows there; what is nothing of the kind counts as absent."""
    given = cron.get("status")
    old: Json = given if isinstance(given, dict) else {}
    active = [each for each in _mappings(old.get("active")) if isinstance(each.get("name"), str)]
    counts = {field: old[field] if isinstance(old.get(field), int) else 0 for field in ("succeeded", "failed")}
    status: Json = {
        **old,
        "active": active,
        "lastScheduledTime": old.get("lastScheduledTime"),
        "conditions": _mappings(old.get("conditions")) or None,
        **counts,
        "phase": str(old.get("phase") or ""),
    }
    if isinstance(given, dict):
        given.update(status)
    else:
        cron["status"] = status
    found: Json = cron["status"]
    return found


def _mappings(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def count(status: Json, field: str) -> None:
    """One more of what `field` counts."""
    status[field] = int(status.get(field) or 0) + 1


def set_condition(cron: Json, kind: str, message: str) -> None:
    """The object has a problem of that kind; its latest message counts."""
    drop_condition(cron, kind)
    status_of(cron)["conditions"] = [
        *(status_of(cron)["conditions"] or []), {"type": kind, "message": message, "status": "True"}
    ]  # fmt: skip


def drop_condition(cron: Json, kind: str) -> None:
    """The object has no problem of that kind any more."""
    status = status_of(cron)
    kept = [condition for condition in status["conditions"] or [] if condition.get("type") != kind]
    status["conditions"] = kept or None


def reference_to(child: Child) -> Json:
    """A run as the list of those that are active names it."""
    return {
        "kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1", "namespace": child.namespace, "name": child.name,
        "uid": child.uid, "resourceVersion": str(child.version),
    }  # fmt: skip


def without(status: Json, name: str) -> list[Json]:
    """The active runs but that one."""
    return [reference for reference in status.get("active") or [] if reference.get("name") != name]
