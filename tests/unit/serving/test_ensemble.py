"""Two models that answer as one: what a repository of them must be, and what is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.usecases.pair.pieces import PACE, SPREAD, pieces
from tiphys.errors import DataError
from tiphys.serving.manifest import check_config, parse
from tiphys.serving.repository import Repository, build_ensemble
from tiphys.serving.session import Session
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

PAIR = UseCase("tests.usecases.pair")
REFERENCE = {"litres": [1.0], "celsius": [20], "seconds": [181.0], "seconds_low": [176.0], "seconds_high": [186.0]}


@pytest.fixture
def repository() -> Repository:
    """Version 3 of the pair."""
    return build_ensemble(PAIR, "3", pieces(), REFERENCE)


def text(repository: Repository, model: str) -> str:
    """The configuration of one of its models."""
    return repository.files[f"{model}/config.pbtxt"].decode()


def test_every_model_has_its_folder_and_its_place_in_the_manifest(repository: Repository) -> None:
    """Parts under names that begin with the model's, the ensemble last."""
    manifest = parse(repository.files["manifest.json"], repository.manifest_sha256, "here")
    assert manifest.folders == ("pair__heat", "pair__time", "pair")
    assert set(manifest.files) == {
        "pair/3/ensemble", "pair/config.pbtxt", "pair__heat/3/model.onnx", "pair__heat/config.pbtxt",
        "pair__time/3/model.onnx", "pair__time/config.pbtxt", "reference.json",
    }  # fmt: skip
    assert manifest.outputs == ["seconds", "seconds_low", "seconds_high"]


def test_who_asks_without_a_server_asks_them_one_after_the_other(repository: Repository) -> None:
    """As found in the repository; what the first gives is what the second takes."""
    assert repository.manifest.onnx_paths == ("pair__heat/3/model.onnx", "pair__time/3/model.onnx")
    ask = Session([repository.files[path] for path in repository.manifest.onnx_paths], PAIR)
    litres, celsius = np.array([1.0, 2.0], np.float32), np.array([20, 90])
    found = ask({"litres": litres, "celsius": celsius})
    seconds = litres * (100 - celsius) * PACE + litres
    np.testing.assert_allclose(found["prediction"], seconds, rtol=1e-6)
    np.testing.assert_allclose(found["low"], seconds - SPREAD, rtol=1e-6)
    assert found.keys() == {"prediction", "low", "high"}


def test_what_we_write_is_served(repository: Repository) -> None:
    """Every configuration is taken under its own name and under no other."""
    for model in repository.manifest.folders:
        check_config(text(repository, model), repository.manifest, "here", model)
    with pytest.raises(DataError, match="refused"):
        check_config(text(repository, "pair__heat"), repository.manifest, "here", "pair__time")
    with pytest.raises(DataError, match="refused"):
        check_config(text(repository, "pair__heat"), repository.manifest, "here")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('model_name: "pair__heat"', 'model_name: "taxi_eta"'),
        ("model_version: 3", "model_version: -1"),
        ('value: "heat"', 'value: "litres"'),
        ('platform: "ensemble"', 'platform: "ensemble"\nbackend: "python"'),
        ("max_batch_size: 64", "max_batch_size: 1024"),
        ("\n}\n", '\n}\nparameters { key: "EXECUTION_ENV_PATH" value { string_value: "/tmp/x" } }\n'),
        ("\n}\n", "\n}\n\n"),
    ],
)
def test_an_ensemble_is_to_the_letter_what_the_manifest_says(repository: Repository, old: str, new: str) -> None:
    """Other models, versions, wires, backends: any other text is refused."""
    assert old in text(repository, "pair")
    with pytest.raises(DataError, match="not the ensemble of pair__heat, pair__time"):
        check_config(text(repository, "pair").replace(old, new), repository.manifest, "here")


def test_a_part_is_held_to_the_grammar_of_models(repository: Repository) -> None:
    """A part that is code cannot get in; an ensemble within an ensemble neither."""
    for wrong in ('backend: "python"', 'platform: "ensemble"'):
        changed = text(repository, "pair__heat").replace('backend: "onnxruntime"', wrong)
        with pytest.raises(DataError, match="refused"):
            check_config(changed, repository.manifest, "here", "pair__heat")


def test_a_model_that_is_one_is_no_ensemble(repository: Repository) -> None:
    """Without parts in the manifest the ensemble's text is refused."""
    alone = repository.manifest.model_copy(update={"parts": {}})
    with pytest.raises(DataError, match="not allowed"):
        check_config(text(repository, "pair"), alone, "here")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": {"cold": "float32", "celsius": "int64"}}, "takes float32 'cold', which nothing before it gives"),
        ({"inputs": {"litres": "int64", "celsius": "int64"}}, "takes int64 'litres'"),
        ({"outputs": ["litres"]}, "gives 'litres', which is there already"),
        ({"outputs": ["warmth"]}, "takes float32 'heat', which nothing before it gives"),
    ],
)
def test_pieces_that_do_not_fit_together_are_refused(changed: dict[str, Any], message: str) -> None:
    """When they are put together, and again when a manifest is read."""
    first, second = pieces()
    with pytest.raises(ValueError, match=message):
        build_ensemble(PAIR, "3", (replace(first, **changed), second), REFERENCE)


def test_pieces_in_the_wrong_order_or_without_the_answer_are_refused() -> None:
    """A part is asked after what it needs, and one of them gives the target."""
    first, second = pieces()
    with pytest.raises(ValueError, match="nothing before it gives"):
        build_ensemble(PAIR, "3", (second, first), REFERENCE)
    with pytest.raises(ValueError, match="no part gives 'seconds'"):
        build_ensemble(PAIR, "3", (first,), REFERENCE)


def test_a_part_under_another_model_s_name_is_refused(repository: Repository) -> None:
    """One use case's repository cannot replace a model of another."""
    said = repository.manifest.model_dump()
    said["parts"] = {"taxi_eta": said["parts"].pop("pair__heat"), **said["parts"]}
    content = json.dumps(said).encode()
    with pytest.raises(DataError, match="'taxi_eta' is none of pair__"):
        parse(content, hashlib.sha256(content).hexdigest(), "here")
