"""Two models that answer as one in the real Triton, from a repository as our code writes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from tritonclient import http

from tests.usecases.pair.pieces import pieces
from tiphys.serving.repository import Repository, build_ensemble
from tiphys.serving.triton import TritonUser
from tiphys.stack.layout import Layout
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e

CHANCE = np.random.default_rng(3)
ROWS = {
    "litres": CHANCE.uniform(0.1, 3, (17, 1)).astype(np.float32),
    "celsius": CHANCE.integers(0, 100, (17, 1)).astype(np.int64),
}


def composed(rows: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """What the two models say one after the other, without Triton."""
    known = dict(rows)
    for piece in pieces():
        session = onnxruntime.InferenceSession(piece.onnx, providers=["CPUExecutionProvider"])
        answers = session.run(list(piece.outputs), {name: known[name] for name in piece.inputs})
        known.update(zip(piece.outputs, answers, strict=True))
    return known


@pytest.fixture
def repository(stack: Stack) -> Iterator[Repository]:
    """Version 3 of the pair, put where the canary's Triton looks, and loaded; nobody releases a pair there."""
    reference = {name: values[:, 0].tolist() for name, values in composed(ROWS).items() if name != "heat"}
    made = build_ensemble(UseCase("tests.usecases.pair"), "3", pieces(), reference)
    folder = Layout.of(stack.settings).data("triton-canary") / "models"
    for path, content in made.files.items():
        if "/" in path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    client = http.InferenceServerClient(stack.config["TIPHYS_CANARY_HTTP"])
    client.load_model(made.manifest.model)
    yield made
    client.unload_model(made.manifest.model, unload_dependents=True)
    for each in made.manifest.folders:
        shutil.rmtree(folder / each)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_its_answers_are_those_of_the_models_one_after_the_other(
    stack: Stack, repository: Repository, protocol: Any
) -> None:
    """Every output, for a batch, over both protocols; loading the ensemble loads its parts."""
    user = TritonUser(protocol, stack.config[f"TIPHYS_CANARY_{protocol.upper()}"])
    kinds = {"litres": "FP32", "celsius": "INT64"}
    expected = composed(ROWS)
    for output in repository.manifest.outputs:
        found, version = user.infer("pair", {name: (kinds[name], each) for name, each in ROWS.items()}, output)
        np.testing.assert_allclose(found, expected[output], rtol=1e-6)
        assert version == "3"
    user.close()


def test_a_part_that_is_missing_keeps_the_ensemble_from_loading(stack: Stack, repository: Repository) -> None:
    """Triton refuses it, and says which part."""
    client = http.InferenceServerClient(stack.config["TIPHYS_CANARY_HTTP"])
    client.unload_model("pair", unload_dependents=True)
    config = Path(Layout.of(stack.settings).data("triton-canary")) / "models" / "pair__time" / "config.pbtxt"
    text = config.read_text()
    config.unlink()
    try:
        with pytest.raises(Exception, match="pair__time"):
            client.load_model("pair")
    finally:
        config.write_text(text)
    client.load_model("pair")
    assert client.is_model_ready("pair", "3")
