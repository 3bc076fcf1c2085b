"""Artificial riders: written personas who ask both models about real rides of the held-out month, and tell what came of it.

Each ride is asked about once or several times, as its persona does; both models get each question, in an order drawn by lot,
one after the other, so that neither has the machine to itself. They ask at a bounded rate, few at once, with a key like any
other asker's. It judges nothing.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.errors import DataError, PermanentError, RetryableError, SettingsError
from tiphys.usecase import Persona
from tiphys.watch.answers import Pair, Said

if TYPE_CHECKING:
    from tiphys.serving.gateway_client import GatewayClient, Reply
    from tiphys.usecase import Examples, UseCase

_OK = 200
_REFUSED = (401, 403)
_NOT_ASKED = frozenset({"busy", "too_fast", "quota", "invalid", "no_json"})
"""The gateway had no room, or took the question for none: no model was asked, so none failed."""
_PAUSE_SECONDS = 0.3
_STRANGER = "canary"
_STATUS_QUO = "status_quo"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ride:
    """One ride that somebody will ask about."""

    number: int
    persona: str
    asks: int
    question: Mapping[str, Any]
    actual: float


@dataclass(frozen=True)
class Asked:
    """What came of one question."""

    persona: str
    pair: Pair


def rides(use_case: UseCase, held_out: Examples, count: int, seed: int) -> Iterator[Ride]:
    """Draw rides for the personas, none of them twice; a persona that no ride is left for drops out.

    Raises:
        DataError: no held-out ride is anybody's.
    """
    chance = np.random.default_rng(seed)
    people = personas(use_case)
    left = {each.name: list(chance.permutation(np.flatnonzero(each.chooses(held_out)))) for each in people}
    taken: set[int] = set()
    names = [feature.name for feature in use_case.features]
    number = 0
    while number < count:
        people = [each for each in people if left[each.name]]
        if not people:
            break
        weights = np.array([each.weight for each in people])
        persona = people[int(chance.choice(len(people), p=weights / weights.sum()))]
        row = int(left[persona.name].pop())
        if row in taken:
            continue
        taken.add(row)
        question = use_case.api.to_request({name: held_out.features[name][row].item() for name in names})
        yield Ride(number, persona.name, persona.asks, question, float(held_out.target[row]))
        number += 1
    if not taken:
        message = f"none of the {len(held_out)} held-out rows is a ride of a persona of {use_case.name!r}: see its personas.py"
        raise DataError(message)


def personas(use_case: UseCase) -> Sequence[Persona]:
    """The use case's personas; one who asks about anything, where it has none."""
    try:
        found: Sequence[Persona] = use_case.part("personas").PERSONAS
    except SettingsError:
        return (Persona("anyone", "Asks about any ride.", lambda examples: np.ones(len(examples), bool)),)
    return found


class Riders:
    """Some threads that ask; what came of it is fetched by whoever judges."""

    def __init__(  # noqa: PLR0913 - these are what asking takes
        self,
        use_case: UseCase,
        gateway: GatewayClient,
        waiting: Iterator[Ride],
        *,
        rate: float,
        at_once: int,
        seed: int,
        production_serves: bool = True,
    ) -> None:
        """Know whom to ask what; nothing is asked before :meth:`start`.

        Where no model is in production yet, the status quo is what the candidate is compared with.
        """
        self._production_serves = production_serves
        self._target = use_case.target.name
        self._route = use_case.api.route
        self._gateway = gateway
        self._waiting = waiting
        self._pace = 1.0 / rate
        self._chance = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._done: queue.SimpleQueue[Asked | Exception] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"rider-{n}", daemon=True) for n in range(at_once)]
        self._names = itertools.count()
        self._next = 0.0
        self.not_asked: Counter[str] = Counter()
        """Questions that could not be asked, by reason: they say nothing of either model."""
        if self._target not in use_case.api.answer.model_fields:
            message = (
                f"the answer of use case {use_case.name!r} has no field {self._target!r}: artificial riders read the "
                "prediction from the field that has the target's name"
            )
            raise SettingsError(message)

    def start(self) -> None:
        """Begin to ask."""
        self._next = time.monotonic()
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Ask nothing more; returns when no question is open."""
        self._stopped.set()
        for each in self._threads:
            if each.is_alive():
                each.join()

    @property
    def over(self) -> bool:
        """Whether all rides have been asked about."""
        return not any(each.is_alive() for each in self._threads)

    def fetch(self) -> list[Asked]:
        """What came since the last time.

        Raises:
            PermanentError: the gateway does not let us ask.
        """
        found = []
        while not self._done.empty():
            each = self._done.get()
            if isinstance(each, Exception):
                raise each
            found.append(each)
        return found

    def _work(self) -> None:
        try:
            while (ride := self._turn()) is not None:
                self._ask_about(ride)
        except PermanentError as error:
            self._done.put(error)
        except Exception as error:  # noqa: BLE001 - a defect here must end the step, not one thread of it
            self._done.put(error)

    def _turn(self) -> Ride | None:
        """Take the next ride when it is its time."""
        with self._lock:
            ride = next(self._waiting, None)
            if ride is None or self._stopped.is_set():
                return None
            at, self._next = self._next, max(self._next, time.monotonic() - 1.0) + self._pace
        self._stopped.wait(max(0.0, at - time.monotonic()))
        return None if self._stopped.is_set() else ride

    def _ask_about(self, ride: Ride) -> None:
        rider, told = f"{ride.persona}-{ride.number}", False
        for again in range(ride.asks):
            if self._stopped.is_set():
                return
            found = self._both(ride, rider)
            if found is None:
                continue
            pair, replies = found
            self._done.put(Asked(ride.persona, Pair(pair.canary, pair.baseline, ride.actual, first=again == 0)))
            if not told:
                told = True
                self._tell(ride, replies)

    def _both(self, ride: Ride, rider: str) -> tuple[Pair, list[Reply]] | None:
        """Ask both models; None if one was not asked after all."""
        headers = {"X-Rider-Id": rider}
        with self._lock:
            canary_first = bool(self._chance.integers(2))
        paths = [f"/canary/v1/{self._route}", f"/v1/{self._route}"]
        told: dict[str, tuple[Said, Reply]] = {}
        try:
            for path in paths if canary_first else reversed(paths):
                asked = time.monotonic()
                reply = self._gateway.ask(path, ride.question, headers=headers)
                told[path] = self._said(reply, 1000.0 * (time.monotonic() - asked)), reply
        except RetryableError:
            self._was_not_asked("the gateway was away")
            return None
        (canary, ours), (production, theirs) = told[paths[0]], told[paths[1]]
        for said in (canary, production):
            if said.failure in _NOT_ASKED:
                self._was_not_asked(said.failure)
                return None
        if theirs.headers.get("x-tiphys-arm") == _STRANGER:
            self._was_not_asked("a live share got the candidate", pause=0.0)
            return None
        if self._production_serves and theirs.headers.get("x-tiphys-arm") == _STATUS_QUO:
            self._was_not_asked("the status quo answered in place of production's model")
            return None
        nobody = production.failure == "not_served"
        return Pair(canary, None if nobody else production), [ours, theirs]

    def _was_not_asked(self, reason: str, pause: float = _PAUSE_SECONDS) -> None:
        with self._lock:
            self.not_asked[reason] += 1
        self._stopped.wait(pause)

    def _said(self, reply: Reply, latency_ms: float) -> Said:
        """Read one answer.

        Raises:
            PermanentError: our key is not known, or may not ask.
        """
        if reply.status in _REFUSED:
            message = f"the gateway refuses our key ({reply.status}: {reply.error}): TIPHYS_GATEWAY_KEY of Secret tiphys-canary"
            raise PermanentError(message)
        if reply.status != _OK:
            return Said(None, latency_ms, reply.code or f"status {reply.status}")
        value = reply.body.get(self._target) if isinstance(reply.body, dict) else None
        if not isinstance(value, int | float) or not np.isfinite(value):
            return Said(None, latency_ms, "not_finite")
        return Said(float(value), latency_ms)

    def _tell(self, ride: Ride, replies: Sequence[Reply]) -> None:
        """Send what came of the ride, once for each model; a feedback that does not arrive changes nothing here."""
        for reply in replies:
            prediction = reply.body.get("prediction_id") if isinstance(reply.body, dict) else None
            if reply.status != _OK or not prediction:
                continue
            try:
                self._gateway.ask(f"/v1/{self._route}/feedback", {"prediction_id": prediction, "actual": ride.actual})
            except RetryableError as error:
                log.debug("feedback was not taken: %s", error)
