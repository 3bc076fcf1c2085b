"""What goes into an image of a model, and what its labels say."""

from __future__ import annotations

from typing import Any

import pytest

from components.package.contract import Inputs
from components.package.step import labels, loads, require
from tiphys.errors import DataError
from tiphys.oci.image import Base, parse_manifest
from tiphys.serving.manifest import Manifest

pytestmark = pytest.mark.unit

DIGEST = "a" * 64


def repository(**other: Any) -> Manifest:
    """A manifest of version 7 of the built-in use case."""
    files = {
        path: {"sha256": DIGEST, "bytes": 1} for path in ("eta/config.pbtxt", "eta/7/model.onnx", "reference.json")
    }
    return Manifest.model_validate({"use_case": "usecases.eta", "model": "eta", "version": "7", "files": files} | other)


def inputs(**other: str) -> Inputs:
    """Inputs that fit it."""
    given = {"use_case": "eta", "repository": "s3://models/eta/7-abc/", "manifest_sha256": DIGEST}
    return Inputs(**{**given, "model_version": "models:/eta/7", "dataset": "eta.trips@v-1", **other})


def base(*command: str) -> Base:
    """An image that starts with a command."""
    blob = {"mediaType": "any", "digest": f"sha256:{DIGEST}", "size": 1}
    manifest = f'{{"schemaVersion": 2, "config": {blob}, "layers": []}}'.replace("'", '"')
    return Base(parse_manifest(manifest.encode(), "it"), {"config": {"Cmd": list(command)}}, "reg/triton", "sha256:x")


@pytest.mark.parametrize("use_case", ["eta", "usecases.eta"])
def test_a_use_case_goes_by_its_short_name_or_by_its_package(use_case: str) -> None:
    """Both are the model that its manifest names."""
    require(repository(), inputs(use_case=use_case))


@pytest.mark.parametrize("other", [{"use_case": "kettle"}, {"model_version": "models:/eta/8"}])
def test_a_repository_of_another_model_is_refused(other: dict[str, str]) -> None:
    """The message says what it has and what was wanted."""
    with pytest.raises(DataError, match=r"s3://models/eta/7-abc/ has version 7 of 'eta', not models:/eta/"):
        require(repository(), inputs(**other))


def test_labels_lead_from_the_image_to_all_that_made_it() -> None:
    """Model version, dataset, code, and the digests of the repository and the model; no clock."""
    found = labels(inputs(), repository(), "b" * 40)
    assert found["io.tiphys.model-version"] == "models:/eta/7"
    assert found["io.tiphys.dataset"] == "eta.trips@v-1"
    assert found["io.tiphys.manifest-sha256"] == found["io.tiphys.model-sha256"] == DIGEST
    assert found["org.opencontainers.image.revision"] == "b" * 40
    assert found["org.opencontainers.image.created"] == "1970-01-01T00:00:00Z"


def test_a_triton_that_loads_nothing_by_itself_is_told_what_to_load() -> None:
    """Any other starts as its own image says."""
    assert loads(base("--model-control-mode=explicit"), "eta") == ["--load-model=eta"]
    assert loads(base("--model-repository=/models"), "eta") == []
    assert loads(None, "eta") == []
