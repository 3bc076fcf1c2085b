"""Every scenario laid over real rides of 2019, from 50 moments on: how many labelled rides, and days, until something alarms.

The scenarios are those of ``usecases/taxi_eta/scenarios.py``, done to rows instead of to arrivals: the simulator needs a city, and
this needs real rides. Where a test needs an outcome, it gets it in the hour in which the ride began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from drift_stable import WEEK, window_of
from drift_world import DAY, Array, World

from tiphys.watch.drift.reference import Reference
from tiphys.watch.drift.summary import Summary
from tiphys.watch.drift.watch import State, judge
from usecases.taxi_eta.slices import JFK, LAGUARDIA, MANHATTAN, NEWARK

_DAYS = 21
"""Days after the onset in which an alarm counts."""
_STEP = 6 * 3600.0
Seen = tuple[float, int, str]
Change = Callable[[World, Array, np.random.Generator], World]


def _truths(world: World, target: Array) -> World:
    return replace(world, rows=replace(world.rows, target=target.astype(np.float32)))


def _slower(world: World, after: Array, _chance: np.random.Generator) -> World:
    return _truths(world, np.where(after, 1.25, 1.0) * world.rows.target)


def _lockdown(world: World, after: Array, chance: np.random.Generator) -> World:
    thinner = _truths(world, np.where(after, 0.8, 1.0) * world.rows.target)
    return thinner.where(~after | (chance.random(len(after)) > 0.93))  # noqa: PLR2004 - as the scenario has it


def _tunnel(world: World, after: Array, _chance: np.random.Generator) -> World:
    start, end = (world.rows.features[name] for name in ("pickup_zone", "dropoff_zone"))
    inside = [np.isin(each, list(MANHATTAN)) for each in (start, end)]
    under = (inside[0] != inside[1]) & ((start + end) % 3 == 0)
    return _truths(world, np.where(after & under, 1.9, 1.0) * world.rows.target)


def _airport(world: World, after: Array, _chance: np.random.Generator) -> World:
    there = np.isin(world.rows.features["pickup_zone"], [NEWARK, JFK, LAGUARDIA])
    return _truths(world, world.rows.target + 900.0 * (after & there))


def _units(world: World, after: Array, chance: np.random.Generator) -> World:
    mixed = after & (chance.random(len(after)) < 0.3)  # noqa: PLR2004
    return _truths(world, np.where(mixed, world.rows.target / 60, world.rows.target))


def _passengers(world: World, after: Array, chance: np.random.Generator) -> World:
    left_out = after & (chance.random(len(after)) < 0.7)  # noqa: PLR2004
    held = world.rows.features["passengers"]
    return _asked(world, passengers=np.where(left_out, 1, held))


def _outage(world: World, after: Array, chance: np.random.Generator) -> World:
    return world.where(~after | (chance.random(len(after)) > 0.8))  # noqa: PLR2004


def _stuck(world: World, after: Array, chance: np.random.Generator) -> World:
    moment = world.rows.features["pickup_time"]
    monday = moment - (moment - 4 * DAY) % (WEEK * DAY)
    return _asked(world, pickup_time=np.where(after & (chance.random(len(after)) < 0.35), monday, moment))  # noqa: PLR2004


def _asked(world: World, **features: Array) -> World:
    changed = replace(world, rows=replace(world.rows, features={**world.rows.features, **features}))
    return changed.where(np.argsort(changed.moment, kind="stable")) if "pickup_time" in features else changed


SCENARIOS: dict[str, Change] = {
    "slower_streets": _slower, "lockdown": _lockdown, "closed_tunnel": _tunnel, "airport_rule": _airport,
    "unit_mixup": _units, "missing_field": _passengers, "volume_collapse": _outage, "stuck_clock": _stuck,
}  # fmt: skip


def onsets(world: World, count: int) -> list[float]:
    """Moments from which something changes: any hour with three weeks before it and after it."""
    chance = np.random.default_rng(11)
    first, last = int(world.day.min()) + 21, int(world.day.max()) - _DAYS - 1
    return [
        float(day * DAY + hour * 3600)
        for day, hour in zip(chance.integers(first, last, count), chance.integers(0, 24, count), strict=True)
    ]


def report(world: World, reference: Reference, count: int) -> None:
    """Print a line a scenario."""
    # What was found in the stretch itself without any change is no news of the change: the real passengers of February 2019.
    print("scenario | seen of 50 | first alarms | median days | labelled rides until then: median, 90 %")
    for name, change in SCENARIOS.items():
        found = [until_alarm(world, reference, change, at, number) for number, at in enumerate(onsets(world, count))]
        seen = [each for each in found if each is not None]
        kinds: dict[str, int] = {}
        for _, _, kind in seen:
            kinds[kind] = kinds.get(kind, 0) + 1
        days, rides = ([each[at] for each in seen] or [np.nan] for at in (0, 1))
        print(
            f"{name} | {len(seen)} | {kinds} | {np.median(days):.2f} | {np.median(rides):.0f}, {np.quantile(rides, 0.9):.0f}"
        )


def until_alarm(world: World, reference: Reference, change: Change, onset: float, seed: int) -> Seen | None:
    """Days, labelled rides and kind of the first alarm that the unchanged rides do not raise; looked at every six hours."""
    first = np.floor(onset / _STEP) * _STEP
    near = world.where((world.moment >= first - 21 * DAY) & (world.moment < first + (_DAYS + 1) * DAY))
    changed = change(near, near.moment >= onset, np.random.default_rng(seed))
    watched, before = Watched(changed, reference, first), Watched(near, reference, first)
    for number in range(1, int(_DAYS * DAY / _STEP) + 1):
        until = first + number * _STEP
        found = watched.alarms(until)
        new = [kind for subject, kind in found.items() if subject not in before.alarms(until)] if found else []
        if new:
            labelled = int(((changed.moment >= onset) & (changed.moment < until)).sum())
            return (until - onset) / DAY, labelled, new[0]
    return None


class Watched:
    """Looks at rides; sums of six hours are made once, and windows are sums of those."""

    def __init__(self, world: World, reference: Reference, first: float) -> None:
        """Know the three weeks before ``first``."""
        self._world, self._reference = world, reference
        before = Summary.of(reference, window_of(world, reference, first - 21 * DAY, first))
        self._state, self._seen = State(before.errors, before.volume), first
        self._parts: dict[float, Summary] = {}

    def alarms(self, until: float) -> dict[str, str]:
        """What alarms in the week before: subject -> kind. The running tests first take in all that was not looked at yet."""
        while self._seen < until:
            part = self._part(self._seen)
            self._state = State(self._state.errors + part.errors, self._state.volume + part.volume)
            self._seen += _STEP
        window = Summary.nothing(self._reference)
        for begin in np.arange(until - WEEK * DAY, until, _STEP):
            window += self._part(float(begin))
        found = judge(self._reference, window, self._state, (until - WEEK * DAY, until))
        return {f"{each.kind} {each.subject}": each.kind for each in found.alarms}

    def _part(self, begin: float) -> Summary:
        if begin not in self._parts:
            window = window_of(self._world, self._reference, begin, begin + _STEP)
            self._parts[begin] = Summary.of(self._reference, window)
        return self._parts[begin]
