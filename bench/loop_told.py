"""What bench/loop.py tells of a life: checks that have to hold, the table, the excess error, and the plot with its story."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from bench import plots
from bench.loop_city import DAY, stands
from bench.model import USE_CASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.loop_life import Life, Training
    from tiphys.usecase import Array

WEEK = 7 * DAY
_ROLLING, _STEP, _BEFORE = 3.0, 0.25, 14.0
"""Days that an error is averaged over, days between points of a line, days before the change that are drawn."""
_SETTLED = 1.0
"""Days after the change without a point: too few rides are of the new world alone."""
_FEWEST = 20
"""Rides below which no mean is drawn."""
_LINES = {"served": "what is served", "oracle": "oracle", "frozen": "the old model, frozen"}
_BY_POLICY = ("labelled rows have come", "does not bring back", "would learn the mistakes")
"""What tells a no that says something from one that only waits its turn."""
_MOST_NOTES = 9
_STRANGE = 0.02
"""Share of impossible reports, beyond what is usual, that is told."""


def same_before(lives: Sequence[Life]) -> None:
    """Whoever lives through another scenario had the same errors before it.

    Raises:
        ValueError: not so.
    """
    held = [each.errors["served"][each.since < 0] for each in lives]
    if any(not np.array_equal(held[0], each, equal_nan=True) for each in held[1:]):
        message = "before the change two scenarios' errors differ, though nothing does"
        raise ValueError(message)


def same_until_replaced(life: Life) -> None:
    """What is served and the frozen model are one until another one serves; answered hour by hour and at once.

    Raises:
        ValueError: not so.
    """
    first = next((each.ready for each in life.trainings if each.outcome.model), np.inf)
    until = life.rides.at < first
    if not np.array_equal(life.errors["served"][until], life.errors["frozen"][until]):
        message = f"{life.scenario}: the old model answers otherwise than it did"
        raise ValueError(message)


def table(lives: Mapping[str, Sequence[Life]]) -> None:
    """Print a line a life."""
    print(
        "\n| scenario | first alarm | days | labelled rides | decision | new model, days | following week: new, old, oracle, s | new/old |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for each in (life for some in lives.values() for life in some):
        print(f"| {' | '.join(_row(each))} |")


def _row(life: Life) -> Iterator[str]:
    onset, calm = life.world.onset, {(each.kind, each.subject) for each in life.alarms if each.at < life.world.onset}
    yield life.scenario
    after = [each for each in life.alarms if each.at > onset and (each.kind, each.subject) not in calm]
    yield from (
        (f"{after[0].kind}, {after[0].subject}", f"{(after[0].at - onset) / DAY:.1f}", f"{after[0].known:,}")
        if after
        else ("none", "", "")
    )
    yes = [each for each in life.trainings if each.decided > onset]
    no = sum(each.decision.verdict == "no" and each.at > onset for each in life.decided)
    yield f"yes {len(yes)}, no {no}"
    new = life.new_model
    if new is None:
        yield from (f"none: {yes[0].outcome.said}" if yes else "none", "", "")
        return
    week = life.within(new.ready, new.ready + WEEK)
    made, old, oracle = (float(life.errors[name][week].mean()) for name in ("served", "frozen", "oracle"))
    yield from (f"{(new.ready - onset) / DAY:.1f}", f"{made:.0f}, {old:.0f}, {oracle:.0f}", f"{made / old:.2f}")


def excess(lives: Sequence[Life]) -> None:
    """Print the error-seconds above the oracle's: from the change to the new model, and in the week after."""
    print(
        "\n| onset | rides until the new model | excess until then, s | a ride | rides of the week after | excess, served | excess, frozen | a ride: served, frozen | not lost, s |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    found = []
    for each in lives:
        new = each.new_model
        if new is None:
            print(f"| {_date(each.world.onset)} | no new model |")
            continue
        until, week = each.within(each.world.onset, new.ready), each.within(new.ready, new.ready + WEEK)
        lost, later, never = _above(each, "served", until), _above(each, "served", week), _above(each, "frozen", week)
        if lost != _above(each, "frozen", until):
            message = "until the new model serves, what is served and the frozen model are one"
            raise ValueError(message)
        found.append(
            (
                until.sum(),
                lost,
                lost / until.sum(),
                week.sum(),
                later,
                never,
                later / week.sum(),
                never / week.sum(),
                never - later,
            )
        )
        _line(_date(each.world.onset), found[-1])
    if len(found) > 1:
        _line("median", np.median(found, axis=0))


def _line(name: str, found: Sequence[float] | Array) -> None:
    rides, lost, each, week, later, never, served, frozen, spared = found
    print(
        f"| {name} | {rides:,.0f} | {lost:,.0f} | {each:.1f} | {week:,.0f} | {later:,.0f} | {never:,.0f} | {served:.1f}, {frozen:.1f} | {spared:,.0f} |"
    )


def _above(life: Life, name: str, rows: Array) -> float:
    return float((life.errors[name][rows] - life.errors["oracle"][rows]).sum())


def _date(moment: float) -> str:
    return str(np.datetime64(int(moment), "s").astype("datetime64[h]"))


def draw(life: Life, path: Path) -> None:
    """Draw rolling errors and what happened."""
    since, until = -_BEFORE, (life.world.end - life.world.onset) / DAY
    series = {name: _rolling(life, key, since, until) for key, name in _LINES.items()}
    if _is_told_otherwise(life):
        series["what is served, as riders report"] = _rolling(life, "reported", since, until)
    plots.timeline(
        path,
        f"{life.scenario}: mean error of {_ROLLING:.0f} days, from {_date(life.world.onset)[:10]}",
        (since, until),
        series,
        list(_story(life))[:_MOST_NOTES],
        ("s", "days since the change"),
    )


def _is_told_otherwise(life: Life) -> bool:
    rides = life.rides
    known = np.isfinite(rides.reported)
    return not np.array_equal(rides.reported[known], rides.truth[known])


def _rolling(life: Life, name: str, since: float, until: float) -> list[tuple[float, float]]:
    errors, days = life.errors[name], life.since
    usable = life.rides.fair & np.isfinite(errors)
    found = []
    for end in np.arange(since, until + _STEP / 2, _STEP):
        first = max(end - _ROLLING, 0.0) if end > 0 else end - _ROLLING  # no mean is of both worlds
        rows = usable & (days >= first) & (days < end)
        if rows.sum() >= _FEWEST and not 0 < end < _SETTLED:
            found.append((float(end), float(errors[rows].mean())))
    return found


def _story(life: Life) -> Iterator[tuple[float, str, str]]:
    """Day, colour and words of what is marked, in order."""
    told = [
        (0.0, "change", _change(life)),
        *_alarms(life),
        *_refusals(life),
        *_trainings(life.trainings, life.world.onset),
    ]
    for at, kind, text in sorted(told, key=lambda each: each[0]):
        yield at, kind, text if kind == "change" else f"day {at:.1f}: {text}"


def _change(life: Life) -> str:
    """What happened, and how many of the reports since say nothing that can be true."""
    words = str(USE_CASE.part("scenarios").SCENARIOS[life.scenario].story).partition(". ")[0].rstrip(".")
    reported = np.isfinite(life.rides.reported)
    refused = [float((~stands(life.rides))[reported & late].mean()) for late in (life.since < 0, life.since >= 0)]
    if refused[1] < refused[0] + _STRANGE:
        return words
    return f"{words}; {refused[1]:.0%} of the reports cannot be true and label nothing, {refused[0]:.0%} before"


def _alarms(life: Life) -> Iterator[tuple[float, str, str]]:
    """The first alarm of each kind."""
    seen = set()
    for each in life.alarms:
        if each.kind in seen:
            continue
        seen.add(each.kind)
        at = (each.at - life.world.onset) / DAY
        rides = f", {each.known:,} outcomes known" if at > 0 else ", before the change"
        yield at, "alarm", f"alarm: {each.kind} of {each.subject}{rides}"


def _refusals(life: Life) -> Iterator[tuple[float, str, str]]:
    """The first no of each reason that says something."""
    seen = set()
    for each in life.decided:
        why = next((part for part in _BY_POLICY if part in each.decision.reason), "")
        if each.decision.verdict == "no" and why and why not in seen:
            seen.add(why)
            yield (
                (each.at - life.world.onset) / DAY,
                "no",
                f"no: {each.event.kind} of {each.event.subject}: {each.decision.reason}",
            )


def _trainings(trainings: Sequence[Training], onset: float) -> Iterator[tuple[float, str, str]]:
    """Each training that led to a new model; of refusals in a row the first, and how many more there were."""
    for served, some in groupby(trainings, key=lambda each: each.outcome.model is not None):
        first, *others = some
        told = [first, *others] if served else [first]
        words = "yes, and a new model serves" if served else "yes, but"
        for each in told:
            yield (each.ready - onset) / DAY, "new" if served else "refused", f"{words}: {each.outcome.said}"
        if others and not served:
            words = f"yes, for the {len(others)}th time since, but: {others[-1].outcome.said}"
            yield (others[-1].ready - onset) / DAY, "refused", words
