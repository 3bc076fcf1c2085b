"""How many rows a month of a version must have."""

from __future__ import annotations

from typing import Any, cast

import pytest

from components.check_data import checks
from tests.usecases.tiny.data import DATA
from tiphys.lake.dataset import Dataset, Part, Ref

pytestmark = pytest.mark.unit


def version(**rows: int) -> Dataset:
    """A version of so many rows a month."""
    months = {name.replace("m", "2024-"): count for name, count in rows.items()}
    parts = tuple(Part("", month, count) for month, count in months.items())
    return Dataset(Ref("tiny", "boilings", "v-1"), dict.fromkeys(months, "d"), parts, {}, cast("Any", None))


def refused(made: Dataset, *, live: bool) -> list[str]:
    """The months that have too few rows."""
    begun = checks._begun(made, DATA) if live else set()
    none = version(m01=0)
    return [each.name for each in checks._months(made, none, DATA, begun) if not each.passed]


def test_months_that_live_rows_only_began_may_be_short() -> None:
    """At the end of the version; one in its middle is a hole, and one without a row is none."""
    made = version(m01=500, m02=20, m03=500, m04=30, m05=4)
    assert refused(made, live=True) == ["rows of 2024-02"]
    assert refused(made, live=False) == ["rows of 2024-02", "rows of 2024-04", "rows of 2024-05"]


def test_a_version_of_short_months_alone_is_refused() -> None:
    """Nothing has begun where nothing was whole."""
    assert refused(version(m01=50, m02=20), live=True) == ["rows of 2024-01", "rows of 2024-02"]
