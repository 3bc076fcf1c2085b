"""Where decisions are made: brings events, what has been and the policy together, writes what follows, and posts it.

It may die at any moment: a decision and the training that it means are one write; what was meant and not accepted is posted
again under the same id; what was accepted is looked for by its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tiphys.errors import RetryableError, SettingsError, TiphysError
from tiphys.usecase import Policy, UseCase
from tiphys.watch.governor.argo import ENDED, Argo
from tiphys.watch.governor.decide import Decision, Event, State, Training, decide, elapsed

if TYPE_CHECKING:
    from tiphys.watch.governor.clock import Clock
    from tiphys.watch.governor.store import Flight, Store, Waiting

FOLLOW_EVERY = 2.0
"""Seconds of the wall clock between looks at a training that runs."""
IDLE = 30.0
LOST_AFTER = 600.0
"""Seconds after which an accepted training without a run is given up: no binding took it."""
SOURCES_EVERY = 300.0
_AGAIN = 1.0
_TOGETHER = 0.05
"""Seconds after news, so that what comes in a crowd is looked at together."""
_LONGEST_NAME = 40

log = logging.getLogger(__name__)


def policy_of(use_case: str) -> Policy:
    """The policy of a use case. Raises SettingsError: there is no such use case, or it brings none."""
    found: Policy = UseCase(use_case).part("policy").POLICY
    return found


def run_name(event: Event) -> str:
    """The name of the run that a yes to this event starts."""
    digest = hashlib.sha256(event.id.encode()).hexdigest()[:10]
    return f"retrain-{event.use_case.rpartition('.')[2].replace('_', '-')[:_LONGEST_NAME]}-{digest}"


def posted(event: Event, since: str, reason: str, source: str) -> dict[str, str]:
    """What is posted for a yes. Of what was sent, only the use case, the id and a moment stand in it; ``source`` is ours."""
    return {
        "type": "tiphys.retrain.v1",
        "run": run_name(event),
        "use_case": event.use_case,
        "source": source,
        "started_by": event.trigger,
        "event": event.id,
        "reason": reason,
        "recent_from": since,
        "champion": f"models:/{event.use_case.rpartition('.')[2]}@production",
    }


class Desk:
    """Looks at what waits and at what runs, whenever something came or is due."""

    def __init__(
        self,
        store: Store,
        argo: Argo,
        clock: Clock,
        *,
        sources: Mapping[str, str],
        policies: Callable[[str], Policy] = policy_of,
    ) -> None:
        """Decide on ``store``'s events by ``clock``; ``sources`` are raw files that the operator names for a use case."""
        self._store, self._argo, self._clock = store, argo, clock
        self._sources, self._policies = dict(sources), policies
        self._news = asyncio.Event()
        self._known: dict[str, str] = {}
        self._last_look: float | None = None
        self._looked_at = float("-inf")  # by the governor's clock
        self._trainings: dict[str, tuple[Training, ...]] = {}
        self._alone: set[int] = set()
        """Waiting alerts that no decided one stands for."""
        self.counts: Counter[str] = Counter()
        self.why_waiting: dict[str, str] = {}
        """By the event's id, what it waits for."""

    def wake(self) -> None:
        """Something came."""
        self._news.set()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            self._news.clear()
            try:
                pause = await self.look()
            except TiphysError as error:
                log.warning("%s", error)
                pause = _AGAIN
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), pause)
                await asyncio.sleep(_TOGETHER)

    async def look(self) -> float:
        """Do what is due; seconds of the wall clock until something is due again.

        Raises:
            RetryableError: the database does not answer.
        """
        self._trainings.clear()
        await self._follow()
        due = await self._decide()
        await self._follow()
        with contextlib.suppress(RetryableError):
            await self._look_for_sources()
        return min(due, FOLLOW_EVERY if await self._store.flights() else IDLE)

    async def _decide(self) -> float:
        """Decide what can be; seconds of the wall clock until the next can."""
        due = IDLE
        firsts: dict[tuple[str, str, str], Event] = {}
        reasons: dict[str, str] = {}
        for waiting in await self._store.waiting():
            event, now = waiting.event, self._clock.now()
            first = firsts.get(event.fingerprint) if event.fingerprint else None
            decision, event = await self._consider(event, first, now)
            if decision.verdict == "wait":
                reasons[event.id] = decision.reason
                due = min(due, max(self._clock.wall_seconds(decision.until), 0.05))
                if event.fingerprint:
                    firsts.setdefault(event.fingerprint, event)
            elif not await self._write(waiting, decision, now):
                return _AGAIN
        self.why_waiting = reasons
        return due

    async def _consider(self, event: Event, first: Event | None, now: float) -> tuple[Decision, Event]:
        """What to do with an event, and the event with what was learnt of it."""
        try:
            source = await self._source(event)
        except RetryableError as error:
            return Decision("wait", str(error), until=now + self._clock.speed * _AGAIN), event
        if not source:
            return Decision("no", _never_trained(event.use_case)), event
        try:
            policy = self._policies(event.use_case)
        except SettingsError as error:
            return Decision("no", f"its policy cannot be read: {error}"), event
        together = 1
        if event.fingerprint and first is None:
            first = await self._decided_first(event, policy)
            if first is None and elapsed(event.received, now) >= policy.debounce_s:
                event, together = await self._store.with_alike(event, event.received + policy.debounce_s)
        if event.use_case not in self._trainings:
            self._trainings[event.use_case] = await self._store.trainings(event.use_case)
        state = State(self._trainings[event.use_case], first, together)
        return decide(state, event, policy, now), event

    async def _decided_first(self, event: Event, policy: Policy) -> Event | None:
        """The alert that was decided for this one, too: it came while that settled, and was seen only afterwards."""
        if event.number not in self._alone:
            first = await self._store.first(event, event.received - policy.debounce_s)
            if first is not None:
                return first
            self._alone.add(event.number)
        return None

    async def _write(self, waiting: Waiting, decision: Decision, now: float) -> bool:
        """Write a decision; False where it has to be made again: somebody else decided, or nobody can say what to train on.

        With a yes goes what is posted: an event's own words are its id and since when the world is another.
        """
        event, training = waiting.event, (0, "", "")
        if decision.verdict == "yes":
            try:
                training = await self._training(waiting, decision)
            except RetryableError as error:
                log.warning("%s", error)
                return False
        self._trainings.pop(event.use_case, None)
        self._alone.discard(event.number)
        if not await self._store.decide(event, decision, now, training):
            return False
        self.counts[f'tiphys_governor_decisions_total{{use_case="{event.use_case}",verdict="{decision.verdict}"}}'] += 1
        log.info("%s %s: %s", decision.verdict, event.id, decision.reason)
        return True

    async def _training(self, waiting: Waiting, decision: Decision) -> tuple[int, str, str]:
        """A training's number, its run's name, and what is posted for it."""
        event = waiting.event
        payload = posted(event, waiting.since, decision.reason, await self._source(event))
        return await self._store.count(event.use_case) + 1, payload["run"], json.dumps(payload)

    async def _follow(self) -> None:
        """Post what was meant, and look at what runs."""
        for flight in await self._store.flights():
            try:
                await (self._look_at(flight) if flight.accepted else self._post(flight))
            except TiphysError as error:
                self.counts["tiphys_governor_argo_errors_total"] += 1
                log.warning("%s", error)
                return

    async def _post(self, flight: Flight) -> None:
        await asyncio.to_thread(self._argo.post, flight.event, flight.payload)
        await self._store.accepted(flight)
        log.info("posted %s for %s", flight.run, flight.event)

    async def _look_at(self, flight: Flight) -> None:
        phase = await asyncio.to_thread(self._argo.phase, flight.run)
        if phase is not None:
            await self._store.saw(flight, phase, ended=phase in ENDED)
            if phase in ENDED:
                log.info("%s is %s", flight.run, phase)
        elif flight.seen:
            await self._store.lost(flight, "Deleted")
        elif flight.accepted_s > LOST_AFTER:
            log.error("%s never began: is the binding 'retrain' installed? 'tiphys install retrain'", flight.run)
            await self._store.lost(flight, "NotStarted")

    async def _source(self, event: Event) -> str:
        """The raw files to train on; empty where none were known when the event had come.

        Raises:
            RetryableError: nobody can say now.
        """
        if event.use_case not in self._known:
            self._known[event.use_case] = await self._store.source(event.use_case)
        known = self._sources.get(event.use_case) or self._known[event.use_case]
        if known or event.received < self._looked_at:
            return known
        if not await self._look_for_sources(within=FOLLOW_EVERY):
            message = "it is asked in a moment what to train on"
            raise RetryableError(message)
        return self._known.get(event.use_case, "")

    async def _look_for_sources(self, within: float = SOURCES_EVERY) -> bool:
        """Remember what trainings were made of, before their runs are deleted; False if that was just done.

        Raises RetryableError: the server does not answer.
        """
        began, now = asyncio.get_running_loop().time(), self._clock.now()
        if self._last_look is not None and began - self._last_look < within:
            return False
        found = await asyncio.to_thread(self._argo.sources)
        self._last_look, self._looked_at = began, now
        for use_case, source in found.items():
            await self._store.keep_source(use_case, source)
            self._known[use_case] = source.source
        return True


def _never_trained(use_case: str) -> str:
    return (
        f"no training of {use_case} has reached production here, so nobody knows what to train it on: "
        "'tiphys run continuous-training' first, or name its raw files in TIPHYS_RETRAIN_SOURCES"
    )
