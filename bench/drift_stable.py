"""Stable stretches for bench/drift.py: weeks of real rides drawn with replacement, and what every check says on each of their days.

A day is summed up once; a half-year only puts days one after another, so 200 of them take minutes. What is measured are
the very statistics that ``tiphys.watch.drift.watch.judge`` compares with its thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from drift_world import DAY, Array, World

from components.monitor import rows as live_rows
from components.monitor.reference import live_slices
from tiphys.usecase import UseCase
from tiphys.watch.drift import sequential, volume
from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.reference import Reference, make
from tiphys.watch.drift.residuals import ALL, Rows
from tiphys.watch.drift.shift import compared, is_of_the_clock
from tiphys.watch.drift.summary import Summary, Window
from tiphys.watch.drift.thresholds import STATED_COVERAGE, Thresholds

USE_CASE = UseCase("taxi_eta")
WEEK = 7
QUIET = 7
"""Days without an alarm of a check after which its next one is another."""


@dataclass(frozen=True)
class Measured:
    """What the checks' statistics are on each day of a stretch: arrays [days] or [days, names]."""

    columns: tuple[str, ...]
    psi: Array
    p: Array
    strange: Array
    ratio: Array
    z: Array
    covered: Array
    covered_z: Array
    estimate: Array
    tests: tuple[str, ...]
    peaks: Array


def reference_of(world: World) -> Reference:
    """The reference of a world, as the step makes it."""
    names = live_slices(USE_CASE, world.rows)
    kinds = {each.name: each for each in USE_CASE.part("watched").WATCHED}
    columns = {}
    for name, values in columns_of(world, names).items():
        kind = kinds[name].kind if name in kinds else "category"
        columns[name] = (kind, kinds[name].description if name in kinds else name, values)
    about = {"use_case": "taxi_eta", "model_version": "models:/taxi_eta/1", "unit": "s", "slices": list(names)}
    truths = world.rows.target.astype(np.float64)
    return make(about, moment=world.moment, columns=columns, truths=truths, tested=rows_of(world, names), masks={})


def columns_of(world: World, names: Sequence[str]) -> dict[str, Array]:
    """Watched columns and slices."""
    features = world.rows.features
    return {**live_rows.watched(USE_CASE, features), **live_rows.slice_columns(USE_CASE, features, tuple(names))}


def rows_of(world: World, names: Sequence[str]) -> Rows:
    """Answers with truths."""
    everything = np.ones(len(world.rows), bool)
    masks = {ALL: everything, **live_rows.masks_of(USE_CASE, world.rows.features, tuple(names))}
    masks[live_rows.TRUSTED] = everything
    low, high, value = (np.asarray(each, np.float64) for each in (world.low, world.high, world.value))
    return Rows(world.moment, value, low, high, world.rows.target.astype(np.float64), masks)


def window_of(world: World, reference: Reference, since: float, until: float) -> Window:
    """Rides between two moments."""
    part = world.where((world.moment >= since) & (world.moment < until))
    rows = rows_of(part, reference.about["slices"])
    columns = columns_of(part, reference.about["slices"])
    return Window(since, until, part.moment, columns, rows.value, rows.low, rows.high, rows, np.ones(len(rows), bool))


def summed(world: World, reference: Reference) -> dict[int, Summary]:
    """A summary of each day."""
    return {
        int(day): Summary.of(reference, window_of(world, reference, float(day * DAY), float((day + 1) * DAY)))
        for day in np.unique(world.day)
    }


def whole_weeks(days: Sequence[int]) -> list[list[int]]:
    """Days of each whole week, Monday to Sunday."""
    found: dict[int, list[int]] = {}
    for day in sorted(days):
        found.setdefault((day + 3) // WEEK, []).append(day)
    return [each for each in found.values() if len(each) == WEEK]


def drawn(weeks: Sequence[Sequence[int]], count: int, chance: np.random.Generator) -> list[int]:
    """Days of a stable stretch: whole weeks drawn with replacement."""
    return [day for number in chance.integers(0, len(weeks), count) for day in weeks[int(number)]]


def stamped(summaries: dict[int, Summary], days: Sequence[int], first: int) -> list[Summary]:
    """Put days one after another from ``first`` on, a Monday."""
    return [_moved(summaries[day], day, first + at) for at, day in enumerate(days)]


def _moved(summary: Summary, day: int, to: int) -> Summary:
    def at(ledger: Ledger) -> Ledger:
        return Ledger(ledger.groups, ledger.fields, {to: ledger.days[day]} if day in ledger.days else {})

    return replace(summary, volume=at(summary.volume), errors=at(summary.errors), moments={})


def measure(reference: Reference, days: Sequence[Summary], first: int, chosen: Thresholds) -> Measured:
    """Look at each day with the week that ends with it; the first week only fills the window."""
    counted, errors = Ledger(volume.GROUPS, volume.FIELDS), Summary.nothing(reference).errors
    for day in days:
        counted, errors = counted + day.volume, errors + day.errors
    columns = tuple(name for name in reference.columns if name in days[0].sketches)
    psi, p, strange = [], [], []
    for name in columns:
        column = reference.columns[name]
        held = column.sketch.counts
        windows = _weekly(np.stack([each.sketches[name].counts for each in days]))
        clock = is_of_the_clock(held)
        _, _, index, chance = compared(held, windows, column.dispersion, WEEK, clock=clock)
        psi.append(index)
        p.append(chance)
        odd = _weekly(
            np.array(
                [[each.strange[name].rows, each.strange[name].missing, each.strange[name].unseen] for each in days]
            )
        )
        shares = odd[:, 1:] / np.maximum(1, odd[:, :1])
        strange.append(np.maximum(np.maximum(shares[:, 0] - column.known.missing, shares[:, 1]), 0.0))
    ratio, z = _volumes(reference, counted, first, len(days))
    covered, covered_z = _covered(reference, errors)
    expected = _weekly(np.array([each.expected for each in days]))
    tracks = sequential.tracks(errors, reference.residuals, chosen)
    return Measured(
        columns, np.column_stack(psi), np.column_stack(p), np.column_stack(strange), ratio, z, covered, covered_z,
        expected[:, 1] / np.maximum(1, expected[:, 0]) / reference.expected.level,
        tuple(f"{each.group}:{each.direction}" for each in tracks),
        np.column_stack([each.peaks[WEEK - 1 :] for each in tracks]),
    )  # fmt: skip


def _weekly(daily: Array) -> Array:
    """Sums of seven days each, [days - 6, ...], of sums of days."""
    total = np.concatenate([np.zeros_like(daily[:1]), np.cumsum(daily, axis=0)])
    found: Array = total[WEEK:] - total[:-WEEK]
    return found


def _volumes(reference: Reference, counted: Ledger, first: int, days: int) -> tuple[Array, Array]:
    found = []
    for at in range(WEEK - 1, days):
        past = Ledger(counted.groups, counted.fields, {
            day: counted.days[day] for day in range(max(first, first + at - 29), first + at + 1) if day in counted.days
        })  # fmt: skip
        came = volume.judge(past, reference.rhythm, float((first + at + 1) * DAY), float(WEEK * DAY))
        found.append((came.ratio, came.z))
    ratio, z = np.array(found).T
    return ratio, z


def _covered(reference: Reference, errors: Ledger) -> tuple[Array, Array]:
    _, sums = errors.stacked()
    total = _weekly(sums[:, 0].sum(axis=1))
    rows = np.maximum(1.0, total[:, 0])
    off = np.abs(total[:, 4] / rows - STATED_COVERAGE)
    tau = reference.residuals.groups[ALL].inside_tau
    return off, off / np.sqrt(STATED_COVERAGE * (1 - STATED_COVERAGE) / rows + tau**2 / WEEK)


def alarms(found: Measured, chosen: Thresholds) -> dict[str, Array]:
    """Check -> whether it alarms, by day."""
    told = {
        "volume": ((found.ratio <= chosen.volume_low) | (found.ratio >= chosen.volume_high))
        & (abs(found.z) >= chosen.volume_z),
        "calibration": (found.covered >= chosen.coverage) & (found.covered_z >= chosen.coverage_z),
        "expected error": found.estimate >= chosen.estimate,
    }
    mix = (found.psi >= chosen.psi) & (found.p <= chosen.p)
    for at, name in enumerate(found.columns):
        told[f"mix {name}"] = mix[:, at]
        told[f"quality {name}"] = found.strange[:, at] >= chosen.strange
    groups = len({each.partition(":")[0] for each in found.tests})
    for at, name in enumerate(found.tests):
        group, _, way = name.partition(":")
        limit = sequential.limit_of(group, way, groups, chosen)  # type: ignore[arg-type]
        told[f"error {name}"] = found.peaks[:, at] >= limit
    return told


def episodes(days: Array) -> int:
    """Alarms that begin after a week without one."""
    count, last = 0, -QUIET - 1
    for day in np.flatnonzero(days):
        count += int(day - last > QUIET)
        last = int(day)
    return count
