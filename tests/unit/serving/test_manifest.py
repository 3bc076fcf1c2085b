"""What a model repository may hold, and what is refused whatever its manifest says."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.usecases.tiny.features import FEATURES
from tiphys.errors import DataError
from tiphys.serving.manifest import Manifest, check_config, parse
from tiphys.serving.repository import Batching, Repository, build, config
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit


@pytest.fixture
def repository() -> Repository:
    """A repository of the tiny use case; its model is no model, which nobody here looks into."""
    return build(UseCase("tests.usecases.tiny"), "7", b"onnx", {"litres": [1.0], "celsius": [20], "seconds": [3.0]})


def changed(repository: Repository, **other: Any) -> tuple[bytes, str]:
    """Another manifest with its own right digest."""
    text = json.dumps({**repository.manifest.model_dump(), **other}).encode()
    return text, hashlib.sha256(text).hexdigest()


def test_the_same_inputs_make_the_same_bytes(repository: Repository) -> None:
    """A step that runs twice leaves the same state."""
    again = build(UseCase("tests.usecases.tiny"), "7", b"onnx", {"celsius": [20], "litres": [1.0], "seconds": [3.0]})
    assert again.files == repository.files
    assert again.manifest_sha256 == repository.manifest_sha256


def test_a_manifest_is_read_if_it_has_the_pinned_digest(repository: Repository) -> None:
    """Any other digest is refused with both named."""
    text = repository.files["manifest.json"]
    assert parse(text, repository.manifest_sha256, "here") == repository.manifest
    with pytest.raises(DataError) as refusal:
        parse(text + b" ", repository.manifest_sha256, "here")
    assert repository.manifest_sha256 in str(refusal.value)
    assert hashlib.sha256(text + b" ").hexdigest() in str(refusal.value)


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/passwd",
        "tiny/7/../../../evil",
        "tiny/7/model.py",
        "tiny/1/model.onnx",
        "other/config.pbtxt",
        "tiny/7/model.onnx.data",
        "tiny\\7\\model.onnx",
        "tiny/%2e%2e/model.onnx",
    ],
)
def test_files_that_have_no_place_are_refused(repository: Repository, path: str) -> None:
    """Only the configuration, one ONNX file and the reference answers are taken; nothing can leave the folder."""
    files = {**repository.manifest.model_dump()["files"], path: {"sha256": "0" * 64, "bytes": 1}}
    with pytest.raises(DataError, match="no place"):
        parse(*changed(repository, files=files), "here")


@pytest.mark.parametrize(
    "other",
    [{"files": {}}, {"version": "0"}, {"version": "../7"}, {"model": "Tiny/.."}, {"format": 2}, {"more": 1}],
)
def test_other_manifests_are_refused(repository: Repository, other: dict[str, Any]) -> None:
    """Missing files, odd names and unknown fields."""
    with pytest.raises(DataError, match="refused"):
        parse(*changed(repository, **other), "here")


def test_the_configuration_that_we_write_is_served(repository: Repository) -> None:
    """It names the model, its version and its inputs."""
    text = config("tiny", "7", FEATURES, ["seconds"])
    check_config(text, repository.manifest, "here")
    for part in ('"litres" data_type: TYPE_FP32', '"celsius" data_type: TYPE_INT64', "versions: [ 7 ]"):
        assert part in text


def test_triton_is_given_no_limit_of_its_queue() -> None:
    """Any such limit makes its batcher leave some requests lying for half a second; the gateway bounds what waits."""
    text = config("tiny", "7", FEATURES, ["seconds"])
    assert "dynamic_batching" in text
    assert "queue_policy" not in text


@pytest.mark.parametrize(
    ("batching", "parts"),
    [
        (Batching(enabled=False), ("KIND_CPU",)),
        (Batching(preferred=(4, 8), max_queue_delay_us=500), ("preferred_batch_size: [ 4, 8 ]", "microseconds: 500")),
        (Batching(instances=3), ("count: 3",)),
        (Batching(accelerator="cuda"), ("KIND_GPU",)),
        (Batching(accelerator="tensorrt"), ("KIND_GPU", 'gpu_execution_accelerator [ { name: "tensorrt" } ]')),
    ],
)
def test_every_way_to_gather_and_compute_is_served(
    repository: Repository, batching: Batching, parts: tuple[str, ...]
) -> None:
    """What the sweep and the variants may choose fits the grammar."""
    text = config("tiny", "7", FEATURES, ["seconds"], batching)
    check_config(text, repository.manifest, "here")
    assert all(each in text for each in parts)
    assert ("dynamic_batching" in text) == batching.enabled


def test_the_manifest_tells_what_is_asked_and_answered() -> None:
    """Inputs with their types, outputs in order, the variant; an older manifest without them is read, too."""
    reference = {"litres": [1.0], "celsius": [20], "seconds": [3.0], "seconds_low": [2.0], "seconds_high": [4.0]}
    made = build(UseCase("tests.usecases.tiny"), "7", b"onnx", reference, variant="onnx-fp32", fallback=b"npz")
    found = made.manifest
    assert found.inputs == {"litres": "float32", "celsius": "int64"}
    assert found.outputs == ["seconds", "seconds_low", "seconds_high"]
    assert found.files["fallback.npz"].bytes == 3
    old = found.model_dump(include={"format", "use_case", "model", "version", "files"})
    text = json.dumps(old).encode()
    assert parse(text, hashlib.sha256(text).hexdigest(), "here").outputs == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('backend: "onnxruntime"', 'backend: "python"'),
        ('backend: "onnxruntime"', ""),
        ('backend: "onnxruntime"', 'backend: "onnxruntime"\nbackend: "python"'),
        ('backend: "onnxruntime"', "backend: 'python'"),
        ('backend: "onnxruntime"', 'backend: "onnxruntime" # "\nbackend: "python" # "'),
        ('backend: "onnxruntime"', 'platform: "pytorch_libtorch"'),
        ('name: "tiny"', 'name: "other"'),
        ("input [", 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/tmp/x" } }\ninput ['),
        ("input [", 'model_operations { op_library_filename: [ "/tmp/x.so" ] }\ninput ['),
        ("input [", 'default_model_filename: "../../x"\ninput ['),
        ("input [", "ensemble_scheduling { step [ ] }\ninput ["),
        ("input [", 'cc_model_filenames < key: "a" value: "b" >\ninput ['),
    ],
)
def test_a_configuration_that_asks_for_more_is_refused(repository: Repository, old: str, new: str) -> None:
    """Another backend, program paths, libraries and ensembles cannot get in."""
    text = config("tiny", "7", FEATURES, ["seconds"])
    assert old in text
    with pytest.raises(DataError, match="refused"):
        check_config(text.replace(old, new), repository.manifest, "here")


def test_a_manifest_names_only_what_it_has() -> None:
    """All three files must be there."""
    with pytest.raises(ValueError, match="missing"):
        Manifest(use_case="tests.usecases.tiny", model="tiny", version="7", files={})
