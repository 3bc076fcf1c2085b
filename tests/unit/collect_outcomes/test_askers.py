"""An asker whose outcomes are unlike everybody else's is found; a world that changes for all is not."""

from __future__ import annotations

import numpy as np
import pytest

from components.collect_outcomes.askers import ENOUGH, unlike_others

pytestmark = pytest.mark.unit


def found(**errors: tuple[float, int]) -> set[str]:
    """Who is doubtful, of askers with (mean error, rows); the operator's own is called ``auditor``."""
    chance = np.random.default_rng(1)
    asker = np.array([name for name, (_, rows) in errors.items() for _ in range(rows)], dtype=object)
    error = np.concatenate([chance.normal(mean, 0.25, rows) for mean, rows in errors.values()])
    return set(unlike_others(asker, error, asker == "auditor"))


def test_an_asker_that_is_far_from_the_operators_own_meters_is_doubtful() -> None:
    """Minutes for seconds, or a flood of triple durations; even if that is most of all rows."""
    assert found(a=(0.0, 200), b=(-0.98, 200), auditor=(0.0, 50)) == {"b"}
    assert found(a=(0.0, 200), b=(2.0, 5000), auditor=(0.0, 50)) == {"b"}


def test_without_the_operators_meters_others_are_the_measure() -> None:
    """Of two that contradict each other nobody knows who lies."""
    assert found(a=(0.0, 200), c=(0.1, 200), b=(2.0, 200)) == {"b"}
    assert found(a=(0.0, 200), b=(2.0, 200)) == set()


def test_a_change_of_the_world_is_no_lie() -> None:
    """All rides take a quarter, or twice as long again."""
    assert found(a=(0.25, 200), b=(0.3, 200), auditor=(0.25, 50)) == set()
    assert found(a=(2.0, 200), b=(2.1, 200), c=(1.9, 200)) == set()


def test_a_few_rows_say_nothing() -> None:
    """About an asker, or about the others."""
    assert found(a=(0.0, 200), b=(2.0, ENOUGH - 1), auditor=(0.0, 50)) == set()
    assert found(b=(2.0, 200), auditor=(0.0, ENOUGH - 1)) == set()
