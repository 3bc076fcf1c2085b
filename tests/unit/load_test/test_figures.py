"""What samples come to, and when the SLO holds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.load_test.figures import demands, percentile, summarise
from components.load_test.report import as_page
from tiphys.usecase import LoadProfile

pytestmark = pytest.mark.unit

PROFILE = LoadProfile(
    rate=10.0, seconds=10.0, users=1, p95_ms=50.0, max_error_share=0.0, reasons={"rate": "why"}, max_p99_ms=80.0
)


def missed(*latencies: float, seconds: float = 10.0, errors: int = 0) -> list[str]:
    """Names of what is missed by answers of those latencies and some errors."""
    rows = [(0.0, each, "") for each in latencies] + [(0.0, 1.0, "ConnectionError: gone")] * errors
    return [each.name for each in demands(summarise(seconds, rows), PROFILE) if not each.held]


def test_a_good_run_holds() -> None:
    """Enough answers, quick enough, none wrong."""
    assert missed(*[10.0] * 100) == []


def test_slow_answers_are_named() -> None:
    """Six of a hundred over the limit miss p95; two far over it miss p99 alone."""
    assert missed(*[10.0] * 94, *[51.0] * 6) == ["p95_ms"]
    assert missed(*[10.0] * 98, *[90.0] * 2) == ["max_p99_ms"]


def test_one_error_is_too_many() -> None:
    """It counts as asked, not as answered."""
    assert missed(*[10.0] * 100, errors=1) == ["max_error_share"]


def test_asking_less_than_wanted_proves_nothing() -> None:
    """A service that is slow to answer must not look good because it was asked less."""
    assert missed(*[10.0] * 90) == ["rate"]


def test_no_data_is_no_success() -> None:
    """Without a single answer everything is missed."""
    assert missed() == ["rate", "p95_ms", "max_error_share", "max_p99_ms"]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    """Nearest rank: at least that share is at most the percentile, and no smaller value has it."""
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    needed = math.ceil(share * len(ordered))
    assert sum(each <= found for each in ordered) >= needed
    assert sum(each < found for each in ordered) < needed


def test_the_report_shows_what_was_missed_and_why_it_was_asked() -> None:
    """A page that needs nothing else."""
    figures = summarise(10.0, [(0.5, 60.0, ""), (1.5, 70.0, "Oops: <b>")])
    page = as_page(figures, demands(figures, PROFILE), {"model": "models:/x/1"})
    assert "missed" in page
    assert "why" in page
    assert "&lt;b&gt;" in page
