"""Which arm a question goes to, and what becomes of it when that arm fails: production, or the status quo at last.

A canary never costs anybody an answer: whatever it does wrong, production is asked while there is time. It knows arms
and rows, and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from tiphys.serving.gateway.lane import Row
from tiphys.serving.gateway.messages import header
from tiphys.serving.gateway.tensors import Failed, Reading

if TYPE_CHECKING:
    from tiphys.serving.gateway.arms import Arm, Arms, Environment
    from tiphys.serving.gateway.fallback import Fallbacks
    from tiphys.serving.gateway.predictions import Ids, Predictions

CANARY_PART = 0.5
"""Part of the time left that a canary may take before production is asked instead."""
FULL = 0.9
"""Part of its due that an arm must have had for being late to be its own fault; the rest is what a question's way here takes."""
MOST_SHADOWS = 16
"""Shadow questions that wait for a canary at most, so that one which fails them all is left alone before twenty; more are not asked."""
SWITCH_SECONDS = 0.25
"""How long a version may be gone from Triton before the agent's page names another: a switch that could not overlap."""
_MOST_SWITCHES = 3

Why = Literal["late", "unavailable", "bad_answer", "not_served", "invalid"]


class Found:
    """An answer: whose, and what."""

    __slots__ = ("arm", "headers", "reading", "version")

    def __init__(self, arm: str, version: str, reading: Reading, headers: bytes) -> None:
        """Keep it; ``arm`` is an environment or ``status_quo``."""
        self.arm = arm
        self.version = version
        self.reading = reading
        self.headers = headers


class Unanswered:
    """There is no answer, and why."""

    __slots__ = ("message", "why")

    def __init__(self, why: Why, message: str) -> None:
        """Keep it."""
        self.why = why
        self.message = message


_WHY: dict[str, Why] = {"late": "late", "not_finite": "bad_answer", "wrong_shape": "bad_answer"}
_STATUS_QUO = header("x-tiphys-arm", "status_quo")

Done = Callable[["Journey", "Found | Unanswered"], None]


class Journey:
    """One row's way to an answer."""

    __slots__ = ("_arm", "_done", "_router", "_row", "_switches", "asked", "asker", "bulk", "deadline", "due",
                 "features", "identity", "sticky")  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - these are what is known of a question
        self, router: Router, identity: str, features: Mapping[str, int | float], asker: str | None, sticky: bytes,
        deadline: float, due: float, done: Done, *, bulk: bool,
    ) -> None:  # fmt: skip
        """Be at the beginning."""
        self.identity = identity
        self.features = features
        self.asker = asker
        """Name of the asker's key, for the log; None: nothing is logged."""
        self.sticky = sticky
        """Who is to meet the same arm every time."""
        self.deadline = deadline
        self.due = due
        """Seconds that the route promises its model, whatever this asker leaves it."""
        self.bulk = bulk
        self._router = router
        self._done: Done | None = done
        self._arm: Arm | None = None
        self._row: Row | None = None
        self.asked = 0.0
        """When the arm that it is at was asked, by the loop's clock."""
        self._switches = 0

    @property
    def open(self) -> bool:
        """Whether its outcome is still to come."""
        return self._done is not None

    def give_up(self) -> None:
        """Nobody wants the answer any more."""
        self._done = None
        self._router.homeless.discard(self)
        if self._row is not None:
            self._row.give_up()

    def ask(self, arm: Arm, now: float, deadline: float) -> None:
        """Send the row to an arm.

        Raises:
            ValueError: it cannot take such a row, and was not asked.
        """
        row = Row(arm.lane.tensors.pack(self.features), deadline, self._come, bulk=self.bulk)
        self._arm = arm
        self.asked = now
        self._row = row
        arm.lane.ask(row)

    def _come(self, outcome: Reading | Failed) -> None:
        arm, router = self._arm, self._router
        assert arm is not None  # noqa: S101 - it was asked
        now = router.now()
        if isinstance(outcome, Failed):
            self._fail(arm, outcome, now)
            return
        arm.breaker.succeeded()
        arm.gone_until = None
        arm.figures.answered(outcome[0], 1000.0 * (now - self.asked))
        self.finish(Found(arm.environment, arm.version, outcome, arm.headers))
        router.shadow(self, arm, outcome, now)

    def _fail(self, arm: Arm, failed: Failed, now: float) -> None:
        if failed.code == "gone" and self._switches < _MOST_SWITCHES and self._router.switching(self, arm, now):
            self._switches += 1
            return
        if failed.code != "late" or self._had_its_due(arm):
            arm.failed(failed, now)
        self._router.failed(self, arm, failed, now)

    def _had_its_due(self, arm: Arm) -> bool:
        """Whether the arm had the row, and its time for it: who is in a hurry, or kept waiting by others, proves nothing."""
        row = self._row
        due = self.due if arm.environment == self._router.environment else CANARY_PART * self.due
        return row is not None and row.sent and row.deadline - self.asked >= FULL * due

    def wait(self, until: float) -> None:
        """Be asked again when the arms change, else be answered without them."""
        self._row = Row((), until, self._waited)
        self._router.deadlines.watch(self._row)

    def _waited(self, _outcome: Reading | Failed) -> None:
        arm, now = self._arm, self._router.now()
        assert arm is not None  # noqa: S101 - it was asked
        self._router.homeless.discard(self)
        failed = Failed("gone", f"version {arm.version} is not loaded")
        arm.failed(failed, now)
        self._router.failed(self, arm, failed, now)

    def resume(self) -> None:
        """The arms have changed."""
        if self._row is not None:
            self._row.give_up()
        if self._done is not None:
            self._router.production(self, self._router.now())

    def finish(self, outcome: Found | Unanswered) -> None:
        """Hand the outcome over, once."""
        done, self._done = self._done, None
        self._row = None
        if done is not None:
            done(self, outcome)


class Router:
    """Routes one use case's questions in one environment; production's share some askers with the canary."""

    def __init__(  # noqa: PLR0913 - these are what it routes between
        self, model: str, environment: str, *, arms: Arms, fallbacks: Fallbacks, predictions: Predictions, ids: Ids
    ) -> None:
        """Route between ``arms``."""
        self.model = model
        self.environment = environment
        self.deadlines = arms.deadlines
        self.now = asyncio.get_running_loop().time
        self.homeless: set[Journey] = set()
        """Questions whose version went away before another was named."""
        self._arms = arms
        self._fallbacks = fallbacks
        self._predictions = predictions
        self._ids = ids
        self._shadows = 0
        self.shadows_dropped = 0
        """Shadow questions that were not asked because too many waited."""
        arms.listen(self._changed)

    def ask(  # noqa: PLR0913 - these are what is known of a question
        self, features: Mapping[str, int | float], *, asker: str | None, sticky: bytes, deadline: float, due: float,
        done: Done, bulk: bool = False,
    ) -> Journey:  # fmt: skip
        """Find an answer by ``deadline``; ``done`` may be called before this returns.

        An arm that had less than the ``due`` seconds of the route may be late without blame.

        Raises:
            ValueError: the model cannot take such a row.
        """
        now, wall = self.now(), time.time()
        journey = Journey(self, self._ids.new(wall), features, asker, sticky, deadline, due, done, bulk=bulk)
        unfit: Failed | None = None
        canary = self._arms.arm("canary", self.model) if self.environment == "production" else None
        if canary is not None and canary.takes(sticky, wall) and canary.breaker.allows(now):
            try:
                journey.ask(canary, now, now + CANARY_PART * (deadline - now))
            except ValueError as error:
                unfit = Failed("error", str(error))
            else:
                return journey
        self._own(journey, now)
        if canary is not None and unfit is not None:  # not reached by a row that production cannot take either
            canary.failed(unfit, now)
        return journey

    def production(self, journey: Journey, now: float) -> None:
        """Ask the environment's own arm after all, or do without it."""
        try:
            self._own(journey, now)
        except ValueError as error:
            journey.finish(Unanswered("invalid", str(error)))

    def _own(self, journey: Journey, now: float) -> None:
        arm = self._arms.arm(self.environment, self.model)
        if arm is None:
            self.last_resort(journey, Unanswered("not_served", f"{self.model} is not served in {self.environment}"))
        elif not arm.breaker.allows(now):
            text = f"{self.model} in {self.environment} has failed again and again and is left alone for a moment"
            self.last_resort(journey, Unanswered("unavailable", text))
        else:
            journey.ask(arm, now, journey.deadline)

    def failed(self, journey: Journey, arm: Arm, failed: Failed, now: float) -> None:
        """Find another answer: the canary's failures are production's to answer."""
        if arm.environment != self.environment and now < journey.deadline:
            self.production(journey, now)
            return
        self.last_resort(
            journey, Unanswered(_WHY.get(failed.code, "unavailable"), f"{self.environment}: {failed.message}")
        )

    def last_resort(self, journey: Journey, unanswered: Unanswered) -> None:
        """Answer with the status quo, where there is one; never in place of staging's or the canary's own answers."""
        status_quo = self._fallbacks.of(self.model) if self.environment == "production" else None
        reading = None if status_quo is None else status_quo.answer(journey.features)
        if reading is None:
            journey.finish(unanswered)
        else:
            journey.finish(Found("status_quo", "", reading, _STATUS_QUO))

    def switching(self, journey: Journey, arm: Arm, now: float) -> bool:
        """Whether a version that is gone has, or may soon have, a successor: then the question goes there."""
        if arm.environment != self.environment or now >= journey.deadline:
            return False
        current = self._arms.arm(self.environment, self.model)
        if current is not None and current is not arm:
            self.production(journey, now)
            return True
        if arm.gone_until is None:
            arm.gone_until = now + SWITCH_SECONDS
        if now >= arm.gone_until:
            return False
        self.homeless.add(journey)
        journey.wait(min(arm.gone_until, journey.deadline))
        return True

    def _changed(self, environment: Environment) -> None:
        if environment.name == self.environment and self.homeless:
            homeless, self.homeless = self.homeless, set()
            for journey in homeless:
                journey.resume()

    def shadow(self, journey: Journey, arm: Arm, reading: Reading, now: float) -> None:
        """Ask the canary what it would have said to an answered question; dropped when it is busy."""
        if arm.environment != "production" or journey.bulk:
            return
        canary = self._arms.arm("canary", self.model)
        if canary is None or canary.served.shadow <= random.random():  # noqa: S311 - a sample, no secret
            return
        if not canary.live(time.time()) or not canary.breaker.allows(now):
            return
        if self._shadows >= MOST_SHADOWS:
            self.shadows_dropped += 1
            return
        self._shadows += 1

        def come(outcome: Reading | Failed) -> None:
            self._shadows -= 1
            if row.sent:  # else others kept it waiting, which is not the canary's fault
                self._shadowed(journey, canary, reading, outcome, now)

        try:
            cells = canary.lane.tensors.pack(journey.features)
        except ValueError:
            self._shadows -= 1
            return
        row = Row(cells, now + CANARY_PART * journey.due, come, bulk=True)
        canary.lane.ask(row)

    def _shadowed(
        self, journey: Journey, canary: Arm, production: Reading, outcome: Reading | Failed, asked: float
    ) -> None:
        now = self.now()
        if isinstance(outcome, Failed):
            canary.failed(outcome, now)
            return
        latency = 1000.0 * (now - asked)
        canary.breaker.succeeded()
        canary.figures.answered(outcome[0], latency)
        canary.figures.paired(outcome[0], production[0])
        self._predictions.answered(
            journey.identity, arm="canary", version=canary.version, asker=journey.asker, latency_ms=latency,
            wall=time.time(), features=journey.features, reading=outcome, shadow=True,
        )  # fmt: skip
