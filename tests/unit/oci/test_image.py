"""An image is the same bytes whoever makes it and when, and stands on a base as it is."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tiphys.errors import DataError
from tiphys.oci import image as images
from tiphys.oci.image import Base

pytestmark = pytest.mark.unit

FILES = {"models/manifest.json": b"{}", "models/eta/7/model.onnx": b"weights", "models/eta/config.pbtxt": b"name"}
GOLDEN = "sha256:7a84e8690fa9156a7176a4ef22edea0a62ac5046cb95ae27d15dd3985511e643"


def layer(folder: Path, files: dict[str, bytes] | None = None, mode: int = 0o600, time: int = 1) -> Path:
    """A layer of files with other owners' habits: mode and time must not matter."""
    folder.mkdir(parents=True)
    here = {}
    for number, (path, content) in enumerate((files or FILES).items()):
        here[path] = folder / str(number)
        here[path].write_bytes(content)
        here[path].chmod(mode)
        os.utime(here[path], (time, time))
    images.write_layer(here, folder / "layer.tar")
    return folder / "layer.tar"


def base(**config: Any) -> Base:
    """A base of two layers in Docker's own form."""
    size = {"digest": "sha256:" + "b" * 64, "size": 7}
    layers = [
        {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", **size},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **size},
    ]
    text = {"schemaVersion": 2, "config": {"mediaType": "any", **size}, "layers": layers}
    manifest = images.parse_manifest(json.dumps(text).encode(), "a base")
    below = {
        "os": "linux",
        "architecture": "amd64",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["one", "two"]},
    }
    return Base(manifest, below, "registry.example.org/triton", "sha256:" + "c" * 64)


def test_the_same_files_give_the_same_digest(tmp_path: Path) -> None:
    """Order, time, mode and owner of the files do not matter; the digest stays what it was when this was written."""
    one = images.assemble(layer(tmp_path / "one"), "files", {"a": "1", "b": "2"})
    turned = dict(reversed(FILES.items()))
    other = images.assemble(layer(tmp_path / "other", turned, 0o644, 1_700_000_000), "files", {"b": "2", "a": "1"})
    assert one.digest == other.digest == GOLDEN


@pytest.mark.parametrize("change", [{"models/eta/config.pbtxt": b"other"}, {"models/more": b""}])
def test_another_file_gives_another_digest(tmp_path: Path, change: dict[str, bytes]) -> None:
    """A digest that did not change would pin nothing."""
    one = images.assemble(layer(tmp_path / "one"), "files", {})
    other = images.assemble(layer(tmp_path / "other", {**FILES, **change}), "files", {})
    assert one.digest != other.digest


def test_a_layer_has_names_and_bytes_and_nothing_else(tmp_path: Path) -> None:
    """Every folder stands before its files; nobody's name, no time."""
    with tarfile.open(layer(tmp_path / "one")) as archive:
        entries = archive.getmembers()
    assert [each.name for each in entries] == sorted([*FILES, "models", "models/eta", "models/eta/7"])
    assert {(each.uid, each.gid, each.uname, each.gname, each.mtime) for each in entries} == {(0, 0, "", "", 0)}


def test_a_base_keeps_its_layers_and_how_it_starts(tmp_path: Path) -> None:
    """Ours is the last layer; labels are added, entry point and user stay; Docker's names for layers become OCI's."""
    made = images.assemble(
        layer(tmp_path / "one"),
        "files",
        {"own": "label"},
        base(Entrypoint=["tritonserver"], User="65532", Labels={"a": "b"}),
    )
    config = json.loads(made.config)
    assert config["config"]["Entrypoint"] == ["tritonserver"]
    assert config["config"]["User"] == "65532"
    assert config["config"]["Labels"].items() >= {"a": "b", "own": "label"}.items()
    assert config["config"]["Labels"]["org.opencontainers.image.base.digest"] == "sha256:" + "c" * 64
    assert config["rootfs"]["diff_ids"] == ["one", "two", made.own_layer.digest]
    kinds = [each.media_type.rpartition(".")[2] for each in made.parsed.layers]
    assert kinds == ["tar+gzip", "tar+gzip", "tar"]
    assert made.parsed.config.digest == images.digest_of(made.config)
    assert made.size == len(made.manifest) + len(made.config) + 14 + made.own_layer.size


def test_what_a_base_starts_may_be_told_more(tmp_path: Path) -> None:
    """Its own arguments come first; without any the base's stay as they are."""
    one = layer(tmp_path / "one")
    told = json.loads(images.assemble(one, "files", {}, base(Cmd=["--a"]), ["--b"]).config)["config"]["Cmd"]
    kept = json.loads(images.assemble(one, "files", {}, base(Cmd=["--a"])).config)["config"]["Cmd"]
    assert (told, kept) == (["--a", "--b"], ["--a"])


def test_our_layer_is_found_by_what_it_holds(tmp_path: Path) -> None:
    """A layer of a base, or of something else, is not taken for it."""
    made = images.assemble(layer(tmp_path / "one"), "files", {}, base())
    assert images.layer_with(made.parsed, "files", "it") == made.own_layer
    with pytest.raises(DataError, match="0 plain layers with a model"):
        images.layer_with(made.parsed, "model", "it")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"schemaVersion": 1, "layers": []}', b"\xff"])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    """The message names the image."""
    with pytest.raises(DataError, match="the thing is no image manifest"):
        images.parse_manifest(text, "the thing")


def test_an_index_is_read_for_this_platform() -> None:
    """Linux on x86-64, or a refusal that names it."""

    def entry(architecture: str, digit: str) -> dict[str, Any]:
        platform = {"os": "linux", "architecture": architecture}
        return {"mediaType": "any", "digest": "sha256:" + digit * 64, "size": 1, "platform": platform}

    both = json.dumps({"manifests": [entry("arm64", "a"), entry("amd64", "b")]}).encode()
    assert images.choose(both, "it") == "sha256:" + "b" * 64
    with pytest.raises(DataError, match="it has no image for linux/amd64"):
        images.choose(json.dumps({"manifests": [entry("arm64", "a")]}).encode(), "it")
