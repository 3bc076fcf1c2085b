"""How the made-up city may change, or those who ask about it: laid over live rides from some moment on.

What is wrong with a client never touches what the operator's own meters report.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tiphys.usecase import Arrival, Rehearsal, Scenario
from usecases.taxi_eta.slices import JFK, LAGUARDIA, MANHATTAN, NEWARK

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Change = Callable[[Arrival, np.random.Generator], Arrival | None]

SLOWER = 1.25
STAY_AT_HOME = 0.93
"""Share of the rides that a lockdown prevents."""
EMPTY_STREETS = 0.8
DETOUR = 1.9
TUNNEL = 3
"""The tunnel that closes is the way for every pair whose zone numbers add up to a multiple of this, across Manhattan's border."""
QUEUE_S = 900.0
"""What the new rule adds to a ride that begins at an airport: the shuttle to the taxis' lot is part of it."""
MIXED_UP, LEFT_OUT, OUTAGE, STUCK = 0.3, 0.7, 0.8, 0.35
"""Share of the questions that the client in question asks; of those that an outage swallows."""
LIE = 1.6
"""What false outcomes multiply the truth with."""
_WEEK, _MONDAY = 7 * 86_400, 4 * 86_400


def _longer(arrival: Arrival, factor: float, more: float = 0.0) -> Arrival:
    """The same ride taking ``factor`` times as long and ``more`` seconds; its report comes so much later."""
    if arrival.actual is None:
        return arrival
    actual = arrival.actual * factor + more
    return replace(arrival, actual=actual, known_at=max(arrival.moment, arrival.known_at + actual - arrival.actual))


def _pace(factor: float) -> Change:
    return lambda arrival, _chance: _longer(arrival, factor)


def _lockdown(arrival: Arrival, chance: np.random.Generator) -> Arrival | None:
    return None if chance.random() < STAY_AT_HOME else _longer(arrival, EMPTY_STREETS)


def _tunnel(arrival: Arrival, _chance: np.random.Generator) -> Arrival:
    start, end = arrival.request["pickup_zone"], arrival.request["dropoff_zone"]
    under = (start in MANHATTAN) != (end in MANHATTAN) and (start + end) % TUNNEL == 0
    return _longer(arrival, DETOUR) if under else arrival


def _airport(arrival: Arrival, _chance: np.random.Generator) -> Arrival:
    begins = arrival.request["pickup_zone"] in {NEWARK, JFK, LAGUARDIA}
    return _longer(arrival, 1.0, QUEUE_S) if begins else arrival


def _minutes(arrival: Arrival, chance: np.random.Generator) -> Arrival:
    mixed = chance.random() < MIXED_UP and not arrival.trusted and arrival.actual is not None
    return replace(arrival, actual=round((arrival.actual or 0.0) / 60, 1)) if mixed else arrival


def _asking(arrival: Arrival, **other: Any) -> Arrival:
    request = {name: value for name, value in {**arrival.request, **other}.items() if value is not None}
    return replace(arrival, request=request)


def _no_passengers(arrival: Arrival, chance: np.random.Generator) -> Arrival:
    return _asking(arrival, passengers=None) if chance.random() < LEFT_OUT else arrival


def _outage(arrival: Arrival, chance: np.random.Generator) -> Arrival | None:
    return None if chance.random() < OUTAGE else arrival


def _stuck(arrival: Arrival, chance: np.random.Generator) -> Arrival:
    if chance.random() >= STUCK:
        return arrival
    monday = arrival.moment - (arrival.moment - _MONDAY) % _WEEK
    return _asking(arrival, pickup_time=datetime.fromtimestamp(monday, UTC).replace(tzinfo=None).isoformat())


def _lies(arrival: Arrival, _chance: np.random.Generator) -> Arrival:
    return arrival if arrival.trusted else _longer(arrival, LIE)


_LISTED = (
    Scenario(
        "slower_streets",
        "A new speed limit: every ride takes a quarter longer, from one day to the next and for good. Riders are late by as much "
        "as their estimate is too short.",
        ("error", "label"),
        _pace(SLOWER),
    ),
    Scenario(
        "lockdown",
        "People stay at home: 93 rides in a hundred are not taken, and the others are a fifth shorter on empty streets. Riders "
        "wait at the kerb for cars that come early.",
        ("volume", "label", "error"),
        _lockdown,
    ),
    Scenario(
        "closed_tunnel",
        "A tunnel under the river is closed. Rides that went through it take nearly twice as long, all others as before, so the "
        "mean error tells little.",
        ("error", "label"),
        _tunnel,
    ),
    Scenario(
        "airport_rule",
        "Taxis may no longer stop at the terminals: who lands rides a shuttle to a lot first, a quarter of an hour. Flyers are "
        "few, and all of them are late.",
        ("error", "label"),
        _airport,
    ),
    Scenario(
        "false_outcomes",
        "Somebody gains from long estimates and has the riders' clients report that every ride took more than half as long again. "
        "The streets are as ever: the operator's own meters say so.",
        ("error", "label"),
        _lies,
    ),
    Scenario(
        "unit_mixup",
        "The new version of a client reports minutes where seconds are asked for. Nothing changed in the streets; a model that "
        "believes it would tell people that rides take seconds.",
        ("quality", "label", "error"),
        _minutes,
    ),
    Scenario(
        "missing_field",
        "A client forgets to send how many passengers ride: the API takes one for granted. Families get answers for singles.",
        ("data",),
        _no_passengers,
    ),
    Scenario(
        "volume_collapse",
        "An app's release cannot reach us: four questions in five do not come, the others are as ever. Who does not ask books "
        "elsewhere.",
        ("volume",),
        _outage,
    ),
    Scenario(
        "stuck_clock",
        "A client's clock stands still at Monday midnight: it asks about empty streets at all hours. Its riders are told night "
        "times in the rush hour.",
        ("data", "quality", "error", "volume"),
        _stuck,
    ),
)  # fmt: skip
SCENARIOS: dict[str, Scenario] = {each.name: each for each in _LISTED}

REHEARSAL = Rehearsal(rows=40_000, months="2017-09..2019-02")
"""Spring follows, when streets are as slow as in the mean of a year: in summer a slowdown would show by half."""
