"""Seconds by litre, and a table of every degree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.usecases.tiny.baselines import status_quo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array, Baseline, Examples, Predictor

DEGREES = 100


def paces(history: Examples) -> Array:
    """Seconds by litre of water at 0..99 degrees, float32 [100]: what physics says, as fast as this kettle was."""
    cold = DEGREES - np.arange(DEGREES)
    speed = np.median(history.target / history.features["litres"] / cold[history.features["celsius"]])
    return (speed * cold).astype(np.float32)


def table(history: Examples) -> Predictor:
    """Look the degree up."""
    pace = paces(history)

    def predict(features: Mapping[str, Array]) -> Array:
        return (pace[features["celsius"]] * features["litres"]).astype(np.float32)

    return predict


BASELINES: dict[str, Baseline] = {"status_quo": status_quo, "table": table}
