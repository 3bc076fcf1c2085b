"""The live feature: one function for past rows and for live ones, and what the taxi's says."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys import recent
from tiphys.errors import SettingsError
from tiphys.usecase import Examples, UseCase
from usecases.taxi_eta.recent import NAME, RECENT, usual

if TYPE_CHECKING:
    from tiphys.usecase import Array

pytestmark = pytest.mark.unit

TAXI = UseCase("taxi_eta")
MONDAY_8 = 1_561_968_000
"""2019-07-01 08:00."""
STEP = RECENT.step_s


def rides(begun: Array, slower: Array | float, zone: int = 161) -> Examples:
    """Rides of two miles that took ``slower`` (a log) more than usual."""
    begun = np.asarray(begun, np.int64)
    miles = np.full(len(begun), 2.0, np.float32)
    seconds = np.rint(np.exp(usual(miles.astype(np.float64), begun) + slower))
    month = begun.astype("datetime64[s]").astype("datetime64[M]").astype(np.int32) + 1970 * 12
    features = {
        "pickup_zone": np.full(len(begun), zone), "dropoff_zone": np.full(len(begun), 138), "pickup_time": begun,
        "passengers": np.ones(len(begun), np.int64), NAME: np.zeros(len(begun), np.float32),
    }  # fmt: skip
    return Examples(features, seconds.astype(np.float32), month, {"miles": miles})


def kept(rows: Examples, known: Array | None = None) -> recent.Finished:
    """What is kept of rides."""
    return recent.finished(RECENT, "pickup_time", rows.features, rows.target, rows.hindsight, known)


def plain(rows: Examples, known: Array, group: int, moment: float) -> float:
    """The value by its definition, a ride at a time."""
    step = moment // STEP * STEP
    said = RECENT.says(rows.features, rows.target, rows.hindsight)
    ended = rows.features["pickup_time"] + rows.target.astype(np.float64)
    lately, before = (
        [
            one
            for one, end, when, own in zip(said, ended, known, RECENT.group(rows.features), strict=True)
            if own == group and when <= step and end > step - window and np.isfinite(one)
        ]
        for window in (RECENT.window_s, RECENT.level_s)
    )
    level = sum(before) / len(before) if before else 0.0
    return RECENT.fallback + sum(one - level for one in lately) / (len(lately) + RECENT.prior)


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_the_value_is_the_shrunk_mean_of_what_was_known_and_had_ended_within_the_window(seed: int, count: int) -> None:
    """Against the definition, for late reports and any moment; and no order of the rides changes a bit of it."""
    chance = np.random.default_rng(seed)
    long_ago, lately = chance.integers(-9 * 86_400, 0, count), chance.integers(0, 5 * 3600, count)
    begun = MONDAY_8 + np.where(chance.random(count) < 0.5, long_ago, lately)
    rows = rides(begun, chance.normal(0, 0.3, count))
    ended = rows.features["pickup_time"] + rows.target.astype(np.float64)
    known = ended + chance.choice([0.0, 20.0, 4000.0, 20_000.0], count)
    asked = MONDAY_8 + chance.integers(-3600, 9 * 3600, 20)
    found, _ = recent.values(RECENT, kept(rows, known), np.zeros(20, np.int64), asked // STEP)
    np.testing.assert_allclose(found, [plain(rows, known, 0, each) for each in asked], atol=2e-6)
    other = chance.permutation(count)
    again, _ = recent.values(RECENT, kept(rows.where(other), known[other]), np.zeros(20, np.int64), asked // STEP)
    np.testing.assert_array_equal(found, again)


def test_rides_long_before_a_question_change_no_bit_of_its_value() -> None:
    """What training computes among all months, serving computes of the last days alone."""
    chance = np.random.default_rng(3)
    month = rides(MONDAY_8 + chance.integers(0, 30 * 86_400, 20_000), chance.normal(0, 0.3, 20_000))
    last = month.where(month.features["pickup_time"] > MONDAY_8 + 21 * 86_400)
    step = np.arange((MONDAY_8 + 29 * 86_400 + 6 * 3600) // STEP, (MONDAY_8 + 30 * 86_400) // STEP)
    of_all, of_last = (recent.values(RECENT, kept(each), np.zeros(len(step), np.int64), step) for each in (month, last))
    assert (of_all[1] > 10).all()
    np.testing.assert_array_equal(of_all[0], of_last[0])
    np.testing.assert_array_equal(of_all[1], of_last[1])


def test_groups_do_not_mix() -> None:
    """Slow rides from the airport say nothing of Manhattan."""
    begun = MONDAY_8 + np.arange(40) * 60
    earlier, shift = begun - 6 * 3600, np.zeros(40)
    chosen = [rides(earlier, shift, zone=132), rides(begun, 0.5, zone=132), rides(earlier, shift), rides(begun, -0.2)]
    parts = {name: np.concatenate([each.features[name] for each in chosen]) for name in chosen[0].features}
    rows = Examples(
        parts,
        np.concatenate([each.target for each in chosen]),
        np.concatenate([each.month for each in chosen]),
        {"miles": np.concatenate([each.hindsight["miles"] for each in chosen])},
    )
    step = np.full(3, (MONDAY_8 + 3 * 3600) // STEP - 3)
    value, count = recent.values(RECENT, kept(rows), np.arange(3), step)
    assert value[0] < -0.05
    assert value[1] > 0.1
    assert (value[2], count[2]) == (np.float32(RECENT.fallback), 0)


@given(st.integers(0, 2**32))
def test_a_rides_own_end_and_what_comes_later_are_not_in_its_value(seed: int) -> None:
    """Changing what rides took that had not ended when one was asked about changes nothing of its value."""
    chance = np.random.default_rng(seed)
    rows = rides(np.sort(MONDAY_8 + chance.integers(0, 4 * 3600, 80)), chance.normal(0, 0.3, 80))
    asked = int(chance.integers(0, 80))
    moment = rows.features["pickup_time"][asked]
    open_then = rows.features["pickup_time"] + rows.target > moment
    other = dataclasses.replace(rows, target=np.where(open_then, rows.target * 2, rows.target).astype(np.float32))
    before, after = (recent.filled(RECENT, "pickup_time", each).features[NAME] for each in (rows, other))
    assert before[asked] == after[asked]


def test_a_ride_that_the_data_contract_refuses_or_that_has_no_miles_says_nothing() -> None:
    """What training never sees must not be in what is served."""
    rows = rides(np.full(6, MONDAY_8), 0.0)
    miles = np.array([2.0, 0.0, 101.0, np.nan, 2.0, 30.0], np.float32)
    target = np.array([500.0, 500.0, 9000.0, 500.0, 59.0, 600.0], np.float32)
    said = RECENT.says(rows.features, target, {"miles": miles})
    assert np.isfinite(said).tolist() == [True, False, False, False, False, False]
    assert np.isnan(RECENT.says(rows.features, target, {})).all()


def test_what_is_served_survives_a_line_of_json() -> None:
    """The log's number is the model's number."""
    value = recent.filled(
        RECENT, "pickup_time", rides(MONDAY_8 + np.arange(400) * 60, np.linspace(0, 1, 400))
    ).features[NAME]
    assert len(set(value.tolist())) > 5
    assert np.array(json.loads(json.dumps(value.tolist())), np.float32).tolist() == value.tolist()


def test_some_training_rows_do_not_know_it() -> None:
    """A share of them, the same for the same seed."""
    known = np.full(10_000, 0.3, np.float32)
    found = recent.hidden(RECENT, known, 0.2, seed=7)
    assert 0.18 < (found == RECENT.fallback).mean() < 0.22
    np.testing.assert_array_equal(found, recent.hidden(RECENT, known, 0.2, seed=7))


def test_a_use_case_says_whether_it_has_one_and_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The taxi's fits; a kettle has none; one that no feature is named by is refused."""
    assert TAXI.recent is RECENT
    assert UseCase("tests.usecases.tiny").recent is None
    monkeypatch.setattr("usecases.taxi_eta.recent.RECENT", dataclasses.replace(RECENT, name="nobody"))
    with pytest.raises(SettingsError, match="FEATURES has no 'nobody'"):
        _ = TAXI.recent


def test_another_meaning_is_another_definition() -> None:
    """Values of another window, or of another version of its code, are other values."""
    others = [
        dataclasses.replace(RECENT, **change) for change in ({"version": 2}, {"window_s": 3600}, {"stale_s": 99.0})
    ]
    first, second, third = (each.definition() for each in others)
    assert RECENT.definition() not in {first, second}
    assert third == RECENT.definition()


def test_a_change_that_lasts_is_news_for_a_week() -> None:
    """A quarter longer from one day to the next: it shows at once, and not any more when a week has been so."""
    begun = MONDAY_8 + np.arange(0, 21 * 86_400, 240)
    change = MONDAY_8 + 10 * 86_400
    rows = recent.filled(RECENT, "pickup_time", rides(begun, np.where(begun >= change, np.log(1.25), 0.0)))
    pace = {day: rows.features[NAME][begun >= MONDAY_8 + day * 86_400][100] for day in (9, 10, 14, 18)}
    assert abs(pace[9]) < 0.01
    assert pace[10] > 0.12
    assert 0.02 < pace[14] < pace[10]
    assert abs(pace[18]) < 0.01
