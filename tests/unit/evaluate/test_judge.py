"""Figures, gates and the page."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.evaluate import figures, judge, svg
from tiphys.usecase import Gate

pytestmark = pytest.mark.unit

TRUTH = np.array([100.0, 200.0, 300.0, 400.0], np.float32)


def test_figures_of_known_answers() -> None:
    """Two exact answers, one 20 too long, one 200 too short."""
    found = figures.of_answers(np.array([100.0, 220.0, 300.0, 200.0]), TRUTH, close=30.0)
    assert found["mae"] == pytest.approx(55.0)
    assert found["bias"] == pytest.approx(-45.0)
    assert found["close_share"] == pytest.approx(0.75)
    assert found["wape"] == pytest.approx(0.22)
    assert found["bias_share"] == pytest.approx(0.18)


def test_a_slice_is_measured_on_its_own_rows_and_an_empty_one_has_no_error() -> None:
    """An error of no rows would be no number."""
    masks = {"long": TRUTH > 250, "none": TRUTH > 1000}
    found = figures.everything(TRUTH + 1, {"status_quo": TRUTH + 5}, TRUTH, 30.0, masks)
    assert (found["slice.long.rows"], found["slice.long.mae"], found["slice.long.status_quo_mae"]) == (2, 1, 5)
    assert found["slice.none.rows"] == 0
    assert "slice.none.mae" not in found


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        (Gate("mae", "<=", "quo.mae", "", factor=0.9), "passed"),
        (Gate("mae", "<=", "quo.mae", "", factor=0.5), "missed"),
        (Gate("share", ">=", 0.5, ""), "passed"),
        (Gate("share", ">=", 0.7, ""), "missed"),
        (Gate("unknown", "<=", 1.0, ""), "missed"),
        (Gate("mae", "<=", "unknown.mae", ""), "missed"),
        (Gate("nan", "<=", 1.0, ""), "missed"),
        (Gate("slice.big.mae", "<=", 1.0, ""), "missed"),
        (Gate("slice.small.mae", "<=", 1.0, ""), "not judged"),
        (Gate("slice.unknown.mae", "<=", 1.0, ""), "missed"),
    ],
)
def test_a_gate_holds_only_for_a_known_figure_within_its_limit(gate: Gate, outcome: str) -> None:
    """What was not measured is missed; a slice of a few rows is left to chance and not judged."""
    found = {
        "mae": 80.0, "quo.mae": 100.0, "share": 0.6, "nan": math.nan,
        "slice.big.rows": 500.0, "slice.big.mae": 9.0, "slice.small.rows": 3.0, "slice.small.mae": 9.0,
    }  # fmt: skip
    assert judge.judge([gate], found)[0].outcome == outcome


def test_the_verdict_names_each_missed_gate_with_its_figures_and_reason() -> None:
    """A person must see what was asked and what was there."""
    gates = [Gate("mae", "<=", "quo.mae", "riders wait", 0.5), Gate("mae", "<=", 90.0, "fine")]
    verdict = judge.verdict(judge.judge(gates, {"mae": 80.0, "quo.mae": 100.0}))
    assert verdict == "missed: mae = 80, asked <= 50 (0.5 x quo.mae): riders wait"


def test_a_plot_carries_names_as_text_and_never_as_markup() -> None:
    """A name from data cannot become part of the page."""
    assert "<b>" not in svg.bars([("<b>x</b>", 1.0)], "s", "y")


def test_plots_bear_predictions_that_are_all_alike() -> None:
    """A constant model still gets its page."""
    same = np.full(50, 7.0)
    assert "svg" in svg.heat(same, same, "s")
    assert "svg" in svg.histogram(same - same, same - same, "s")


AGAINST = Gate("holdout.mae", "<=", "holdout.champion_mae", "", needs=("holdout.rows", "champion.rows"))


@pytest.mark.parametrize(
    ("counts", "outcome", "lacks"),
    [
        ({"holdout.rows": 200.0, "champion.rows": 50.0}, "missed", ""),
        ({"holdout.rows": 12.0, "champion.rows": 50.0}, "not judged", "12 rows of trusted holdout"),
        ({"champion.rows": 50.0}, "not judged", "no trusted holdout"),
        ({}, "not judged", "no trusted holdout, no champion"),
    ],
)
def test_a_gate_about_rows_that_there_are_not_is_not_judged_and_says_so(
    counts: dict[str, float], outcome: str, lacks: str
) -> None:
    """Where they are there it counts as any other, and a figure that is missing then is missed."""
    found = judge.judge([AGAINST], {"holdout.mae": 11.0, "holdout.champion_mae": 10.0, **counts})
    assert (found[0].outcome, found[0].lacks) == (outcome, lacks)
    assert judge.unjudged(found) == (f"not judged: {lacks}" if lacks else "")
    assert ("lacks" in found[0].as_dict()) == bool(lacks)
    without = judge.judge([AGAINST], counts)[0]
    assert without.outcome == outcome


def test_errors_on_further_rows_stand_under_their_name() -> None:
    """Of the model and of everybody it is compared with; of no rows there is only the count."""
    found = figures.on("holdout", TRUTH + 2, {"champion": TRUTH - 3}, TRUTH)
    assert found == {"holdout.rows": 4.0, "holdout.mae": 2.0, "holdout.champion_mae": 3.0}
    assert figures.on("holdout", TRUTH[:0], {}, TRUTH[:0]) == {"holdout.rows": 0.0}
