"""LightGBM's trees as a torch module and as ONNX: both answer as LightGBM does."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch

from tiphys import trees

if TYPE_CHECKING:
    import lightgbm

pytestmark = [pytest.mark.unit, pytest.mark.xdist_group("lightgbm"), pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Four columns, one of them with holes."""
    chance = np.random.default_rng(1)
    found = chance.normal(size=(3000, 4)).astype(np.float32)
    found[:, 1] = chance.integers(0, 9, 3000)
    found[chance.random(3000) < 0.2, 2] = np.nan
    return found


@pytest.fixture(scope="module")
def booster(rows: np.ndarray) -> lightgbm.Booster:
    """Forty trees on something crooked."""
    import lightgbm  # noqa: PLC0415 - two seconds that only one worker pays

    target = np.where(np.isnan(rows[:, 2]), 5.0, rows[:, 2] ** 2) + rows[:, 0] * rows[:, 1]
    settings = {"objective": "l1", "num_leaves": 31, "verbosity": -1, "num_threads": 1, "seed": 1}
    return lightgbm.train(settings, lightgbm.Dataset(rows.astype(np.float64), target), num_boost_round=40)


@pytest.fixture(scope="module")
def grown(booster: lightgbm.Booster) -> trees.Trees:
    """The same as a module."""
    return trees.of_lightgbm(booster)


def edges(grown: trees.Trees, rows: np.ndarray) -> np.ndarray:
    """Rows that lie on thresholds, where rounding would show, and one that misses everything."""
    found = rows[:500].copy()
    chance = np.random.default_rng(2)
    inner = np.flatnonzero(grown.low.numpy() != np.arange(len(grown.low)))
    for row, node in zip(found, chance.choice(inner, len(found)), strict=True):
        row[grown.feature[node]] = grown.threshold[node]
    found[0] = np.nan
    return found


def test_the_module_answers_as_lightgbm(booster: lightgbm.Booster, grown: trees.Trees, rows: np.ndarray) -> None:
    """To the rounding of a float32, also where a value lies on a threshold or is missing."""
    asked = edges(grown, rows)
    expected = booster.predict(asked.astype(np.float64))
    np.testing.assert_allclose(grown(torch.from_numpy(asked)).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_onnx_runtime_answers_as_the_module_with_one_operator(grown: trees.Trees, rows: np.ndarray) -> None:
    """The whole walk is ONNX's own tree ensemble, whatever the number of rows."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            grown, (torch.zeros(2, 4),), stream, dynamo=False, opset_version=18, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "rows"}, "y": {0: "rows"}},
        )  # fmt: skip
    assert b"TreeEnsembleRegressor" in stream.getvalue()
    asked = edges(grown, rows)
    session = onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])
    found = session.run(["y"], {"x": asked})[0]
    np.testing.assert_allclose(found, grown(torch.from_numpy(asked)).numpy(), rtol=1e-5, atol=1e-5)


def test_trees_are_loaded_into_blank_ones(grown: trees.Trees, rows: np.ndarray) -> None:
    """From tensors alone."""
    state = grown.state_dict()
    again = trees.blank({name: tuple(each.shape) for name, each in state.items()})
    again.load_state_dict(state)
    asked = torch.from_numpy(rows[:500])
    np.testing.assert_array_equal(again(asked).numpy(), grown(asked).numpy())


def test_trees_that_ask_something_else_are_refused() -> None:
    """A category has no threshold."""
    import lightgbm  # noqa: PLC0415 - as above

    chance = np.random.default_rng(1)
    kinds = chance.integers(0, 5, (500, 1)).astype(np.float64)
    data = lightgbm.Dataset(kinds, (kinds[:, 0] % 2) + chance.normal(0, 0.01, 500), categorical_feature=[0])
    booster = lightgbm.train({"objective": "l2", "verbosity": -1, "num_threads": 1}, data, num_boost_round=2)
    with pytest.raises(ValueError, match="asks '=='"):
        trees.of_lightgbm(booster)
