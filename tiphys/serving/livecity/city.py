"""Lets a stream of arrivals happen: each asks when it is its moment, each outcome is reported when it is known.

Events happen in the order of the city's own clock, however fast that runs. Outcomes arrive at the gateway in the order in
which they become known, and never before their question was answered. The process's signals are its caller's business.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tiphys.errors import RetryableError, SettingsError
from tiphys.serving.livecity.door import PATIENCE, Door
from tiphys.serving.livecity.tally import Counts, Tally

if TYPE_CHECKING:
    from tiphys.serving.gateway_client import GatewayClient, Reply
    from tiphys.serving.livecity.clock import Clock
    from tiphys.usecase import Arrival, UseCase

_OK, _TAKEN = 200, 202
_BACKLOG = 1000
"""Outcomes that may wait to be sent; then no more questions are asked until some have been."""
_STATUS_QUO = "status_quo"


@dataclass(frozen=True)
class Answered:
    """One answer: to whom, what it was, and who gave it."""

    arrival: Arrival
    prediction: str
    """Its id."""
    value: float | None
    """What was predicted; None where the answer has no number under the target's name."""
    version: str
    arm: str


_Pending = tuple[float, int, "Arrival", "Future[Answered | None]"]


class LiveCity:
    """One stream of arrivals before one gateway."""

    def __init__(  # noqa: PLR0913 - these are what a city takes
        self, use_case: UseCase, arrivals: Iterable[Arrival], clock: Clock, *, asker: GatewayClient,
        auditor: GatewayClient | None = None, at_once: int = 8, linger: float = 0.0, patience: float = PATIENCE,
        observe: Callable[[Answered], None] | None = None,
    ) -> None:  # fmt: skip
        """Nothing happens before :meth:`start`.

        Args:
            use_case: whose route is asked.
            arrivals: in time order.
            clock: the city's own.
            asker: as whom riders ask and report.
            auditor: as whom the operator's own meters report; the riders do where there is none.
            at_once: questions that may be open at the same time.
            linger: seconds by the city's clock for which outcomes are still reported after the last question.
            patience: seconds for which one question or outcome is tried while the gateway is away or has no room.
            observe: called with each answer, in the thread that got it.
        """
        self._path = f"/v1/{use_case.api.route}"
        self._target = use_case.target.name
        self._possible = _possible(use_case)
        self._arrivals = arrivals
        self._clock = clock
        self._stopped = threading.Event()
        self._asker = Door(asker, self._stopped, patience)
        self._auditor = Door(auditor or asker, self._stopped, patience)
        self._at_once = at_once
        self._linger = linger
        self._patience = patience
        self._observe = observe
        self._tally = Tally()
        self._places = threading.BoundedSemaphore(at_once)
        self._pending: list[_Pending] = []
        self._number = itertools.count()
        self._due: queue.Queue[_Pending | None] = queue.Queue(_BACKLOG)
        self._over = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="live-city", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask nothing more; the outcomes of what has ended by now are still reported."""
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all is over, at most so long; whether it is.

        Raises:
            PermanentError: the gateway does not let us ask.
            RetryableError: none of the first questions was answered, however long they waited.
        """
        over = self._over.wait(seconds)  # Thread.join forgets that a thread runs when a signal's exception ends it
        if self._failed is not None:
            raise self._failed
        return over

    def counts(self) -> Counts:
        """What became of everything so far."""
        return self._tally.look()

    # Its own thread.

    def _live(self) -> None:
        reporter = threading.Thread(target=self._report_all, name="live-city-reports", daemon=True)
        reporter.start()
        try:
            with ThreadPoolExecutor(self._at_once, "live-city-asks") as pool:
                moment = self._ask_all(pool)
                self._pass_until(max(moment, self._clock.now()) if self._stopped.is_set() else moment + self._linger)
        except BaseException as error:  # noqa: BLE001 - it is the caller's, in whose thread it is raised again
            self._fail(error)
        self._due.put(None)
        reporter.join()
        self._over.set()

    def _ask_all(self, pool: ThreadPoolExecutor) -> float:
        """Let arrivals happen; the moment up to which they have."""
        moment = 0.0
        for arrival in self._arrivals:
            self._pass_until(arrival.moment)
            self._clock.wait_until(arrival.moment, self._stopped)
            if self._stopped.is_set() or not self._place():
                break
            moment = arrival.moment
            self._tally.asked()
            self._tally.passed(moment)
            answer = pool.submit(self._ask, arrival)
            if arrival.actual is not None:
                heapq.heappush(self._pending, (arrival.known_at, next(self._number), arrival, answer))
        return moment

    def _place(self) -> bool:
        """Wait for a place; False if we are to stop first."""
        while not self._places.acquire(timeout=0.2):
            if self._stopped.is_set():
                return False
        return True

    def _pass_until(self, moment: float) -> None:
        """Hand over every outcome that is known by then, each at its own moment."""
        while self._pending and self._pending[0][0] <= moment:
            self._clock.wait_until(self._pending[0][0], self._stopped)
            if self._stopped.is_set() and self._pending[0][0] > self._clock.now():
                return  # woken before its time
            self._due.put(heapq.heappop(self._pending))

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or error
        self._stopped.set()

    # The threads that ask.

    def _ask(self, arrival: Arrival) -> Answered | None:
        try:
            rider = f"{arrival.persona}-{arrival.moment:.3f}"  # each ride is another rider's, who may meet the canary
            found = self._read(arrival, self._asker.ask(self._path, arrival.request, rider=rider))
            if found is not None and self._observe is not None:
                self._observe(found)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._places.release()
        return found

    def _read(self, arrival: Arrival, reply: Reply | str) -> Answered | None:
        if isinstance(reply, str) or reply.status != _OK:
            self._tally.refused(reply if isinstance(reply, str) else reply.code or f"status {reply.status}")
            if isinstance(reply, str):
                self._end_if_nobody_answers(reply)
            return None
        arm = reply.headers.get("x-tiphys-arm", "")
        self._tally.answered(status_quo=arm == _STATUS_QUO)
        value = reply.body.get(self._target) if isinstance(reply.body, dict) else None
        return Answered(
            arrival,
            reply.headers.get("x-tiphys-prediction", ""),
            float(value) if isinstance(value, int | float) else None,
            reply.headers.get("x-tiphys-version", ""),
            arm,
        )

    def _end_if_nobody_answers(self, why: str) -> None:
        """A question was waited for in vain: if none was ever answered, waiting for the others is in vain, too."""
        if not self._tally.look().answered and not self._stopped.is_set():
            message = (
                f"nothing was answered at {self._path} in {self._patience:.0f} s ({why}): is a model of the use case in production? "
                "'tiphys release show production' tells"
            )
            self._fail(RetryableError(message))

    # The thread that reports.

    def _report_all(self) -> None:
        while (pending := self._due.get()) is not None:
            try:
                answered = pending[3].result()
                if answered is not None:
                    self._report(answered)
            except BaseException as error:  # noqa: BLE001 - as above; whoever waits for room goes on
                self._fail(error)

    def _report(self, answered: Answered) -> None:
        arrival = answered.arrival
        door = self._auditor if arrival.trusted else self._asker
        reply = door.ask(f"{self._path}/feedback", _outcome(answered), once=True)
        if isinstance(reply, str) or reply.status != _TAKEN:
            self._tally.lost(reply if isinstance(reply, str) else reply.code or f"status {reply.status}")
            return
        self._tally.reported(self._error(answered), trusted=arrival.trusted)

    def _error(self, answered: Answered) -> float | None:
        actual = answered.arrival.actual
        if actual is None or answered.value is None or not self._possible[0] <= actual <= self._possible[1]:
            return None
        return abs(answered.value - actual)


def _outcome(answered: Answered) -> dict[str, Any]:
    """What is posted to the route of feedback."""
    arrival = answered.arrival
    content: dict[str, Any] = {
        "prediction_id": answered.prediction,
        "actual": arrival.actual,
        "at": datetime.fromtimestamp(arrival.known_at, UTC).isoformat(timespec="milliseconds"),
    }
    return {**content, "facts": dict(arrival.facts)} if arrival.facts else content


def _possible(use_case: UseCase) -> tuple[float, float]:
    """What a true value lies in, as the use case says; anything where it says nothing."""
    try:
        found: tuple[float, float] = use_case.part("live").LIVE.possible
    except SettingsError:
        return float("-inf"), float("inf")
    return found
