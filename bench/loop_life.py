"""One life of bench/loop.py: hour by hour of the own clock the watch looks, the governor decides, and what it starts is trained and judged.

Nothing here decides anything: looks are monitor's, decisions the governor's desk's, trainings and gates those of the steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import loop_city as city
from bench import loop_models as models
from bench.loop_city import DAY
from bench.loop_governor import Governor
from bench.model import USE_CASE
from components.monitor import rows as live_rows
from tiphys.lake.window import moment_of
from tiphys.watch.drift import findings
from tiphys.watch.drift.watch import State, look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.loop_city import Rides
    from bench.loop_governor import Decided
    from bench.loop_models import Model, Outcome, Workshop
    from tiphys.lake.window import Timed
    from tiphys.usecase import Array, Arrival, Scenario
    from tiphys.watch.drift.reference import Reference

HOUR = 3600.0
WINDOW_DAYS = 7.0
"""As ``drift-watch`` asks for."""
AFTER_DAYS = 28.0
"""Days that are lived through after the change."""


@dataclass(frozen=True)
class World:
    """The stretch around one moment of change, and the model that served when it came."""

    onset: float
    begin: float
    """When the model went to production: the first of a month, two weeks before the change at least."""
    past: Timed
    """Clean rides before ``begin``: the model's dataset."""
    before: Timed
    """Clean rides before the change."""
    asked: Sequence[Arrival]
    old: Model
    reference: Reference

    @property
    def end(self) -> float:
        """When it is over."""
        return self.onset + AFTER_DAYS * DAY


@dataclass(frozen=True)
class Alarm:
    """One alert."""

    at: float
    kind: str
    subject: str
    known: int
    """Rides since the change whose outcome was known and stood."""
    text: str


@dataclass(frozen=True)
class Training:
    """One that the governor started."""

    decided: float
    ready: float
    outcome: Outcome


@dataclass
class Life:
    """What happened."""

    scenario: str
    world: World
    rides: Rides
    alarms: list[Alarm] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    errors: dict[str, Array] = field(default_factory=dict)
    """Absolute error of each ride, s: of what was ``served``, of the ``frozen`` old model, of the ``oracle``, and what was served
    against what was ``reported``; NaN where there is none."""

    @property
    def since(self) -> Array:
        """Days from the change to each ride."""
        return (self.rides.at - self.world.onset) / DAY

    @property
    def new_model(self) -> Training | None:
        """The first training that reached production after the change."""
        return next((each for each in self.trainings if each.outcome.model and each.decided > self.world.onset), None)

    def within(self, since: float, until: float) -> Array:
        """Rides of a stretch that an answer can be held against."""
        return self.rides.fair & (self.rides.at >= since) & (self.rides.at < until)


def live(world: World, scenario: Scenario, shop: Workshop, way_s: float) -> Life:
    """Live through a scenario; ``way_s`` seconds of the own clock pass from a yes to production."""
    rides = city.lived(world.asked, scenario, world.onset)
    run = _Run(Life(scenario.name, world, rides), shop, way_s)
    now = world.begin + WINDOW_DAYS * DAY
    while now < world.end:
        run.until(now)
        run.look(now)
        now += DAY if now < world.onset - 2 * DAY else HOUR  # nothing can be late for what has not happened
        now = math.floor(now / HOUR) * HOUR
    run.until(world.end)
    return run.told(city.always(world.before.rows, scenario))


class _Run:
    """The state of a life."""

    def __init__(self, life: Life, shop: Workshop, way_s: float) -> None:
        self._life, self._world, self._shop, self._way_s = life, life.world, shop, way_s
        self._tables = city.Tables(life.rides)
        self._governor = Governor(USE_CASE.name)
        self._flight: Training | None = None
        self._versions = 0
        self._state: State
        self._serve(self._world.old, self._world.reference, self._world.begin)

    def until(self, now: float) -> None:
        """Let everything happen that is due by then: decisions, and trainings that end."""
        while (due := min(self._governor.due, math.inf if self._flight is None else self._flight.ready)) <= now:
            if self._flight is not None and self._flight.ready <= due:
                self._end(self._flight)
            elif posted := self._governor.look(due):
                self._start(posted, due)

    def look(self, now: float) -> None:
        """Collect, look at the week, and send what alarms."""
        tables = self._tables
        tables.now = now
        tables.collect()
        until = live_rows.own_now(USE_CASE.name, read=tables.read, wall=now)
        since = math.floor((until - WINDOW_DAYS * DAY) / HOUR) * HOUR
        asked = live_rows.Asked(
            USE_CASE.name, since, until, str(self._versions), slices=tuple(self._reference.about["slices"])
        )
        found = look(self._reference, live_rows.window(USE_CASE, asked, tables.read), self._state)
        self._state = found.state
        for each in found.alarms:
            self._send(findings.alert(each, self._reference.about, since, until), now)

    def told(self, always: Any) -> Life:
        """What happened, with the errors of everybody."""
        life, world, rides = self._life, self._world, self._life.rides
        life.decided = self._governor.decided
        served = self._tables.answers[:, 0]
        frozen = world.old.errors(rides.features, rides.truth)
        oracle = self._shop.oracle(type(world.before)(always, world.before.moment), world.onset)
        life.errors = {
            "served": np.abs(served - rides.truth),
            "frozen": frozen,
            "oracle": np.where(rides.at >= world.onset, oracle.errors(rides.features, rides.truth), np.nan),
            "reported": np.abs(served - np.where(self._tables.known, rides.reported, np.nan)),
        }
        return life

    def _serve(self, model: Model, reference: Reference, since: float) -> None:
        self._versions += 1
        answers: Mapping[str, Array] = model(self._life.rides.features)
        self._tables.served(since, str(self._versions), [answers[name] for name in ("prediction", "low", "high")])
        self._serving, self._reference, self._state = model, reference, State.new(reference)

    def _send(self, alert: dict[str, Any], now: float) -> None:
        if not self._governor.receive(alert, now):
            return
        known = int((self._tables.known & (self._life.rides.at >= self._world.onset)).sum())
        self._life.alarms.append(Alarm(now, alert["kind"], alert["subject"], known, alert["text"]))

    def _start(self, posted: Mapping[str, Any], now: float) -> None:
        self._tables.now, since = now, posted["recent_from"]
        self._known = models.in_order([self._world.past, self._tables.training()])
        holdout = self._tables.holdout(moment_of(since))
        outcome = self._shop.retrained(self._known, since, self._serving, holdout)
        self._flight = Training(now, now + self._way_s, outcome)

    def _end(self, flight: Training) -> None:
        self._life.trainings.append(flight)
        self._flight = None
        if flight.outcome.model:
            version = f"models:/{USE_CASE.name}/{self._versions + 1}"
            self._serve(
                flight.outcome.model, models.reference(flight.outcome.model, self._known, version), flight.ready
            )
        if posted := self._governor.ended("Succeeded" if flight.outcome.model else "Failed", flight.ready):
            self._start(posted, flight.ready)
