"""Sketches, ledgers and summaries are sums: in whatever pieces rows come, and in whatever order, the sums are the same."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.reference import Reference
from tiphys.watch.drift.sketch import DAY, STRATA, Bins, Sketch, stratum_of
from tiphys.watch.drift.summary import Summary, Window

pytestmark = pytest.mark.unit

floats = st.floats(allow_nan=True, allow_infinity=True, width=32)
values = st.lists(st.tuples(floats, st.floats(0, 1e9)), max_size=30)
kinds = st.sampled_from(["number", "category"])


def sketched(kind: str, rows: list[tuple[float, float]]) -> Sketch:
    """A sketch of (value, moment) in fixed bins."""
    bins = Bins.of("x", kind, np.array([0.0, 1, 2, 3, 3, 4, 50]))  # type: ignore[arg-type]
    given_values, moment = (np.array([each[at] for each in rows]) for at in (0, 1))
    return Sketch.of(bins, given_values, stratum_of(moment))


@given(kinds, values, values, values)
def test_merging_sketches_is_associative_and_commutative_and_loses_nothing(
    kind: str, a: list[tuple[float, float]], b: list[tuple[float, float]], c: list[tuple[float, float]]
) -> None:
    """Any values, missing and infinite ones too: a sketch of all rows is the sum of the parts' sketches, in any order."""
    parts = [sketched(kind, each) for each in (a, b, c)]
    whole = sketched(kind, [*a, *b, *c]).counts
    assert ((parts[0] + parts[1]) + parts[2]).counts.tolist() == whole.tolist()
    assert (parts[2] + (parts[1] + parts[0])).counts.tolist() == whole.tolist()
    assert whole.sum() == len(a) + len(b) + len(c)


@given(values)
def test_a_sketch_survives_json(rows: list[tuple[float, float]]) -> None:
    """What is read is what was written."""
    made = sketched("number", rows)
    again = Sketch.from_dict(json.loads(json.dumps(made.as_dict())))
    assert again.bins == made.bins
    assert again.counts.tolist() == made.counts.tolist()


def test_sketches_of_other_bins_are_not_merged() -> None:
    """They would count apples as pears."""
    a, b = (
        Sketch(Bins("x", "number", cuts), np.zeros((STRATA, len(cuts) + 2), np.int64)) for cuts in ((1.0,), (1.0, 2.0))
    )
    with pytest.raises(ValueError, match="different bins"):
        a + b


def test_missing_and_unseen_values_have_bins_of_their_own() -> None:
    """NaN is missing; a category that was never seen is another; a number beyond all cuts is in the last tenth."""
    category, number = (Bins.of("x", kind, np.array([1.0, 1, 2])) for kind in ("category", "number"))
    assert category.at(np.array([1.0, 2, 7, np.nan])).tolist() == [0, 1, 2, 3]
    assert number.at(np.array([-1e9, 1e9, np.inf, np.nan])).tolist()[1:] == [
        number.size - 2,
        number.size - 1,
        number.size - 1,
    ]


def test_a_column_without_any_value_can_be_a_reference() -> None:
    """Nothing is known, everything is missing."""
    for kind in ("category", "number"):
        bins = Bins.of("x", kind, np.full(3, np.nan))  # type: ignore[arg-type]
        assert bins.at(np.array([np.nan])).tolist() == [bins.size - 1]


days = st.lists(st.tuples(st.floats(0, 5 * DAY, exclude_max=True), st.floats(-10, 10)), max_size=20)


def booked(rows: list[tuple[float, float]]) -> Ledger:
    """A ledger of (moment, value)."""
    moment, value = (np.array([each[at] for each in rows], float) for at in (0, 1))
    return Ledger.of(moment, {"all": np.ones(len(moment), bool)}, {"rows": np.ones(len(moment)), "sum": value})


def same(a: Ledger, b: Ledger) -> bool:
    """Whether two ledgers hold the same sums."""
    return list(a) == list(b) and all(np.allclose(a.days[day], b.days[day], atol=1e-6) for day in a)


@given(days, days)
def test_ledgers_merge_in_any_order_and_survive_json(
    a: list[tuple[float, float]], b: list[tuple[float, float]]
) -> None:
    """The sum of two is the ledger of all rows."""
    assert same(booked(a) + booked(b), booked([*b, *a]))
    assert same(Ledger.from_dict(json.loads(json.dumps((booked(a) + booked(b)).as_dict()))), booked([*a, *b]))


@given(days, days)
def test_a_stretch_that_is_looked_at_again_is_replaced(
    before: list[tuple[float, float]], late: list[tuple[float, float]]
) -> None:
    """A retry changes nothing, and rows that came late are counted once."""
    first, last = float(DAY), float(3 * DAY)
    held = booked(before)
    seen = booked([each for each in [*before, *late] if first <= each[0] < last])
    once = held.replaced(seen, first, last)
    assert same(once.replaced(seen, first, last), once)
    outside = [each for each in before if not first <= each[0] < last]
    assert same(once, booked([*outside, *[each for each in [*before, *late] if first <= each[0] < last]]))


def test_a_window_is_the_sum_of_its_days(reference: Reference, week: Callable[..., Window]) -> None:
    """Summed up day by day or at once."""
    whole = week()
    parts = Summary.nothing(reference)
    for day in range(7):
        parts += Summary.of(reference, _day(whole, day))
    at_once = Summary.of(reference, whole)
    assert parts.rows == at_once.rows
    assert parts.strange == at_once.strange
    assert same(parts.errors, at_once.errors)
    for name, sketch in at_once.sketches.items():
        assert parts.sketches[name].counts.tolist() == sketch.counts.tolist()


def _day(window: Window, day: int) -> Window:
    since = window.since + day * DAY
    mask = (window.moment >= since) & (window.moment < since + DAY)
    return Window(
        since, since + DAY, window.moment[mask], {name: each[mask] for name, each in window.columns.items()},
        window.value[mask], window.low[mask], window.high[mask], window.labelled.where(mask), window.ours[mask],
    )  # fmt: skip
