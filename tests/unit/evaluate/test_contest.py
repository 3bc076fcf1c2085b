"""Who is registered where more than the network could be."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from components.evaluate import contest
from components.evaluate.asking import Answers
from components.evaluate.measure import Measured, _figures
from components.evaluate.rows import Rows
from tests.usecases.tiny.gates import GATES
from tiphys.usecase import Examples, UseCase

pytestmark = pytest.mark.unit

TINY = UseCase("tests.usecases.tiny")


def measured(errors: dict[str, float], served: tuple[str, ...] = ("status_quo", "lightgbm")) -> Measured:
    """A hundred kettles to which everybody answers wrongly by so many seconds, on the newest rows and on the holdout."""
    truth = np.linspace(100, 300, 100).astype(np.float32)
    features = {"litres": truth / 200, "celsius": np.full(100, 10)}
    test = Examples(features, truth, np.full(100, 24291, np.int32))
    answers = {name: truth + error for name, error in errors.items()}
    model = answers.pop("network")
    modules = {name: cast("Any", None) for name in served if name in errors}
    told = Answers(model, answers, {"model": model, **answers}, modules)
    rows = Rows(test, test, "now", newest=True, holdout=test)
    return Measured(TINY, rows, told, _figures(TINY, rows, told))


@pytest.mark.parametrize(
    ("errors", "name", "verdict"),
    [
        ({"network": 5, "lightgbm": 8, "status_quo": 30, "champion": 20}, "network", "passed"),
        ({"network": 9, "lightgbm": 8, "status_quo": 30, "champion": 20}, "lightgbm", "passed"),
        ({"network": 40, "lightgbm": 28, "status_quo": 30, "champion": 20}, "network", "missed"),
        ({"network": 90, "lightgbm": 90, "status_quo": 30, "champion": 50}, "status_quo", "passed"),
        ({"network": 90, "lightgbm": 90, "status_quo": 30, "champion": 20}, "network", "missed"),
    ],
)
def test_the_best_that_passes_every_gate_is_chosen(errors: dict[str, float], name: str, verdict: str) -> None:
    """Whatever kind it is; the status quo is not asked to be better than itself, but it has to beat the champion."""
    contenders = contest.hold(GATES, measured(errors))
    chosen = contest.best(contenders)
    assert chosen.name == name
    assert chosen.verdict.startswith(verdict)


def test_the_losers_are_named_with_their_errors_and_why() -> None:
    """For the passport."""
    contenders = contest.hold(GATES, measured({"network": 5, "lightgbm": 8, "status_quo": 30, "champion": 20}))
    told = {each["name"]: each for each in contest.told(contenders, contest.best(contenders))}
    assert told["network"]["outcome"] == "registered"
    assert told["lightgbm"]["outcome"] == "passed, but network is better"
    assert told["status_quo"]["outcome"].startswith("missed: newest.mae")
    assert told["status_quo"]["holdout_mae"] == pytest.approx(30, rel=1e-3)


def test_without_a_champion_the_network_stands_alone() -> None:
    """As it always did; there is nothing more to tell."""
    contenders = contest.hold(GATES, measured({"network": 5, "status_quo": 30}, served=()))
    assert [each.name for each in contenders] == ["network"]
    assert contest.told(contenders, contest.best(contenders)) == []


def test_what_may_be_served_instead_of_the_best_comes_after_it() -> None:
    """By error; what missed a gate is not among them."""
    errors = {"network": 9, "lightgbm": 8, "status_quo": 30, "champion": 20}
    assert [each.name for each in contest.passing(contest.hold(GATES, measured(errors)))] == ["lightgbm", "network"]
