"""A made-up city of few numbers: a model's answers and their truths, weeks of them, and a reference of the first ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tiphys.watch.drift.reference import Reference, make
from tiphys.watch.drift.residuals import Rows
from tiphys.watch.drift.sketch import DAY, Array
from tiphys.watch.drift.summary import Window

MONDAY = 17_896 * DAY - 2 * DAY + 3 * DAY
MONDAY -= (MONDAY // DAY + 3) % 7 * DAY
NOISE, DAYS_DIFFER = 0.35, 0.03


def world(first: float, days: int, seed: int, a_day: int = 300) -> Window:
    """Rides of so many days from a Monday on, answered by a model that is right but for noise."""
    chance = np.random.default_rng(seed)
    count = a_day * days
    day = np.sort(chance.integers(0, days, count))
    hour = chance.choice(24, count, p=_rhythm())
    moment = first + day * DAY + hour * 3600.0 + chance.integers(0, 3600, count)
    moment = np.sort(moment)
    day = ((moment - first) // DAY).astype(int)
    zone = chance.choice(5, count, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(float)
    miles = chance.lognormal(0.5, 0.6, count)
    value = 200.0 + 180.0 * miles
    effect = chance.normal(0, DAYS_DIFFER, days)[day]
    actual = value * np.exp(effect + chance.normal(0, NOISE, count))
    low, high = value * np.exp(-1.2816 * NOISE), value * np.exp(1.2816 * NOISE)
    everything = np.ones(count, bool)
    rows = Rows(moment, value, low, high, actual, {"all": everything, "far": miles > 2.0, "night": hour < 6})
    columns = {"zone": zone, "miles": miles, "hour": np.floor(moment % DAY / 3600.0)}
    return Window(first, first + days * DAY, moment, columns, value, low, high, rows, everything)


def _rhythm() -> Array:
    weight = 1.0 + np.sin(np.arange(24) / 24 * 2 * np.pi - 2) * 0.8
    return np.asarray(weight / weight.sum())


def reference_of(window: Window) -> Reference:
    """What the step would make of these rides."""
    kinds = {"zone": "category", "miles": "number", "hour": "category"}
    columns = {name: (kinds[name], name, values) for name, values in window.columns.items()}
    about = {"use_case": "city", "model_version": "models:/city/1", "unit": "s", "slices": []}
    rows = window.labelled
    return make(about, moment=window.moment, columns=columns, truths=rows.actual, tested=rows, masks={})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def reference() -> Reference:
    """Eight weeks."""
    return reference_of(world(MONDAY, 56, 1))


@pytest.fixture
def week() -> Callable[..., Window]:
    """``week(number)`` is a stable week after the reference; ``a_day`` rides a day."""
    return lambda number=0, a_day=300: world(MONDAY + (56 + 7 * number) * DAY, 7, 100 + number, a_day)


@pytest.fixture
def changed() -> Callable[..., Window]:
    """``changed(window, values)`` puts other truths, or other columns, in their places."""

    def make_it(window: Window, actual: Array | None = None, **columns: Array) -> Window:
        rows = window.labelled if actual is None else replace(window.labelled, actual=actual)
        return replace(window, labelled=rows, columns={**window.columns, **columns})

    return make_it
