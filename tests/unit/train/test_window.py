"""Which rows a retraining learns from, and how it chooses."""

from __future__ import annotations

import numpy as np
import pytest

from components.train import choose
from components.train.contract import Inputs
from components.train.split import Batches, tensors
from tiphys.errors import DataError
from tiphys.lake.window import LEAST_RECENT, Timed, Window, cut, prepared, together
from tiphys.usecase import Examples, UseCase

pytestmark = pytest.mark.unit

TINY = UseCase("tests.usecases.tiny")
CHANGE = "2024-04-10T00:00:00"
DAY = 86400.0


def boilings(old: int, recent: int, factor: float = 1.0, seed: int = 1) -> Timed:
    """Kettles in order of time: ``old`` in the hundred days before the change, ``recent`` in the five after, slower by a factor."""
    chance = np.random.default_rng(seed)
    begins = Window(recent_from=CHANGE).begins
    moment = np.sort(
        np.concatenate([begins - chance.uniform(1, 100 * DAY, old), begins + chance.uniform(0, 5 * DAY, recent)])
    )
    litres, celsius = chance.uniform(0.2, 1.7, old + recent), chance.integers(5, 61, old + recent)
    seconds = litres * 2.09 * (100 - celsius) * chance.normal(1.1, 0.02, old + recent)
    seconds = np.where(moment >= begins, seconds * factor, seconds)
    month = np.full(old + recent, 24291, np.int32)
    features = {"litres": litres.astype(np.float32), "celsius": celsius.astype(np.int64)}
    return Timed(Examples(features, seconds.astype(np.float32), month), moment)


def test_rows_are_cut_in_order_of_time_and_only_recent_ones_are_kept_back() -> None:
    """Learnt from, stopped on, judged on: one after another, none twice, none lost."""
    made = cut(boilings(3000, 1000), CHANGE)
    assert [len(each.rows) for each in (made.train, made.validation, made.test)] == [3600, 200, 200]
    assert made.train.moment.max() < made.validation.moment.min()
    assert made.validation.moment.max() < made.test.moment.min()
    assert made.validation.moment.min() >= Window(recent_from=CHANGE).begins


def test_rows_of_one_moment_are_not_parted() -> None:
    """A bus that brings two hundred kettles at once is on one side."""
    found = boilings(1000, 1000)
    moment = found.moment.copy()
    moment[-300:-100] = moment[-300]
    made = cut(Timed(found.rows, moment), CHANGE)
    assert not set(made.validation.moment) & set(made.test.moment)
    assert sum(len(each.rows) for each in (made.train, made.validation, made.test)) == 2000


@pytest.mark.parametrize(("old", "recent"), [(1000, LEAST_RECENT - 1), (0, 1000)])
def test_too_few_rows_are_refused_with_how_many_there_are(old: int, recent: int) -> None:
    """A retraining that could not be judged does not begin."""
    with pytest.raises(DataError, match=f"{recent} rows since 2024-04-10T00:00:00 and {old} before"):
        cut(boilings(old, recent), CHANGE)


def test_recent_rows_get_their_share_of_the_weight_and_older_ones_today_s_level() -> None:
    """Half of all weight for a tenth of the rows; outcomes since the change stay what they were."""
    found = boilings(900, 100)
    made = prepared(found, Window(recent_from=CHANGE, recent_share=0.5, level=1.25)).rows
    recent = found.moment >= Window(recent_from=CHANGE).begins
    assert made.weight is not None
    assert made.weight[recent].sum() == pytest.approx(made.weight[~recent].sum())
    np.testing.assert_allclose(made.target[~recent], 1.25 * found.rows.target[~recent], rtol=1e-6)
    np.testing.assert_array_equal(made.target[recent], found.rows.target[recent])


def test_a_row_loses_half_of_its_weight_in_a_half_life() -> None:
    """Counted back from the change; none after it loses any."""
    begins = Window(recent_from=CHANGE).begins
    rows = boilings(3, 1).rows
    found = Timed(rows, np.array([begins - 20 * DAY, begins - 10 * DAY, begins, begins + DAY]))
    weight = prepared(found, Window(recent_from=CHANGE, half_life_days=10.0)).rows.weight
    assert weight is not None
    np.testing.assert_allclose(weight / weight[-1], [0.25, 0.5, 1.0, 1.0])


def test_rows_before_the_window_are_left_out() -> None:
    """Whatever they say."""
    found = boilings(1000, 300)
    made = prepared(found, Window(recent_from=CHANGE, since="2024-04-01"))
    assert made.moment.min() >= found.moment.min()
    assert len(made.moment) < 1300
    assert made.rows.weight is None


def test_parts_that_are_put_together_are_the_rows_that_were_cut() -> None:
    """Order and columns stay."""
    made = cut(boilings(500, 500), CHANGE)
    whole = together([made.train, made.validation, made.test])
    np.testing.assert_array_equal(whole.moment, boilings(500, 500).moment)
    np.testing.assert_array_equal(whole.rows.features["litres"], boilings(500, 500).rows.features["litres"])


def test_a_window_travels_as_text_and_what_is_none_is_refused() -> None:
    """Between steps, and in a version's tags."""
    window = Window(recent_from=CHANGE, recent_share=0.2, level=1.3)
    assert Window.parse(str(window)) == window
    assert Window.parse("") is None
    for text in ("{}", "nonsense", '{"recent_from": "yesterday"}', '{"recent_from": "2024-01-01", "level": -1}'):
        with pytest.raises(DataError, match="is no window"):
            Window.parse(text)


@pytest.mark.parametrize("factor", [0.7, 1.25, 1.6])
def test_where_everything_got_slower_older_rows_are_brought_to_today_s_level(factor: float) -> None:
    """By what it got slower, to a few percent."""
    made = cut(boilings(3000, 1000, factor), CHANGE)
    assert choose.window(TINY, made, choose.Asked(CHANGE)).level == pytest.approx(factor, rel=0.05)


def test_where_nothing_changed_the_plainest_window_is_chosen() -> None:
    """A false alarm does no harm."""
    made = cut(boilings(3000, 1000), CHANGE)
    assert choose.window(TINY, made, choose.Asked(CHANGE)) == Window(recent_from=CHANGE)


def test_what_a_person_says_of_the_window_is_kept() -> None:
    """Only what was left open is chosen."""
    made = cut(boilings(3000, 1000, 1.3), CHANGE)
    found = choose.window(TINY, made, choose.Asked(CHANGE, "2024-02-01", 7.0))
    assert (found.since, found.half_life_days) == ("2024-02-01", 7.0)


def test_an_epoch_shows_a_row_as_often_as_its_weight_says() -> None:
    """Three times as heavy, three times as often; as many rows as without weights."""
    weight = np.repeat([0.5, 1.5], 500)
    rows = tensors({"x": np.arange(1000), "weight": weight})
    seen = [number for batch in Batches(rows, 100, 3, lambda: 1) for number in batch["x"].tolist()]
    assert len(seen) == 1000
    assert sum(each >= 500 for each in seen) == pytest.approx(750, abs=2)
    assert "weight" not in next(iter(Batches(rows, 100, 3, lambda: 1)))
    assert seen == [number for batch in Batches(rows, 100, 3, lambda: 1) for number in batch["x"].tolist()]


@pytest.mark.parametrize(
    "given", [{"recent_from": "yesterday"}, {"since": "2024-01-01"}, {"recent_from": CHANGE, "half_life_days": 0}]
)
def test_inputs_that_say_no_window_are_refused(given: dict[str, str]) -> None:
    """Before anything is submitted."""
    with pytest.raises(ValueError, match=r"recent-from|half_life_days"):
        Inputs(use_case="tiny", dataset="tiny.boilings@v", **given)
