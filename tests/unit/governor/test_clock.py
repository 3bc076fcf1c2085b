"""The governor's clock: fast if wanted, never back, and its own over a restart."""

from __future__ import annotations

import pytest

from tiphys.watch.governor.clock import Clock, Mark, resumed

pytestmark = pytest.mark.unit


def test_a_clock_that_was_never_fast_is_the_walls() -> None:
    """And goes on after a restart."""
    first = resumed(None, 0.0, 1000.0, 1.0)
    assert first == Mark(1000.0, 1000.0, 1.0)
    assert resumed(first, 1500.0, 2000.0, 1.0).own == 2000.0


def test_it_runs_so_many_times_faster() -> None:
    """A minute in a second; and seconds of the wall are told for its own."""
    steady = iter([0.0, 2.0, 2.0, 2.0]).__next__
    clock = Clock(Mark(1000.0, 1000.0, 60.0), steady)
    assert clock.now() == 1120.0
    assert clock.wall_seconds(1180.0) == 1.0
    assert clock.wall_seconds(0.0) == 0.0


def test_after_a_rehearsal_it_stays_ahead() -> None:
    """What was started by the fast clock is not in the future."""
    fast = Mark(1000.0, 1000.0, 3600.0)
    assert resumed(fast, 0.0, 1100.0, 1.0) == Mark(361_000.0, 1100.0, 1.0)


def test_a_wall_clock_that_was_set_back_stops_it_for_no_longer_than_it_was_down() -> None:
    """It goes on from the last time that was written down."""
    assert resumed(Mark(1000.0, 1000.0, 1.0), 1700.0, 50.0, 1.0).own == 1700.0
