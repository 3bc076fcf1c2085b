"""What an interval promises, and on which rows it may be made."""

from __future__ import annotations

import numpy as np
import pytest

from components.export.interval import COVERAGE, fit, halves
from tiphys.errors import DataError

pytestmark = pytest.mark.unit

LONG = np.random.default_rng(5).lognormal(6.5, 0.6, 20_000)
"""Answers as those for rides: skewed."""


def truths(answers: np.ndarray, seed: int) -> np.ndarray:
    """Truths that are farther off the larger the answer is, more often above than below."""
    return answers * np.random.default_rng(seed).lognormal(0.05, 0.3, len(answers))


def test_new_rows_are_covered_as_often_as_promised_also_where_answers_are_large() -> None:
    """Within two points of 80 % overall and five in the top and bottom tenth, though errors grow with the answer."""
    made, measured = halves(len(LONG))
    truth = truths(LONG, 1)
    band = fit(LONG[made], truth[made])
    assert band.coverage(LONG[measured], truth[measured]) == pytest.approx(COVERAGE, abs=0.02)
    for part in (LONG[measured] > np.quantile(LONG, 0.9), LONG[measured] < np.quantile(LONG, 0.1)):
        assert band.coverage(LONG[measured][part], truth[measured][part]) == pytest.approx(COVERAGE, abs=0.05)


@pytest.mark.parametrize("rows", [20, 60, 150, 301])
def test_few_rows_are_covered_too_on_average(rows: int) -> None:
    """The rank is the one that is right for so few: averaged over many small samples the promise holds."""
    found = []
    for seed in range(200):
        chosen = np.random.default_rng(seed).choice(LONG, rows + 500, replace=False)
        truth = truths(chosen, 1000 + seed)
        found.append(fit(chosen[:rows], truth[:rows]).coverage(chosen[rows:], truth[rows:]))
    assert COVERAGE - 0.01 < float(np.mean(found)) < COVERAGE + 0.09


def test_an_answer_lies_in_its_interval_and_no_duration_is_negative() -> None:
    """Also where the model is always too short, or errors are as large as the answer."""
    low, high = fit(LONG, LONG * 3).around(LONG)
    assert (low <= LONG.astype(np.float32)).all()
    assert (high > LONG).all()
    low, _ = fit(LONG, truths(LONG, 1) * 0.01).around(LONG)
    assert low.min() == 0.0


def test_where_truths_may_be_negative_so_may_intervals() -> None:
    """A temperature has no floor."""
    low, _ = fit(LONG - 1000, truths(LONG, 1) - 1000).around(LONG - 1000)
    assert low.min() < 0


def test_a_model_that_always_says_the_same_gets_one_bin() -> None:
    """There is nothing to tell its answers apart by."""
    answers, truth = np.full(1000, 500.0), np.arange(1000.0)
    band = fit(answers, truth)
    assert len(band.edges) == 0
    assert band.coverage(answers, truth) == pytest.approx(COVERAGE, abs=0.01)


def test_the_same_rows_are_split_alike_and_each_is_in_one_half() -> None:
    """A step that runs again makes the same interval."""
    first, second = halves(101)
    assert sorted([*first, *second]) == list(range(101))
    assert [each.tolist() for each in halves(101)] == [first.tolist(), second.tolist()]


@pytest.mark.parametrize("answers", [np.ones(19), np.full(100, np.nan)])
def test_too_few_rows_or_answers_that_are_no_numbers_make_no_interval(answers: np.ndarray) -> None:
    """The message says what is needed."""
    with pytest.raises(DataError, match="an interval needs 20 finite answers"):
        fit(answers, np.ones(len(answers)))
