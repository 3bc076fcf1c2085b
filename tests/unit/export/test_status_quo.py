"""The tables that the gateway answers from when no model does."""

from __future__ import annotations

import io
from unittest.mock import patch

import numpy as np
import pytest

from components.export.status_quo import fallback, pack
from tiphys.errors import DataError
from tiphys.usecase import Examples, UseCase
from usecases.taxi_eta import fallback as taxi
from usecases.taxi_eta.baselines import status_quo

pytestmark = pytest.mark.unit


def rides(rows: int, seed: int) -> Examples:
    """Made-up rides between a few zones."""
    chance = np.random.default_rng(seed)
    features = {
        "pickup_zone": chance.integers(1, 30, rows),
        "dropoff_zone": chance.integers(1, 30, rows),
        "pickup_time": chance.integers(1_500_000_000, 1_560_000_000, rows),
        "passengers": np.ones(rows, np.int64),
    }
    return Examples(features, chance.lognormal(6.5, 0.6, rows).astype(np.float32), np.full(rows, 24300, np.int32))


def arrays_in(content: bytes) -> dict[str, np.ndarray]:
    """Read as the gateway does."""
    with np.load(io.BytesIO(content), allow_pickle=False) as opened:
        return dict(opened)


def test_it_says_what_the_baseline_says() -> None:
    """Row by row the same numbers as the status quo that the model was judged against, seen pairs or not."""
    history, asked = rides(5000, 1), rides(300, 2)
    asked.features["pickup_zone"][:50] = 200
    expected = status_quo(history)(asked.features)
    arrays = taxi.fit(history)
    rows = [{name: values[at].item() for name, values in asked.features.items()} for at in range(len(asked))]
    assert [taxi.answer(arrays, row) for row in rows] == expected.tolist()


def test_the_file_has_the_tables_and_their_band_and_is_the_same_each_time() -> None:
    """Plain numbers under the names that the gateway knows; no clock in it."""
    history, latest = rides(5000, 1), rides(2000, 3)
    use_case = UseCase("taxi_eta")
    first = fallback(use_case, history, latest)
    with patch("time.time", return_value=4e9), patch("time.localtime", return_value=(2090, 1, 1, 0, 0, 0, 0, 0, 0)):
        second = fallback(use_case, history, latest)
    assert first is not None
    assert first == second
    found = arrays_in(first)
    assert sorted(found) == ["_edges", "_floor", "_high", "_low", "row", "seconds"]
    assert len(found["_low"]) == len(found["_high"]) == len(found["_edges"]) + 1
    assert len(first) < 3_000_000


def test_a_use_case_without_a_fallback_has_no_file() -> None:
    """It is optional."""
    assert fallback(UseCase("tests.usecases"), rides(100, 1), rides(100, 2)) is None


def test_tables_that_only_pickle_could_keep_are_refused() -> None:
    """The gateway would refuse to read them."""
    with pytest.raises(DataError, match="'names' holds Python objects"):
        pack({"names": np.array(["a", None], dtype=object)})
