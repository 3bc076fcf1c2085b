"""What bench/drift.py looks at: real rides, what a model that did not see them answered, and how far off that was.

Answers for 2018 are made month by month by a model of the other eleven; those for 2019 by one of all 2018. The model is
LightGBM of ``usecases/taxi_eta/baselines.py`` with fewer trees. Its interval is the middle 80 % of the other months' log ratios
in the same tenth of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as gbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from tiphys.usecase import Examples
from usecases.taxi_eta import baselines
from usecases.taxi_eta.features import examples

Array = npt.NDArray[Any]

_TREES = 250
_TENTHS = 10
DAY = 86_400


@dataclass(frozen=True)
class World:
    """Rides in order of their moment, with answers."""

    rows: Examples
    value: Array
    low: Array
    high: Array

    @property
    def moment(self) -> Array:
        """Seconds since 1970."""
        return self.rows.features["pickup_time"].astype(np.float64)

    @property
    def day(self) -> Array:
        """Days since 1970."""
        return self.rows.features["pickup_time"] // DAY

    def where(self, mask: Array) -> World:
        """Some of the rows (mask or row numbers)."""
        return World(self.rows.where(mask), self.value[mask], self.low[mask], self.high[mask])


def load(folder: Path, kept: Path) -> tuple[World, World]:
    """Return 2018 and 2019; ``kept`` is where answers are kept between runs."""
    first, second = (_year(folder, year) for year in ("2018", "2019"))
    where = kept / f"answers-{_TREES}.npz"
    if where.exists():
        held = np.load(where)
        values = held["first"], held["second"]
    else:
        values = _left_out(first), predictor(first)(second.features)
        kept.mkdir(parents=True, exist_ok=True)
        np.savez(where, first=values[0], second=values[1])
    years = []
    for rows, value in zip((first, second), values, strict=True):
        low, high = _interval(first, values[0], rows, value)
        years.append(World(rows, value, low, high))
    return years[0], years[1]


def predictor(history: Examples) -> Any:
    """LightGBM as the use case's baseline, with fewer trees at a larger step: a tenth of the time."""
    made = baselines._out_of_fold(history)  # noqa: SLF001 - the very same columns
    columns = baselines._Columns(history)  # noqa: SLF001
    options = {"objective": "l1", "learning_rate": 0.1, "num_leaves": 63, "min_data_in_leaf": 40, "num_threads": 1}
    booster = gbm.train({**options, "verbosity": -1, "seed": 1}, gbm.Dataset(made, history.target), _TREES)
    return lambda features: booster.predict(columns(features), num_threads=1).astype(np.float32)


def _left_out(rows: Examples) -> Array:
    value = np.empty(len(rows), np.float32)
    for month in np.unique(rows.month):
        there = rows.month == month
        value[there] = predictor(rows.where(~there))(rows.where(there).features)
    return value


def _interval(past: Examples, past_value: Array, rows: Examples, value: Array) -> tuple[Array, Array]:
    ratio = np.log(past.target / past_value)
    edges = np.quantile(past_value, np.linspace(0, 1, _TENTHS + 1)[1:-1])
    past_tenth, tenth = np.searchsorted(edges, past_value), np.searchsorted(edges, value)
    low, high = np.empty_like(value), np.empty_like(value)
    for number in range(_TENTHS):
        ends = np.exp(np.quantile(ratio[past_tenth == number], (0.1, 0.9)))
        there = tenth == number
        low[there], high[there] = value[there] * ends[0], value[there] * ends[1]
    del rows
    return low, high


def _year(folder: Path, year: str) -> Examples:
    files = sorted(folder.glob(f"*_{year}-*.csv.gz"))
    rows = examples(pa.concat_tables([_clean(each) for each in files]))
    return rows.where(np.argsort(rows.features["pickup_time"], kind="stable"))


def _clean(file: Path) -> pa.Table:
    table = pacsv.read_csv(file)
    seconds = pc.subtract(
        pc.cast(pc.cast(table["dropoff_datetime"], pa.timestamp("s")), pa.int64()),
        pc.cast(pc.cast(table["pickup_datetime"], pa.timestamp("s")), pa.int64()),
    )
    table = table.append_column("duration_s", seconds)
    took, miles = np.asarray(seconds), np.asarray(table["trip_distance"])
    start, end = np.asarray(table["pickup_location_id"]), np.asarray(table["dropoff_location_id"])
    good = (took >= 60) & (took <= 10_800) & (miles > 0) & (miles <= 100) & (miles / took * 3600 < 80)  # noqa: PLR2004
    good &= (start >= 1) & (start <= 263) & (end >= 1) & (end <= 263)  # noqa: PLR2004
    month = file.name.partition("_")[2].partition("_")[2][:7]
    good &= np.asarray(table["pickup_datetime"]).astype("datetime64[M]") == np.datetime64(month)
    return table.filter(pa.array(good))


def weeks_of(day: Array) -> Sequence[Array]:
    """Row numbers of each whole week, Monday to Sunday, in order."""
    week = (day + 3) // 7
    full = [each for each in np.unique(week) if len(np.unique(day[week == each])) == 7]  # noqa: PLR2004
    return [np.flatnonzero(week == each) for each in full]


def drawn(weeks: Sequence[Array], count: int, chance: np.random.Generator) -> list[int]:
    """Numbers of the weeks of a stable stretch: drawn with replacement, in blocks of one week."""
    return [int(each) for each in chance.integers(0, len(weeks), count)]


def columns(features: Mapping[str, Array]) -> Mapping[str, Array]:
    """Nothing is changed: kept for scenarios that do."""
    return features
