"""Intervals that may be looked at after every value: how often they are wrong, and how soon they know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tiphys.watch.confidence import BoundedMean, asymptotic, log_wealth

pytestmark = pytest.mark.unit
Floats = npt.NDArray[np.float64]
LOOKS = 500
ALPHA = 0.05


def coins(chance: float, runs: int) -> Floats:
    """Ones with that chance, runs x LOOKS."""
    return (np.random.default_rng(1).random((runs, LOOKS)) < chance).astype(float)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("chance", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_a_true_mean_is_refuted_in_fewer_runs_than_alpha_though_looked_at_each_time(
    alpha: float, chance: float, edge: float, often: Callable[[int], int]
) -> None:
    """Among 2,000 runs with a look after each of 500 values; the share's own chance adds three of its deviations."""
    runs = often(2000)
    wealth = log_wealth(coins(chance, runs), chance, edge)
    alarms = (wealth.max(axis=1) >= np.log(1 / alpha)).mean()
    assert alarms <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)


def test_a_test_that_is_repeated_at_each_look_would_be_wrong_far_more_often() -> None:
    """The usual test at 5 %, looked at after each value: what the method is for."""
    values = coins(0.3, 500)
    count = np.arange(1, LOOKS + 1)
    score = (np.cumsum(values, axis=1) / count - 0.3) / np.sqrt(0.3 * 0.7 / count)
    assert (np.abs(score[:, 20:]) >= 1.96).any(axis=1).mean() > 4 * ALPHA


def test_the_interval_holds_the_truth_whatever_it_is_fed_by(often: Callable[[int], int]) -> None:
    """Few, many, one by one or in bits: the same values give an interval that holds their mean's source."""
    rng = np.random.default_rng(2)
    misses, runs = 0, often(200)
    for _ in range(runs):
        known = BoundedMean(-1.0, 1.0, alpha_low=ALPHA / 2, alpha_high=ALPHA / 2)
        values = np.clip(rng.normal(0.1, 0.3, 300), -1, 1)
        for at in range(0, 300, 25):
            known.add(values[at : at + 25])
        assert -1 <= known.low <= known.high <= 1
        misses += not known.low <= 0.1 <= known.high
    assert misses / runs <= ALPHA


def test_it_narrows_with_the_variance() -> None:
    """What hardly varies is known sooner, and hundreds of values tell a mean to a tenth of the range."""
    rng = np.random.default_rng(3)
    widths = []
    for deviation in (0.05, 0.4):
        known = BoundedMean(-1.0, 1.0, alpha_low=0.01, alpha_high=0.01)
        known.add(rng.normal(0.0, deviation, 400))
        widths.append(known.high - known.low)
    assert widths[0] < widths[1] < 0.25


def test_gross_faults_are_known_within_a_dozen_values() -> None:
    """All of them fail: no hundred answers are needed to say so."""
    known = BoundedMean(-1.0, 1.0, alpha_low=0.01, alpha_high=0.05, at=[0.02])
    known.add([1.0] * 12)
    assert known.low >= 0.02


def test_values_beyond_their_bounds_count_as_the_bound() -> None:
    """One wild value neither breaks the arithmetic nor decides alone."""
    known = BoundedMean(0.0, 1.0, alpha_low=0.01, alpha_high=0.01)
    known.add([1e300, -1e300, 0.5])
    assert known.interval.mean == pytest.approx(0.5)
    assert known.low < 0.05
    assert known.high > 0.95


def test_nothing_known_is_said_as_such() -> None:
    """No values, no mean, the whole range."""
    known = BoundedMean(0.0, 2.0, alpha_low=0.01, alpha_high=0.01).interval
    assert np.isnan(known.mean)
    assert (known.count, known.low, known.high) == (0, 0.0, 2.0)


def test_sums_alone_give_an_interval_that_holds_at_all_looks() -> None:
    """The asymptotic sequence, looked at from 50 values on."""
    values = np.random.default_rng(4).normal(0.1, 0.5, (400, LOOKS))
    sums, squares = np.cumsum(values, axis=1), np.cumsum(values**2, axis=1)
    missed = 0
    for run in range(400):
        known = [asymptotic(at + 1, sums[run, at], squares[run, at], ALPHA) for at in range(50, LOOKS, 10)]
        missed += any(not each.low <= 0.1 <= each.high for each in known)
    assert missed / 400 <= ALPHA
    assert asymptotic(1, 2.0, 4.0, ALPHA).high == np.inf
