"""Delivers events: asks the bindings, submits the runs, writes down what came of it; each run once, whatever happens.

Three things are written for an event, in this order: what is to be started, under which names; the runs; that it is done.
An engine that was killed in between goes on with what is written, so a binding or a template that was changed meanwhile
does not count for an event that was begun.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from tiphys.engine.errors import EngineError
from tiphys.engine.events.binding import EVENT, KIND, environment, is_wanted, workflow_for
from tiphys.engine.events.check import check_binding
from tiphys.engine.events.store import FILE, Event, EventStore

if TYPE_CHECKING:
    from tiphys.engine.engine import Engine

Json = dict[str, Any]
_AT_ONCE = 2
"""Events that one tick delivers: runs that go on must not wait long for it."""
_LONGEST_ERROR = 2_000  # characters
log = logging.getLogger("tiphys.engine")


class Deliveries:
    """The events of a state folder, and the bindings that are in it now."""

    def __init__(self, engine: Engine) -> None:
        """A binding that names no namespace is in the engine's."""
        self._engine = engine
        self._store: EventStore | None = None

    def tick(self, now: float) -> float | None:
        """Deliver some of the events that wait; when to be called again: at once while there are more, else when woken."""
        if self._store is None:
            if not (self._engine.state / FILE).exists():
                return None
            self._store = EventStore(self._engine.state)
        waiting = self._store.waiting(_AT_ONCE + 1)
        for event in waiting[:_AT_ONCE]:
            self._deliver(self._store, event, now)
        return now if len(waiting) > _AT_ONCE else None

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _deliver(self, store: EventStore, event: Event, now: float) -> None:
        plan = event.plan
        if plan is None:
            plan = self._plan(event)
            store.intend(event.id, plan)
        store.finish(event.id, [self._carried_out(event, step) for step in plan], now)

    def _plan(self, event: Event) -> list[Json]:
        """For each binding that wants the event, in the order of their names, the Workflow to submit or the error."""
        try:
            seen = environment(event)
        except EngineError as error:
            return [{"binding": "", "error": str(error)[:_LONGEST_ERROR]}]
        steps = (self._asked(binding, event, seen) for binding in self._engine.objects.every(KIND))
        return [step for step in steps if step is not None]

    def _asked(self, binding: Json, event: Event, seen: Json) -> Json | None:
        """What one binding makes of the event; None if it is not for it. Its errors are its own."""
        metadata = binding.get("metadata") or {}
        if (metadata.get("namespace") or self._engine.namespace) != event.namespace:
            return None
        step: Json = {"binding": metadata.get("name")}
        try:
            check_binding(binding.get("spec"))
            if not is_wanted(binding, seen):
                return None
            if (binding.get("spec") or {}).get("submit") is None:
                return step
            return {**step, "workflow": workflow_for(binding, event, seen, self._engine.objects.get)}
        except EngineError as error:
            return self._failed(event, step, str(error))
        except (OSError, sqlite3.Error):
            raise  # a full disk is everyone's: whoever ticks tries again
        except Exception as error:
            log.exception("event %s: a defect of the engine", event.id)
            return self._failed(event, step, f"a defect of the engine: {type(error).__name__}: {error}")

    def _carried_out(self, event: Event, step: Json) -> Json:
        """Submit the run of a step, unless it is there already; what came of it."""
        workflow = step.get("workflow")
        if workflow is None:
            return step
        result: Json = {"binding": step["binding"]}
        name = workflow["metadata"]["name"]
        try:
            self._engine.submit([workflow])
        except EngineError as error:
            if not self._is_of(event, name):
                return self._failed(event, result, f"failed to create workflow: {error}")
        except (OSError, sqlite3.Error):
            raise  # a full disk is everyone's: whoever ticks tries again
        except Exception as error:
            log.exception("event %s: a defect of the engine", event.id)
            if not self._is_of(event, name):
                return self._failed(event, result, f"a defect of the engine: {type(error).__name__}: {error}")
        log.info("event %s: binding %s started %s", event.id, step["binding"], name)
        return {**result, "run": name}

    def _is_of(self, event: Event, name: str) -> bool:
        """Whether the run of that name was started for this event before: by an engine that was killed then."""
        try:
            return self._engine.get(name).annotations.get(EVENT) == event.id
        except EngineError:
            return False

    def _failed(self, event: Event, step: Json, reason: str) -> Json:
        log.error("event %s: binding %s: failed to dispatch event: %s", event.id, step["binding"], reason)
        return {**step, "error": reason[:_LONGEST_ERROR]}
