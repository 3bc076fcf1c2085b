"""The test that goes on from day to day keeps its promise where its model holds, and sees what it is made for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tiphys.watch.drift.ledger import HOURS, Ledger
from tiphys.watch.drift.residuals import FIELDS, Group, Residuals, Rows
from tiphys.watch.drift.sequential import gains, limit_of, run, tracks
from tiphys.watch.drift.sketch import STRATA, Array
from tiphys.watch.drift.thresholds import CHOSEN

pytestmark = pytest.mark.unit

GROUP = Group(1000, 0.0, 0.25, 0.05, 0.2, 0.15, 0.03, 200.0, 0.8, 0.05)
RESIDUALS = Residuals(True, 1.0, 1.0, 1.0, np.zeros(STRATA), {"all": GROUP, "north": GROUP})  # noqa: FBT003 - errors are ratios


def sums(days: int, chance: np.random.Generator, shift: float = 0.0, a_day: int = 240) -> Array:
    """Days [days, 24, fields] of errors that the test's own model makes."""
    blocks = np.zeros((days, HOURS, len(FIELDS)))
    rows = a_day // HOURS
    errors = shift + chance.normal(0, GROUP.tau, (days, 1, 1)) + chance.normal(0, GROUP.sigma, (days, HOURS, rows))
    blocks[..., 0], blocks[..., 1] = rows, errors.sum(axis=2)
    blocks[..., 2] = (GROUP.spread + chance.normal(0, GROUP.spread_sigma, (days, HOURS, rows))).sum(axis=2)
    return blocks


def first_alarm(blocks: Array, way: str = "longer") -> float:
    """Day of the first alarm; infinite if there is none."""
    hourly = gains(blocks, GROUP, way, CHOSEN)[:, None]  # type: ignore[arg-type]
    hourly = np.minimum(hourly, CHOSEN.error_day)
    limit = limit_of("all", way, 1, CHOSEN)  # type: ignore[arg-type]
    _, peaks = run(hourly[..., -1], hourly.max(axis=2), np.array([limit]))
    found = np.flatnonzero(peaks[:, 0] >= limit)
    return float(found[0]) if len(found) else math.inf


@pytest.mark.parametrize("way", ["longer", "shorter"])
def test_false_alarms_are_as_rare_as_the_likelihood_ratio_promises(way: str) -> None:
    """A CUSUM of log likelihood ratios needs exp(limit) days at least, on average, to alarm of nothing (Lorden 1971)."""
    chance = np.random.default_rng(5)
    limit = limit_of("all", way, 1, CHOSEN)  # type: ignore[arg-type]
    days = 182 * 60
    hourly = gains(sums(days, chance), GROUP, way, CHOSEN)[:, None]  # type: ignore[arg-type]
    _, peaks = run(hourly[..., -1], hourly[..., -1], np.array([limit]))
    alarms = int((np.diff((peaks[:, 0] >= limit).astype(int)) == 1).sum())
    assert alarms <= 2 * days / math.exp(limit)


def test_a_fifth_longer_is_seen_within_three_days_and_either_way() -> None:
    """Half of the time sooner; a shift of the other sign is the other test's."""
    chance = np.random.default_rng(6)
    delays = [first_alarm(sums(30, chance, 0.2)) for _ in range(40)]
    assert np.median(delays) <= 2
    assert max(delays) < 30
    assert first_alarm(sums(30, chance, -0.3)) == math.inf
    assert first_alarm(sums(60, chance, -0.3), "shorter") < 30


def test_one_day_of_snow_is_no_new_world() -> None:
    """However large one day's errors are, that day alone raises no alarm of truths that fall short."""
    chance = np.random.default_rng(7)
    blocks = np.concatenate([sums(20, chance), sums(1, chance, -0.6), sums(20, chance)])
    assert first_alarm(blocks, "shorter") == math.inf


def test_more_rows_of_one_day_tell_less_and_less() -> None:
    """A day's own effect bounds what a day can prove: ten times the rows are not ten times the evidence."""
    one = np.zeros((HOURS, len(FIELDS)))
    one[:, 0], one[:, 1] = 10, 10 * 0.2
    few, many = (gains(one * times, GROUP, "longer", CHOSEN)[-1] for times in (1, 10))
    assert few < many < 2 * few
    assert many < 0.2**2 / 2 / GROUP.tau**2


def test_slices_need_more_evidence_than_all_rows_and_more_the_more_there_are() -> None:
    """The rate of false alarms is split over the slices."""
    limits = [limit_of("north", "longer", groups, CHOSEN) for groups in (2, 3, 20)]
    assert limit_of("all", "longer", 20, CHOSEN) < limits[0] < limits[1] < limits[2]
    assert limits[2] - limits[0] == pytest.approx(math.log(19))


def test_evidence_is_kept_between_looks_and_forgotten_after_recovery() -> None:
    """The ledger is the state; the alarm ends when the errors are as before."""
    chance = np.random.default_rng(8)
    blocks = np.concatenate([sums(10, chance), sums(10, chance, 0.25), sums(30, chance)])
    ledger = Ledger(("all", "north"), FIELDS, {100 + at: np.stack([each, each]) for at, each in enumerate(blocks)})
    until = {
        day: tracks(replace(ledger, days={k: v for k, v in ledger.days.items() if k <= day}), RESIDUALS, CHOSEN)[0]
        for day in (109, 119, 149)
    }
    assert [until[day].alarms for day in (109, 119, 149)] == [False, True, False]
    assert until[119].since >= 105 * 86_400
    assert until[119].labelled >= 240
    assert until[119].level[-1] <= 2 * until[119].limit


def answered(days: int, spread: float, slower: float, seed: int) -> Rows:
    """Twenty truths a day that lie around answers of 100 s."""
    chance = np.random.default_rng(seed)
    moment = np.arange(20.0 * days) * 86_400 / 20
    value = np.full(len(moment), 100.0)
    actual = value * np.exp(slower + chance.normal(0.0, spread, len(moment)))
    return Rows(moment, value, value, value, actual, {"all": np.ones(len(moment), bool)})


@pytest.mark.parametrize("spread", [0.3, 0.02, 0.005])
def test_a_model_is_held_to_its_own_precision(spread: float) -> None:
    """Whether it errs by a third or by half a percent: 0.7 of that longer is seen, none is not."""
    reference = Residuals.fit(answered(60, spread, 0.0, 1))
    assert reference.unit == pytest.approx(min(1.0, max(spread / 0.3, 0.02)), rel=0.15)
    for slower, seen in ((0.0, False), (0.7 * spread, True)):
        (longer, *_) = tracks(reference.ledger(answered(21, spread, slower, 2)), reference, CHOSEN)
        assert (longer.direction, longer.alarms) == ("longer", seen), slower
    assert Residuals.from_dict(reference.as_dict()).unit == reference.unit


def test_no_day_is_no_evidence() -> None:
    """An empty ledger alarms of nothing, and says since never."""
    found = tracks(Ledger(("all", "north"), FIELDS), RESIDUALS, CHOSEN)
    assert not any(each.alarms for each in found)
    assert all(math.isnan(each.since) and each.labelled == 0 for each in found)
