"""A CronWorkflow as this engine keeps it: what its fields say, and the Workflow that it starts at a moment."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from tiphys.engine.schedules.crontab import Schedule, parse_schedule
from tiphys.engine.scope import rfc3339

Json = dict[str, Any]
KIND = "CronWorkflow"
LABEL = "workflows.argoproj.io/cron-workflow"
SCHEDULED = "workflows.argoproj.io/scheduled-time"
LAST_USED = "cronworkflows.argoproj.io/last-used-schedule"
COMPLETED = "cronworkflows.argoproj.io/completed"
_INSTANCE = "workflows.argoproj.io/controller-instanceid"
_PROPAGATED = (
    "workflows.argoproj.io/creator",
    "workflows.argoproj.io/creator-email",
    "workflows.argoproj.io/creator-preferred-username",
)
SUCCESSFUL_KEPT, FAILED_KEPT = 3, 1
"""How many runs are kept where the limits say nothing."""


@dataclass(frozen=True)
class Child:
    """A run that a CronWorkflow has started; times in seconds since the epoch, 0 for what is not yet."""

    name: str
    uid: str = ""
    phase: str = ""
    created: float = 0.0
    finished: float = 0.0
    namespace: str = ""
    version: int = 0

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.phase in ("Succeeded", "Failed", "Error")


def name_of(cron: Json) -> str:
    """The object's name."""
    return str((cron.get("metadata") or {}).get("name") or "")


def schedule_texts(spec: Json) -> list[str]:
    """The schedules with the time zone that they are to be read in."""
    zone = spec.get("timezone") or ""
    return [f"CRON_TZ={zone} {text}" if zone else str(text) for text in spec.get("schedules") or []]


def parsed(spec: Json, local: tzinfo = UTC) -> list[Schedule]:
    """The schedules. Raises ScheduleError."""
    return [parse_schedule(text, local) for text in schedule_texts(spec)]


def last_used(spec: Json) -> str:
    """What Argo notes of the schedules when they have been used."""
    return ",".join(schedule_texts(spec))


def child_name(cron: Json, moment: int) -> str:
    """The name of the run for a moment; the same whenever it is asked for."""
    return f"{name_of(cron)}-{moment}"


def moment_of(cron: Json, child: str) -> int | None:
    """The moment for which a run was started, by its name; None for a run that was not."""
    digits = child.removeprefix(f"{name_of(cron)}-")
    return int(digits) if digits != child and digits.isascii() and digits.isdigit() else None


def child_workflow(cron: Json, moment: int) -> Json:
    """The Workflow to submit for a moment, with the labels and annotations that Argo gives it."""
    spec = cron.get("spec") or {}
    own = (cron.get("metadata") or {}).get("labels") or {}
    given = spec.get("workflowMetadata") or {}
    labels = {key: own[key] for key in (*_PROPAGATED, _INSTANCE) if key in own}
    metadata = {
        "name": child_name(cron, moment),
        "labels": {**labels, LABEL: name_of(cron), **(given.get("labels") or {})},
        "annotations": {SCHEDULED: rfc3339(moment), **(given.get("annotations") or {})},
    }
    if (cron.get("metadata") or {}).get("namespace"):
        metadata["namespace"] = cron["metadata"]["namespace"]
    return {
        "apiVersion": cron.get("apiVersion") or "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": copy.deepcopy(spec.get("workflowSpec") or {}),
    }


def moment_from(text: str | None) -> float | None:
    """An RFC 3339 time in seconds since the epoch; None for none, or for what is no time."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except (ValueError, TypeError):
        return None


def next_moment(cron: Json, now: float, local: tzinfo = UTC) -> int | None:
    """When it runs next, if nothing hinders it; None if it is suspended or stopped, or has no moment left.

    Raises ScheduleError.
    """
    spec, status = cron.get("spec") or {}, cron.get("status") or {}
    if spec.get("suspend") or status.get("phase") == "Stopped":
        return None
    last = moment_from(status.get("lastScheduledTime")) or moment_from(
        (cron.get("metadata") or {}).get("creationTimestamp")
    )
    return min((each for each in (upcoming(one, last, now) for one in parsed(spec, local)) if each), default=None)


def upcoming(schedule: Schedule, since: float | None, now: float) -> int | None:
    """The first moment that is still to come; `@every` counts on from `since` if its step is not over."""
    found = None if since is None else schedule.next(since)
    return found if found is not None and found > now else schedule.next(now)
