"""What a CronWorkflow does at a moment: pure, without a clock, a file or a process.

`look` takes in what has become of its runs and says whether a moment has come; `admit` asks the CronWorkflow's own rules
whether a run may start then; `started` and `refused` take in what came of it. Each gives the object as it is to be kept.
What is in the object is all that survives an engine; a `Watch` is what a living engine knows beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.schedules import cron_workflow as cw
from tiphys.engine.schedules.conditions import is_to_stop, may_run
from tiphys.engine.schedules.cron_workflow import Child
from tiphys.engine.schedules.crontab import Schedule, ScheduleError
from tiphys.engine.schedules.status import (
    ACTIVE,
    SPEC_ERROR,
    STOPPED,
    SUBMISSION_ERROR,
    count,
    drop_condition,
    reference_to,
    set_condition,
    status_of,
    without,
)
from tiphys.engine.scope import rfc3339

Json = dict[str, Any]
ON_TIME = 60.0
"""Seconds that a living engine may be late. A moment that passed longer ago was missed, as if no engine had lived."""
CORRECTED = 25 * 3600.0
"""A clock set back by more than this many seconds was wrong before; by less, moments that had their run get no other."""


@dataclass(frozen=True)
class Watch:
    """How far a living engine has seen to a CronWorkflow: for each schedule the moment up to which nothing is open."""

    rhythm: tuple[str, ...]
    """Whose moments `since` is about: the object's uid, its schedules, and whether they count now."""
    spec: Json
    since: tuple[float, ...]
    looked: float


@dataclass(frozen=True)
class Look:
    """What `look` has found: the object to keep, the moment to run for, the runs to forget, when to look again."""

    cron: Json
    watch: Watch
    due: int | None = None
    again: tuple[int, ...] = ()
    """Moments that were admitted, but whose run an engine that died has not written down: they are started now."""
    forget: tuple[str, ...] = ()
    wake: float | None = None


def look(cron: Json, children: Sequence[Child], watch: Watch | None, now: float, local: tzinfo = UTC) -> Look:
    """See to a CronWorkflow; `children` are all runs with its label, `watch` what the last look gave.

    All times are in seconds since the epoch; schedules without a zone are read in `local`.
    """
    cron = copy.deepcopy(cron)
    again, changed = _reconcile(cron, children, now)
    spec, rhythm, asleep = cron.get("spec") or {}, _rhythm(cron), _asleep(cron)
    forget = tuple(_too_old(spec, children))
    try:
        schedules = [] if asleep else cw.parsed(spec, local)
    except ScheduleError as error:
        set_condition(cron, SPEC_ERROR, str(error))
        schedules = []
    known = watch is not None and watch.rhythm == rhythm and watch.looked - now <= CORRECTED
    fresh = watch is None or not known or watch.spec != spec
    since = watch.since if watch is not None and known else _beginnings(cron, schedules, now)
    passed = [schedule.latest(begin, now) for schedule, begin in zip(schedules, since, strict=True)]
    due = _due(cron, [each for each in passed if each is not None], now)
    if due is None and (fresh or changed):
        due = _overlooked(cron, schedules, now)
    since = tuple(float(late or begin) for late, begin in zip(passed, since, strict=True))
    ahead = [schedule.next(begin) for schedule, begin in zip(schedules, since, strict=True)]
    wake = min((float(each) for each in ahead if each is not None), default=None)
    return Look(cron, Watch(rhythm, spec, since, now), due, again, forget, wake)


def _asleep(cron: Json) -> bool:
    """Whether no moment counts."""
    return bool((cron.get("spec") or {}).get("suspend")) or status_of(cron)["phase"] == STOPPED


def _rhythm(cron: Json) -> tuple[str, ...]:
    uid = str((cron.get("metadata") or {}).get("uid") or "")
    return uid, str(_asleep(cron)), *cw.schedule_texts(cron.get("spec") or {})


def _beginnings(cron: Json, schedules: Sequence[Schedule], now: float) -> tuple[float, ...]:
    """Where a new watch begins: now, but `@every` counts on from its last run, or from its creation."""
    last = _last(cron, now) or cw.moment_from((cron.get("metadata") or {}).get("creationTimestamp"))
    found = []
    for schedule in schedules:
        following = schedule.next(last) if last is not None else None
        found.append(last if last is not None and following is not None and following > now else float(int(now)))
    return tuple(found)


def _last(cron: Json, now: float) -> float | None:
    """The moment of the last run, unless the clock has been set back so far that it means nothing."""
    last = cw.moment_from(status_of(cron).get("lastScheduledTime"))
    return None if last is not None and last - now > CORRECTED else last


def _due(cron: Json, passed: Sequence[int], now: float) -> int | None:
    """The latest of the moments that have passed since the last look, if its run may still start."""
    latest = max(passed, default=None)
    if latest is None or latest <= (_last(cron, now) or 0.0):
        return None
    return latest if now - latest <= ON_TIME or _in_deadline(cron, latest, now) else None


def _in_deadline(cron: Json, moment: int, now: float) -> bool:
    deadline = (cron.get("spec") or {}).get("startingDeadlineSeconds")
    return deadline is not None and now < moment + deadline


def _overlooked(cron: Json, schedules: Sequence[Schedule], now: float) -> int | None:
    """The latest moment since the last run, if startingDeadlineSeconds still allows it; none for schedules that are new."""
    last = _last(cron, now)
    used = ((cron.get("metadata") or {}).get("annotations") or {}).get(cw.LAST_USED)
    if last is None or used != cw.last_used(cron.get("spec") or {}) or not _in_deadline(cron, int(now), now):
        return None
    latest = max((each for schedule in schedules if (each := schedule.latest(last, now)) is not None), default=None)
    return latest if latest is not None and latest > last and _in_deadline(cron, latest, now) else None


def _reconcile(cron: Json, children: Sequence[Child], now: float) -> tuple[tuple[int, ...], bool]:
    """Take in which runs go on and which have ended; the moments to start again, and whether anything has changed."""
    status = status_of(cron)
    before = copy.deepcopy(status)
    known = {child.name: child for child in children}
    active, again, ended = [], [], []
    for reference in status.get("active") or []:
        child = known.get(str(reference.get("name")))
        if child is not None and not reference.get("uid"):
            _note_start(cron, child)
        if child is None and not reference.get("uid") and (moment := cw.moment_of(cron, reference["name"])):
            again.append(moment)
            active.append(reference)
        elif child is not None and child.done:
            ended.append(child)
        elif child is not None:
            active.append(reference if reference.get("uid") else reference_to(child))
    listed = {reference["name"] for reference in active}
    active += [reference_to(child) for child in children if not child.done and child.name not in listed]
    status["active"] = active
    for child in ended:
        count(status, "succeeded" if child.phase == "Succeeded" else "failed")
        _stop_if_reached(cron, now)
    return tuple(again), status != before


def _too_old(spec: Json, children: Sequence[Child]) -> list[str]:
    """The runs that the history limits let go, the longest ended first to go."""
    found: list[str] = []
    for success, field, otherwise in (
        (True, "successfulJobsHistoryLimit", cw.SUCCESSFUL_KEPT),
        (False, "failedJobsHistoryLimit", cw.FAILED_KEPT),
    ):
        given = spec.get(field)
        limit = given if isinstance(given, int) and given >= 0 else otherwise
        ended = [child for child in children if child.done and (child.phase == "Succeeded") == success]
        ended.sort(key=lambda child: child.finished, reverse=True)
        found += [child.name for child in ended[limit:]]
    return found


@dataclass(frozen=True)
class Admission:
    """Whether a run starts for a moment: the object to keep before it does, and the runs to end first."""

    cron: Json
    start: bool = False
    end: tuple[str, ...] = ()


def admit(cron: Json, moment: int, now: float, problem: str = "") -> Admission:
    """Ask the CronWorkflow's rules, in Argo's order; `problem` is what is wrong with the Workflow, if anything is.

    The object that comes back lists the run as active already, without a uid: an engine that dies before it has written
    the run down starts it when it lives again.
    """
    cron = copy.deepcopy(cron)
    metadata = cron.setdefault("metadata", {})
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        cw.LAST_USED: cw.last_used(cron.get("spec") or {}),
    }
    if problem:
        set_condition(cron, SPEC_ERROR, problem)
        return Admission(cron)
    drop_condition(cron, SPEC_ERROR)
    if not _stop_if_reached(cron, now) or status_of(cron).get("phase") == STOPPED:
        return Admission(cron)
    try:
        runs = may_run(cron, now)
    except TemplateError as error:
        return Admission(refused(cron, moment, f"run policy error: {error}"))
    policy = cron["spec"].get("concurrencyPolicy") or "Allow"
    active = [str(reference.get("name")) for reference in status_of(cron).get("active") or []]
    if not runs or (policy == "Forbid" and active):
        return Admission(cron)
    if cw.child_name(cron, moment) not in active:
        status_of(cron)["active"].append(reference_to(Child(cw.child_name(cron, moment), namespace=_namespace(cron))))
    return Admission(cron, start=True, end=tuple(active) if policy == "Replace" else ())


def started(cron: Json, child: Child) -> Json:
    """The object when the run has been written down."""
    cron = copy.deepcopy(cron)
    status = status_of(cron)
    status["active"] = [*without(status, child.name), reference_to(child)]
    _note_start(cron, child)
    return cron


def unusable(cron: Json, problem: str) -> Json:
    """The object when it can't be looked at, for it says nothing that makes sense."""
    cron = copy.deepcopy(cron)
    set_condition(cron, SPEC_ERROR, problem)
    return cron


def refused(cron: Json, moment: int, reason: str) -> Json:
    """The object when a run could not be submitted."""
    cron = copy.deepcopy(cron)
    status = status_of(cron)
    status["active"] = without(status, cw.child_name(cron, moment))
    set_condition(cron, SUBMISSION_ERROR, reason)
    count(status, "failed")
    return cron


def _note_start(cron: Json, child: Child) -> None:
    status, moment = status_of(cron), cw.moment_of(cron, child.name)
    status["phase"] = status.get("phase") or ACTIVE
    if moment is not None:
        status["lastScheduledTime"] = rfc3339(moment)
    drop_condition(cron, SUBMISSION_ERROR)


def _stop_if_reached(cron: Json, now: float) -> bool:
    """Mark the object as stopped if its stopStrategy says so; False if that can't be told."""
    try:
        reached = is_to_stop(cron, now)
    except TemplateError as error:
        reason = f"failed to check CronWorkflow '{cw.name_of(cron)}' stopping condition: failed to evaluate stop expression: {error}"
        set_condition(cron, SPEC_ERROR, reason)
        return False
    if reached:
        status_of(cron)["phase"] = STOPPED
        metadata = cron.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), cw.COMPLETED: "true"}
    return True


def _namespace(cron: Json) -> str:
    return str((cron.get("metadata") or {}).get("namespace") or "")
