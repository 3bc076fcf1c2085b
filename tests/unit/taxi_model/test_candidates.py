"""LightGBM and the status quo in the form that is served: they answer as the baselines that they are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.export.interval import Band
from components.export.onnx_export import ask_onnx, ask_torch, parity, to_onnx
from tests.unit.taxi_model.test_model import rides
from tiphys import model_files
from tiphys.errors import DataError
from tiphys.usecase import UseCase

pytestmark = [pytest.mark.unit, pytest.mark.xdist_group("lightgbm"), pytest.mark.usefixtures("one_thread")]


TAXI = UseCase("taxi_eta")
BAND = Band(np.array([600.0], np.float32), np.array([-60, -200], np.float32), np.array([50, 300], np.float32), 0.0)


@pytest.fixture(scope="module", params=["lightgbm", "status_quo"])
def made(request: pytest.FixtureRequest) -> tuple[str, torch.nn.Module]:
    """A candidate, fitted."""
    return request.param, TAXI.candidates[request.param].fit(rides(700, 1)).eval()


def test_it_answers_as_its_baseline(made: tuple[str, torch.nn.Module]) -> None:
    """But for a rounding, which may lead a row to another leaf."""
    name, module = made
    asked = rides(500, 2)
    expected = TAXI.part("baselines").BASELINES[name](rides(700, 1))(asked.features)
    found = ask_torch(module, TAXI, asked.features)
    assert np.isclose(found, expected, rtol=1e-4).mean() > 0.98


def test_it_is_kept_as_safetensors_and_exported_like_the_network(made: tuple[str, torch.nn.Module]) -> None:
    """Loaded by what its header says it is, it answers alike as ONNX, interval included."""
    name, module = made
    content = model_files.dump(module, {model_files.KIND: name})
    again = model_files.load_model(TAXI, content)
    asked = rides(500, 3).features
    answers = ask_torch(again, TAXI, asked)
    np.testing.assert_array_equal(answers, ask_torch(module, TAXI, asked))
    assert parity(answers, ask_onnx(to_onnx(again, TAXI, BAND), TAXI, asked), BAND).worst < 1e-4


def test_weights_of_a_kind_that_there_is_not_are_refused() -> None:
    """By its name."""
    content = model_files.dump(torch.nn.Linear(1, 1), {model_files.KIND: "oracle"})
    with pytest.raises(DataError, match="'oracle'"):
        model_files.load_model(TAXI, content)
