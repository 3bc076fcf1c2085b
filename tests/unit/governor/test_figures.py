"""Figures of drift: only what Prometheus reads as metrics of drift, of one use case, is kept; several are one page."""

from __future__ import annotations

import pytest

from components.monitor import prometheus
from tests.unit.drift.conftest import MONDAY, reference_of, world
from tiphys.watch.drift.sketch import DAY
from tiphys.watch.drift.watch import State, look
from tiphys.watch.governor.figures import together, use_case_of
from tiphys.watch.governor.receive import RefusedError

pytestmark = pytest.mark.unit

REFERENCE = reference_of(world(MONDAY, 28, 1))
LOOK = look(REFERENCE, world(MONDAY + 28 * DAY, 7, 2), State.new(REFERENCE))
HEAD = "# TYPE tiphys_drift_rows gauge\n"


def text(use_case: str) -> str:
    """What monitor writes."""
    return prometheus.text(LOOK, {"use_case": use_case, "model_version": "models:/city/1"}, 1.0, 2.0)


def test_what_monitor_writes_is_taken_as_its_use_case_s() -> None:
    """Every line of it."""
    assert use_case_of(text("tests.usecases.tiny").encode()) == "tests.usecases.tiny"


def test_several_use_cases_are_one_page_with_each_head_once() -> None:
    """No sample is lost, and those of a metric stand together, as the format wants it."""
    lines = together([text("city"), text("town")]).splitlines()
    heads = [line for line in lines if line.startswith("# ")]
    assert len(heads) == len(set(heads))
    samples = [line for line in lines if not line.startswith("# ")]
    assert set(samples) == {line for each in ("city", "town") for line in text(each).splitlines() if line[0] != "#"}
    names = [line.partition("{")[0] for line in samples]
    assert names == sorted(names)
    assert together([]) == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (HEAD + "tiphys_drift_rows 1\n", "line 2 is no sample"),
        (HEAD + 'tiphys_drift_rows{slice="a"} 1\n', "line 2 is no sample"),
        ('up{use_case="city"} 1\n', "line 1 is no sample"),
        ('tiphys_drift_rows{use_case="city"} 1 1700000000\n', "line 1 is no sample"),
        ('tiphys_drift_rows{use_case="city"} NaN\n', "line 1 is no sample"),
        ('tiphys_drift_rows{use_case="city",slice="a\x1b[2J"} 1\n', "line 1 is no sample"),
        ('tiphys_drift_rows{slice="x,use_case=city"} 1\n', "line 1 is no sample"),
        ('tiphys_drift_rows{use_case="city"} 1\ntiphys_drift_rows{use_case="town"} 1\n', "these are of 2"),
        ("", "these are of 0"),
        ("\xff", "not UTF-8"),
    ],
)
def test_anything_else_is_refused(body: str, reason: str) -> None:
    """Metrics of others, samples of nobody, and what a page or a terminal would obey."""
    with pytest.raises(RefusedError, match=reason):
        use_case_of(body.encode("latin-1"))
