"""The governor of bench/loop.py: the desk that decides on the servers, with its record in memory and the own clock in its hand."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from tiphys.watch.alerts import Alert
from tiphys.watch.drift import findings
from tiphys.watch.governor.decide import Decision, Event, Training
from tiphys.watch.governor.desk import Desk, policy_of
from tiphys.watch.governor.store import Flight, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.watch.governor.argo import Argo
    from tiphys.watch.governor.clock import Clock
    from tiphys.watch.governor.store import Store


@dataclass(frozen=True)
class Decided:
    """What was decided of an event, and when by the own clock."""

    event: Event
    decision: Decision
    at: float


class Governor:
    """Takes alerts, and decides on them when they have settled."""

    def __init__(self, use_case: str) -> None:
        """Nothing has come yet."""
        self._clock, self._record, self._engine = _Hand(), _Record(), _Engine()
        parts = cast("Store", self._record), cast("Argo", self._engine), cast("Clock", self._clock)
        self._desk = Desk(*parts, sources={use_case: "s3://landing/rides/"})
        self._settles_s = policy_of(use_case).debounce_s

    @property
    def decided(self) -> list[Decided]:
        """Every decision, in the order in which they were made."""
        return self._record.decided

    @property
    def due(self) -> float:
        """When the next event has settled; infinite where none waits."""
        first = min((each.event.received for each in self._record.open), default=float("inf"))
        return first + self._settles_s

    def receive(self, alert: Mapping[str, Any], now: float) -> bool:
        """Take an alert as ``monitor`` sends it; False: it is known."""
        return self._record.add(findings.identity(alert), Alert.model_validate(alert), now)

    def look(self, now: float) -> dict[str, Any] | None:
        """Decide what has settled; what is posted for a yes."""
        self._clock.time = now
        self._engine.posted = None
        asyncio.run(self._desk.look())
        return self._engine.posted

    def ended(self, phase: str, now: float) -> dict[str, Any] | None:
        """Tell that the training that runs is over; what is posted for a yes that waited for that."""
        self._engine.is_in = phase
        return self.look(now)


class _Hand:
    """A clock that somebody sets."""

    speed = 1.0

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wall_seconds(self, until: float) -> float:
        return max(0.0, until - self.time)


class _Engine:
    """What a yes is posted to."""

    def __init__(self) -> None:
        self.posted: dict[str, Any] | None = None
        self.is_in = "Running"

    def post(self, _identity: str, payload: str) -> None:
        self.posted, self.is_in = json.loads(payload), "Running"

    def phase(self, _run: str) -> str:
        return self.is_in

    def sources(self) -> dict[str, Any]:
        return {}


@dataclass
class _Record:
    """The tables of ``tiphys.watch.governor.tables``, asked the same questions."""

    ids: set[str] = field(default_factory=set)
    alike: dict[Any, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """Every event, by what makes two of them the same."""
    stands: dict[Any, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """Those of them that were decided, and not as one with another."""
    open: list[Waiting] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    begun: list[Training] = field(default_factory=list)
    flying: list[Flight] = field(default_factory=list)

    def add(self, identity: str, alert: Alert, now: float) -> bool:
        if identity in self.ids:
            return False
        self.ids.add(identity)
        since = "" if alert.window is None else alert.window.from_.replace(tzinfo=None).isoformat(timespec="seconds")
        number, labelled = len(self.ids), alert.labelled
        event = Event(number, identity, "alert", alert.use_case, now, alert.kind, alert.subject, labelled, alert.text)
        self.alike[event.fingerprint].append(event)
        self.open.append(Waiting(event, since))
        return True

    async def source(self, _use_case: str) -> str:
        return ""

    async def waiting(self) -> list[Waiting]:
        return list(self.open)

    async def first(self, event: Event, since: float) -> Event | None:
        some = self.stands[event.fingerprint]
        earlier = (each for each in some if each.number < event.number and each.received >= since)
        return max(earlier, key=lambda each: each.number, default=None)

    async def with_alike(self, event: Event, until: float) -> tuple[Event, int]:
        some = self.alike[event.fingerprint]
        together = [each for each in some if each.number >= event.number and each.received <= until]
        labelled = max((each.labelled for each in together if each.labelled is not None), default=None)
        return replace(event, labelled=labelled), max(1, len(together))

    async def trainings(self, _use_case: str) -> tuple[Training, ...]:
        return tuple(reversed(self.begun))

    async def count(self, _use_case: str) -> int:
        return len(self.begun)

    async def decide(
        self, event: Event, decision: Decision, now: float, training: tuple[int, str, str] = (0, "", "")
    ) -> bool:
        self.decided.append(Decided(event, decision, now))
        if "one_with" not in decision.counted:
            self.stands[event.fingerprint].append(event)
        self.open = [each for each in self.open if each.event.number != event.number]
        if decision.verdict == "yes":
            _, run, payload = training
            self.begun.append(Training(run, event.id, now, ended=False))
            self.flying.append(Flight(event.number, event.id, event.use_case, run, payload, False, False, 0.0))  # noqa: FBT003
        return True

    async def flights(self) -> list[Flight]:
        return list(self.flying)

    async def accepted(self, flight: Flight) -> None:
        self.flying = [replace(each, accepted=True) if each.run == flight.run else each for each in self.flying]

    async def saw(self, flight: Flight, phase: str, *, ended: bool) -> None:
        self.begun = [
            replace(each, phase=phase, ended=ended) if each.run == flight.run else each for each in self.begun
        ]
        if ended:
            self.flying = [each for each in self.flying if each.run != flight.run]
