"""Which rows a candidate is judged on: the test month or the newest ones, and trusted ones that no training sees."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.errors import DataError
from tiphys.lake import window as windows
from tiphys.lake.dataset import Dataset
from tiphys.lake.months import newest, span, within
from tiphys.lake.window import Window
from tiphys.usecase import Examples

if TYPE_CHECKING:
    import pyarrow as pa

    from tiphys.usecase import UseCase

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Which rows, and whom to compare with; texts as the contract of ``evaluate`` has them."""

    dataset: str
    window: str = ""
    champion: str = ""
    holdout: str = ""


@dataclass(frozen=True)
class Rows:
    """Past rows, and later ones to judge on."""

    past: Examples
    test: Examples
    span: str
    """Of what time the test rows are, for a person."""
    newest: bool = False
    """Whether the test rows are the newest since the world changed, rather than a month's."""
    holdout: Examples | None = None
    """Rows that the operator's own meters reported; None where nobody asked for them."""


def read(use_case: UseCase, asked: Asked) -> Rows:
    """Read all rows that a judgement needs.

    Raises:
        DataError: the dataset or the snapshot is not there, or too small.
    """
    window = Window.parse(asked.window)
    found = _by_months(use_case, asked.dataset) if window is None else _since(use_case, asked.dataset, window)
    log.info("%d past rows, %d test rows of %s", len(found.past), len(found.test), found.span)
    if not asked.holdout:
        return found
    holdout = trusted(use_case, _labelled(use_case, int(asked.holdout), window))
    log.info("%d rows in the trusted holdout", len(holdout))
    return Rows(found.past, found.test, found.span, found.newest, holdout)


def trusted(use_case: UseCase, labelled: pa.Table) -> Examples:
    """Turn the trusted ones of labelled answers, ``features``, ``moment``, ``actual`` and ``trusted``, into examples."""
    # An answer that waits for review is none to hold a candidate against either.
    plain = np.array([not each for each in labelled["doubtful"].to_pylist()], bool)
    chosen = plain & np.array([bool(each) for each in labelled["trusted"].to_pylist()], bool)
    rows = labelled.take(np.flatnonzero(chosen)).sort_by("moment")
    asked: Any = rows["features"].to_pylist()
    unknown = {} if use_case.recent is None else {use_case.recent.name: use_case.recent.fallback}
    columns = {
        each.name: np.array(
            [unknown.get(each.name) if row[each.name] is None else row[each.name] for row in asked], each.dtype
        )
        for each in use_case.features
    }
    month = rows["moment"].to_numpy().astype("datetime64[M]").astype(np.int32) + 1970 * 12
    return Examples(columns, rows["actual"].to_numpy().astype(np.float32), month)


def _by_months(use_case: UseCase, name: str) -> Rows:
    dataset = Dataset.open(name)
    rows = {month: rows for month, rows in dataset.months.items() if rows}
    test = newest(rows, use_case.data.min_rows_per_month)
    past = [month for month in rows if month not in test]
    if not past:
        message = f"dataset {name!r} has {len(rows)} months with rows: evaluation needs a past and a test month"
        raise DataError(message)
    examples = use_case.past(dataset.read(use_case.columns))
    last = within(examples.month, test)
    return Rows(examples.where(~last), examples.where(last), span(test))


def _since(use_case: UseCase, name: str, window: Window) -> Rows:
    cut = windows.cut(windows.read(use_case, Dataset.open(name), window.since), window.recent_from)
    past = windows.prepared(windows.together([cut.train, cut.validation]), window).rows
    ends = [np.datetime64(int(each), "s") for each in cut.test.moment[[0, -1]]]
    return Rows(past, cut.test.rows, f"{ends[0]}..{ends[1]}", newest=True)


def _labelled(use_case: UseCase, snapshot: int, window: Window | None) -> pa.Table:
    """Read labelled answers of a snapshot: since the world changed, where it did."""
    from tiphys.lake import live  # noqa: PLC0415 - only with live data

    columns = ("moment", "features", "actual", "trusted", "doubtful")
    since = None if window is None else window.begins
    return live.read(use_case.name, "labelled", since=since, columns=columns, snapshot=snapshot)
