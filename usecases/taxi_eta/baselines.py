"""What the model is compared with, from what riders are told today to a strong gradient-boosting model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from usecases.taxi_eta import lookups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array, Baseline, Examples, Predictor

_PAIR_PRIOR = 1.0
_CLOCK_PRIOR = 5.0
_FOLDS = 5
_TREES = 600
_THREADS = 1


def status_quo(history: Examples) -> Predictor:
    """Median of zone pair and hour, else of the pair, else of the hour."""
    table = lookups.status_quo(history)

    def predict(features: Mapping[str, Array]) -> Array:
        pair = lookups.pair_of(features["pickup_zone"], features["dropoff_zone"])
        answer: Array = table[pair, lookups.hour_of(features["pickup_time"])]
        return answer

    return predict


@dataclass(frozen=True)
class Effects:
    """Log duration as a level, a pair's part [pairs] and a part of the hour of the week [168]; float64."""

    level: float
    pair: Array
    week_hour: Array


def effects(history: Examples) -> Effects:
    """Mean log duration of each pair, shrunk to the mean of all, and an offset by weekday and hour."""
    logs = np.log(history.target.astype(np.float64))
    weight = history.weight
    level = float(np.average(logs, weights=weight))
    pair_of_row = lookups.pair_of(history.features["pickup_zone"], history.features["dropoff_zone"])
    pair = lookups.shrunk(pair_of_row, lookups.PAIRS, logs - level, _PAIR_PRIOR, weight)
    hour_of_row = lookups.week_hour_of(history.features["pickup_time"])
    rest = logs - level - pair[pair_of_row]
    return Effects(level, pair, lookups.shrunk(hour_of_row, lookups.WEEK_HOURS, rest, _CLOCK_PRIOR, weight))


def strong_lookup(history: Examples) -> Predictor:
    """Mean log duration of the pair, shrunk to the mean of all, plus an offset by weekday and hour."""
    found = effects(history)

    def predict(features: Mapping[str, Array]) -> Array:
        row = lookups.pair_of(features["pickup_zone"], features["dropoff_zone"])
        total = found.level + found.pair[row] + found.week_hour[lookups.week_hour_of(features["pickup_time"])]
        answer: Array = np.exp(total).astype(np.float32)
        return answer

    return predict


def miles(history: Examples) -> Array:
    """Median miles of each pair, NaN where nobody rode it: [pairs]."""
    pair = lookups.pair_of(history.features["pickup_zone"], history.features["dropoff_zone"])
    return lookups.medians(pair, lookups.PAIRS, history.hindsight["miles"], history.weight)


def boosted(history: Examples) -> Any:
    """Train LightGBM: 600 trees on absolute error; the columns are those of :class:`_Columns`, out-of-fold."""
    import lightgbm as gbm  # noqa: PLC0415 - two seconds that only evaluate pays

    rows = _out_of_fold(history)
    return gbm.train(
        {
            "objective": "l1",
            "learning_rate": 0.05,
            "num_leaves": 63,
            "min_data_in_leaf": 40,
            "num_threads": _THREADS,
            "verbosity": -1,
            "seed": 1,
        },
        gbm.Dataset(rows, history.target, weight=history.weight, free_raw_data=True),
        num_boost_round=_TREES,
    )


def lightgbm(history: Examples) -> Predictor:
    """600 trees on absolute error: a rider's question, both lookups and the pair's past median miles, out-of-fold."""
    booster = boosted(history)
    columns = _Columns(history)

    def predict(features: Mapping[str, Array]) -> Array:
        answer: Array = booster.predict(columns(features), num_threads=_THREADS).astype(np.float32)
        return answer

    return predict


BASELINES: dict[str, Baseline] = {"status_quo": status_quo, "strong_lookup": strong_lookup, "lightgbm": lightgbm}
YARDSTICK = "strong_lookup"


class _Columns:
    """LightGBM's columns, looked up in some past rides."""

    def __init__(self, history: Examples) -> None:
        self._quo = status_quo(history)
        self._strong = strong_lookup(history)
        self._miles = miles(history)

    def __call__(self, features: Mapping[str, Array]) -> Array:
        """Return [rows, 9] float64."""
        pickup, dropoff, time = features["pickup_zone"], features["dropoff_zone"], features["pickup_time"]
        week_hour = lookups.week_hour_of(time)
        far = self._miles[lookups.pair_of(pickup, dropoff)]
        minute = (time // 60) % 1440
        answers = (self._quo(features), self._strong(features), far)
        return np.column_stack(
            [pickup, dropoff, week_hour // 24, week_hour % 24, minute, features["passengers"], *answers]
        )


def _out_of_fold(history: Examples) -> Array:
    fold = np.random.default_rng(0).integers(0, _FOLDS, len(history))
    parts = [
        _Columns(history.where(fold != number))(history.where(fold == number).features) for number in range(_FOLDS)
    ]
    rows: Array = np.empty((len(history), parts[0].shape[1]))
    for number, part in enumerate(parts):
        rows[fold == number] = part
    return rows
