"""The use case's own time: what nearly all of the newest questions are about, read from any tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.monitor import rows
from tiphys.errors import DataError

pytestmark = pytest.mark.unit

HOUR, DAY = 3600.0, 86_400.0
NOW = 1_550_000_000.0 // HOUR * HOUR


def reader(at: Any, moment: Any) -> rows.Read:
    """The table of answers, read as the lake's."""

    def read(_use_case: str, table: str, *, since: float | None = None, clock: str = "moment", **_: Any) -> pa.Table:
        assert table == "predictions"
        chosen = np.ones(len(at), bool) if since is None else {"at": at, "moment": moment}[clock] >= since
        return pa.table({name: micros(values[chosen]) for name, values in (("at", at), ("moment", moment))})

    return read


def micros(seconds: Any) -> Any:
    """Seconds since 1970 as a column of the table."""
    return pa.array(np.round(seconds * 1e6).astype(np.int64)).cast(pa.timestamp("us"))


def test_a_clock_that_jumped_ahead_ends_no_window() -> None:
    """One question in a hundred is about next year; time is still that of the others."""
    at = NOW - np.arange(1000.0)
    moment = np.where(np.arange(1000) % 100 == 0, at + 365 * DAY, at)
    assert rows.own_now("taxi_eta", read=reader(at, moment), wall=NOW) == NOW


def test_only_the_newest_questions_tell_the_time() -> None:
    """A year of older answers does not hold it back, and where nobody asked of late the last who did tell it."""
    late, early = NOW - 60 * np.arange(1000.0), NOW - 300 * DAY - 60 * np.arange(5000.0)
    at = np.concatenate([early, late])
    assert NOW - HOUR < rows.own_now("taxi_eta", read=reader(at, at), wall=NOW) <= NOW
    told = rows.own_now("taxi_eta", read=reader(early, early), wall=NOW)
    assert NOW - 300 * DAY - 4 * HOUR < told <= NOW - 300 * DAY


def test_nothing_is_watched_before_somebody_asks() -> None:
    """An empty table is refused by the name of the use case."""
    nobody = np.zeros(0)
    with pytest.raises(DataError, match="taxi_eta"):
        rows.own_now("taxi_eta", read=reader(nobody, nobody), wall=NOW)
