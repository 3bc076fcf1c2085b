"""Starts what CronWorkflows say, when they say it: the part that touches journal and objects; `decide.py` decides.

Called with the time, never asks for it. All that it must not forget is in the objects and in the journal, so an engine
that was killed at any point goes on: what was admitted is started once, for a run's name says for which moment it is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

from tiphys.engine.control import forget
from tiphys.engine.errors import EngineError, JournalDamagedError, ManifestError, UnknownRunError
from tiphys.engine.schedules.check import check_cron_workflow
from tiphys.engine.schedules.cron_workflow import (
    COMPLETED,
    KIND,
    LABEL,
    LAST_USED,
    Child,
    child_name,
    child_workflow,
    moment_from,
    name_of,
)
from tiphys.engine.schedules.decide import Watch, admit, look, refused, started, unusable
from tiphys.engine.schedules.status import with_status

if TYPE_CHECKING:
    from tiphys.engine.engine import Engine
    from tiphys.engine.journal import Summary

Json = dict[str, Any]
_AT_ONCE = 3  # writes of one tick, after which other CronWorkflows wait for the next
_AGAIN = 30.0  # seconds until a CronWorkflow that failed is seen to again

log = logging.getLogger("tiphys.engine")


@dataclass(frozen=True)
class _Calm:
    """A CronWorkflow that has nothing to do: as it is now, until a moment, unless one of its runs moves on."""

    version: str
    since: float
    until: float | None


class Schedules:
    """The CronWorkflows of a state folder."""

    def __init__(self, engine: Engine, local: tzinfo = UTC) -> None:
        """Schedules without a time zone are read in `local`; Argo's controller has UTC."""
        self._engine = engine
        self._local = local
        self._watches: dict[str, Watch] = {}
        self._calm: dict[str, _Calm] = {}
        self._children: defaultdict[str, dict[str, Child]] = defaultdict(dict)
        self._parents: dict[str, str] = {}
        self._journal_seen = self._objects_seen = -1
        self._crons: list[Json] = []
        self._writes = 0

    def tick(self, now: float) -> float | None:
        """Do what is due at `now`, in seconds since the epoch; when to be called again, None for only when woken.

        It writes a few times at most and then asks to be called at once, for runs that go on must not wait for it.
        """
        self._take_in_objects()
        self._take_in_runs()
        self._writes = 0
        moments = [self._visit(cron, now) for cron in self._crons]
        return min((moment for moment in moments if moment is not None), default=None)

    def _take_in_objects(self) -> None:
        """Have the CronWorkflows as they are now."""
        version = self._engine.objects.version()
        if version == self._objects_seen:
            return
        self._crons = self._engine.objects.every(KIND)
        self._objects_seen = version
        for gone in self._watches.keys() - {name_of(cron) for cron in self._crons}:
            del self._watches[gone]

    def _visit(self, cron: Json, now: float) -> float | None:
        """See to a CronWorkflow, if there may be something to do, and not too much was done in this tick."""
        name, version = name_of(cron), str((cron.get("metadata") or {}).get("resourceVersion"))
        calm = self._calm.get(name)
        if (
            calm is not None
            and calm.version == version
            and calm.since <= now
            and (calm.until is None or now < calm.until)
        ):
            return calm.until
        if self._writes >= _AT_ONCE:
            return now
        before = self._writes
        wake = self._see_to(cron, now)
        if self._writes > before:
            return now  # what was written is looked at once more: a run that has ended is counted, then forgotten
        self._calm[name] = _Calm(version, now, wake)
        return wake

    def _take_in_runs(self) -> None:
        """Note which runs have begun, moved on or gone; who has started them is looked at."""
        journal, after = self._engine.journal, self._journal_seen
        version = journal.version()
        if version == after:
            return
        for change in journal.changes(after) if after >= 0 else []:
            if change.deleted and (parent := self._parents.pop(change.name, None)) is not None:
                self._children[parent].pop(change.name, None)
                self._calm.pop(parent, None)
        for run in journal.runs(after):
            if parent := run.labels.get(LABEL):
                self._parents[run.name] = parent
                self._children[parent][run.name] = _child(run)
                self._calm.pop(parent, None)
        self._journal_seen = version

    def _see_to(self, cron: Json, now: float) -> float | None:
        """One CronWorkflow; what is wrong with it must not keep the others."""
        name = name_of(cron)
        try:
            return self._see(cron, now)
        except (OSError, sqlite3.Error):
            raise  # a full disk is everyone's: whoever ticks tries again
        except EngineError as error:
            log.error("CronWorkflow %s: %s", name, error)  # noqa: TRY400 - a person's mistake needs no traceback
        except Exception:
            log.exception("CronWorkflow %s: a defect of the engine", name)
        return now + _AGAIN

    def _see(self, cron: Json, now: float) -> float | None:
        name = name_of(cron)
        try:
            check_cron_workflow(cron)
        except ManifestError as problem:
            self._keep(cron, unusable(cron, str(problem)))
            return None
        begun = moment_from((cron.get("metadata") or {}).get("creationTimestamp")) or 0.0
        children = [child for child in self._children[name].values() if child.created >= begun]
        found = look(cron, children, self._watches.get(name), now, self._local)
        new, start = found.cron, found.again
        end: tuple[str, ...] = ()
        if found.due is not None:
            admission = admit(found.cron, found.due, now, self._problem(found.cron, found.due))
            new, end = admission.cron, admission.end
            start += (found.due,) if admission.start else ()
        if not self._keep(cron, new):  # what was found and what is intended, in one write
            return now
        for run in end:
            self._end(run)
        for moment in start:
            self._start(new, moment)
        self._watches[name] = found.watch
        for run in found.forget:
            self._writes += 1
            with suppress(UnknownRunError, JournalDamagedError):  # gone already, or nobody can read it
                forget(self._engine, self._engine.get(run))
        return found.wake

    def _keep(self, cron: Json, new: Json) -> bool:
        """Write down what the engine knows of a CronWorkflow; False if it is another one by now, or gone."""
        if new == with_status(cron):
            return True
        self._writes += 1
        uid = (cron.get("metadata") or {}).get("uid")
        kept = self._engine.objects.update(KIND, name_of(cron), lambda old: _with_ours(old, new, uid))
        return kept is not None

    def _problem(self, cron: Json, moment: int) -> str:
        """What is wrong with the Workflow in the CronWorkflow; empty if nothing is."""
        try:
            self._engine.check([child_workflow(cron, moment)])
        except ManifestError as problem:
            return f"cannot validate Workflow: {problem}"
        return ""

    def _end(self, run: str) -> None:
        try:
            self._engine.stop(run, terminate=True)
        except UnknownRunError:
            log.warning("%s was to be terminated, and is gone", run)

    def _start(self, cron: Json, moment: int) -> None:
        """Submit the run for a moment, unless it is there already, and write down that it is."""
        name = child_name(cron, moment)
        try:
            self._engine.submit([child_workflow(cron, moment)])
        except ManifestError as problem:
            child = self._existing(name_of(cron), name)
            if child is None:
                reason = f"Failed to submit Workflow: {problem}"
                self._change(cron, lambda old: refused(old, moment, reason))
                return
        else:
            child = self._existing(name_of(cron), name) or Child(name)
            log.info("CronWorkflow %s: started %s", name_of(cron), name)
        self._change(cron, lambda old: started(old, child))

    def _existing(self, parent: str, name: str) -> Child | None:
        """The run of that name, if it is a run of that CronWorkflow."""
        try:
            run = self._engine.get(name)
        except EngineError:
            return None
        if run.labels.get(LABEL) != parent:
            return None
        return Child(name, run.uid, run.phase, run.created, run.finished, run.namespace)

    def _change(self, cron: Json, change: Callable[[Json], Json]) -> None:
        uid = (cron.get("metadata") or {}).get("uid")
        self._engine.objects.update(KIND, name_of(cron), lambda old: _with_ours(old, change(old), uid))


def _child(run: Summary) -> Child:
    return Child(run.name, run.uid, run.phase, run.created, run.finished, run.namespace, run.version)


def _with_ours(old: Json, new: Json, uid: Any) -> Json | None:
    """`old` with the status and the marks of `new`; None if it is not the same object any more."""
    if (old.get("metadata") or {}).get("uid") != uid:
        return None
    metadata = dict(old.get("metadata") or {})
    for field, key in (("annotations", LAST_USED), ("labels", COMPLETED)):
        value = ((new.get("metadata") or {}).get(field) or {}).get(key)
        if value is not None:
            metadata[field] = {**(metadata.get(field) or {}), key: value}
    return {**old, "metadata": metadata, "status": new.get("status")}
