"""The agent's copies on disk: what is whole, what fits beside what, and what Triton is shown."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tiphys.errors import DataError
from tiphys.release.records import Release
from tiphys.serving.copies import Copies, name_of
from tiphys.serving.repository import build
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

REFERENCE = {"litres": [1.0], "celsius": [10], "seconds": [1.0]}


def copied(copies: Path, number: int) -> Release:
    """Put a whole copy of a version where the agent keeps them."""
    repository = build(UseCase("tests.usecases.tiny"), str(number), b"model" * number, REFERENCE)
    release = Release(
        use_case="tests.usecases.tiny", model_version=f"models:/tiny/{number}", repository="s3://models/tiny/",
        manifest_sha256=repository.manifest_sha256,
        image="s3://models/images/tiny@sha256:" + hashlib.sha256(str(number).encode()).hexdigest(),
    )  # fmt: skip
    for path, content in repository.files.items():
        target = copies / name_of(release) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return release


@pytest.mark.parametrize("file", ["model.onnx", "config.pbtxt", "reference.json", "manifest.json"])
@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.999])
def test_one_flipped_bit_of_a_copy_is_found(tmp_path: Path, file: str, place: float) -> None:
    """In any file, anywhere: the file and both digests are named."""
    copies = Copies(tmp_path, tmp_path / "models")
    release = copied(tmp_path / "copies", 3)
    copies.check(release)
    (path,) = (tmp_path / "copies").rglob(file)
    good = path.read_bytes()
    at = int(place * len(good))
    path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
    with pytest.raises(
        DataError, match=f"{file} has sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    ) as refusal:
        copies.check(release)
    assert hashlib.sha256(good).hexdigest() in str(refusal.value)


def test_the_copy_of_another_version_in_its_place_is_found(tmp_path: Path) -> None:
    """Swapped folders: the manifest's digest is pinned by the release."""
    copies = Copies(tmp_path, tmp_path / "models")
    one, other = (copied(tmp_path / "copies", number) for number in (3, 4))
    folders = [tmp_path / "copies" / name_of(each) for each in (one, other)]
    folders[0].rename(tmp_path / "aside")
    folders[1].rename(folders[0])
    with pytest.raises(DataError, match=r"manifest\.json has sha256"):
        copies.check(one)


def test_two_versions_stand_side_by_side_in_one_folder(tmp_path: Path) -> None:
    """The configuration names both, each version's folder leads to its own copy, and what was shown comes back."""
    copies = Copies(tmp_path, tmp_path / "models")
    three, four = (copied(tmp_path / "copies", number) for number in (3, 4))
    assert copies.show([three]) is None
    before = copies.show([four, three])
    assert copies.shown("tiny") == {"3": name_of(three), "4": name_of(four)}
    shown = tmp_path / "models" / "tiny"
    assert "versions: [ 3, 4 ]" in (shown / "config.pbtxt").read_text()
    assert (shown / "4" / "model.onnx").read_bytes() == b"model" * 4
    copies.show_again("tiny", before)
    assert copies.shown("tiny") == {"3": name_of(three)}
    assert "versions: [ 3 ]" in (shown / "config.pbtxt").read_text()
    copies.show_again("tiny", None)
    assert copies.shown("tiny") == {}


def test_versions_whose_configurations_differ_do_not_fit(tmp_path: Path) -> None:
    """Triton has one configuration for all versions of a model."""
    copies = Copies(tmp_path, tmp_path / "models")
    three, four = (copied(tmp_path / "copies", number) for number in (3, 4))
    assert copies.fit(four, three)
    assert not copies.fit(four, four)
    config = tmp_path / "copies" / name_of(three) / "tiny" / "config.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 64", "max_batch_size: 8"))
    assert not copies.fit(four, three)


def test_what_is_needed_is_kept(tmp_path: Path) -> None:
    """The newest, what Triton is shown, and where a rollback goes; the rest goes."""
    copies = Copies(tmp_path, tmp_path / "models")
    releases = [copied(tmp_path / "copies", number) for number in range(1, 8)]
    for number, each in enumerate(releases):
        folder = tmp_path / "copies" / name_of(each)
        os.utime(folder, (number, number))
    copies.show([releases[0]])
    copies.prune("tiny", [releases[1]])
    kept = {each.name for each in (tmp_path / "copies").iterdir()}
    assert kept == {name_of(releases[number]) for number in (0, 1, 4, 5, 6)}
