"""What the agent takes out of a layer: exactly the files of the manifest, and nothing that an archive can do besides."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tiphys.errors import DataError
from tiphys.serving import model_image

pytestmark = pytest.mark.unit


def archive(path: Path, *entries: tarfile.TarInfo | str) -> Path:
    """An archive with the manifest and what is given; a text is a file with three bytes."""
    with tarfile.open(path, "w") as made:
        for each in ("models/manifest.json", *entries):
            entry = tarfile.TarInfo(each) if isinstance(each, str) else each
            if entry.isreg():
                entry.size = 3
            made.addfile(entry, io.BytesIO(b"abc"))
    return path


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """An entry that is no plain file."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def test_exactly_the_named_files_come_out(tmp_path: Path) -> None:
    """The manifest is read apart; folders need no entry."""
    layer = archive(tmp_path / "layer.tar", entry("models/eta", tarfile.DIRTYPE), "models/eta/config.pbtxt")
    model_image.unpack(layer, {"eta/config.pbtxt": 3}, tmp_path / "out", "it")
    assert [each.name for each in (tmp_path / "out").rglob("*") if each.is_file()] == ["config.pbtxt"]
    assert model_image.read_manifest(layer, "it") == b"abc"


@pytest.mark.parametrize(
    "wrong",
    [
        "models/../../etc/passwd",
        "/models/eta/x",
        "etc/passwd",
        "models/eta/model.py",
        "models/manifest.json",
        entry("models/eta/x", tarfile.SYMTYPE, "/etc/passwd"),
        entry("models/eta/x", tarfile.LNKTYPE, "models/manifest.json"),
        entry("models/eta/x", tarfile.FIFOTYPE),
        entry("models/eta/x", tarfile.CHRTYPE),
        entry("models/.wh.eta", tarfile.REGTYPE),
        entry("etc", tarfile.DIRTYPE),
    ],
)
def test_anything_else_is_refused_and_nothing_is_written(tmp_path: Path, wrong: tarfile.TarInfo | str) -> None:
    """Paths upwards, links, devices, whiteouts, files twice or more: named in the message."""
    layer = archive(tmp_path / "layer.tar", wrong)
    with pytest.raises(DataError, match="it is refused"):
        model_image.unpack(layer, {}, tmp_path / "out", "it")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [2, 4])
def test_a_file_has_the_size_of_the_manifest(tmp_path: Path, size: int) -> None:
    """More is not written, less is not taken for whole."""
    layer = archive(tmp_path / "layer.tar", "models/eta/x")
    with pytest.raises(DataError, match=f"models/eta/x is 3 bytes, its manifest.json says {size}"):
        model_image.unpack(layer, {"eta/x": size}, tmp_path / "out", "it")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 512 + b"x" * 512])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """It names the image, and is no traceback."""
    (tmp_path / "layer.tar").write_bytes(content)
    with pytest.raises(DataError, match="it is refused"):
        model_image.read_manifest(tmp_path / "layer.tar", "it")


def test_an_archive_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    """Ours has a handful of entries."""
    layer = archive(tmp_path / "layer.tar", *(entry(f"models/{number}", tarfile.DIRTYPE) for number in range(100)))
    with pytest.raises(DataError, match="has no place"):
        model_image.read_manifest(layer, "it")
