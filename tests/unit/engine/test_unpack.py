"""Archives that someone hostile made: refused with the reason, nothing outside, nothing left."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tiphys.engine.errors import TemplateError
from tiphys.engine.unpack import Limits, unpack

pytestmark = pytest.mark.unit
Entry = tuple[str, bytes, str, bytes]
FILE, LINK, HARD, CHAR, FIFO, FOLDER = (
    tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE,
)  # fmt: skip


def tar_of(path: Path, *entries: Entry, mode: int = 0o644) -> Path:
    """A gzipped tar of (name, type, link text, content)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, link, content in entries:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size, member.mode = kind, link, len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for the artifact, beside something that must not change."""
    (tmp_path / "outside").write_text("untouched")
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / "0"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([("../outside", FILE, "", b"x")], "leaves its folder"),
        ([("a/../../../outside", FILE, "", b"x")], "leaves its folder"),
        ([("/etc/evil", FILE, "", b"x")], "leaves its folder"),
        ([("a\\..\\b", FILE, "", b"x")], "no plain path"),
        ([("/".join("d" * 300), FILE, "", b"x")], "no plain path"),
        ([("l", LINK, "/etc", b""), ("f", FILE, "", b"x")], "leads out"),
        ([("l", LINK, "../..", b""), ("f", FILE, "", b"x")], "leads out"),
        ([("d/l", LINK, "../../..", b""), ("f", FILE, "", b"x")], "leads out"),
        ([("d", LINK, ".", b""), ("l", LINK, "d/../..", b"")], "leads out"),
        ([("l", LINK, "sub", b""), ("l/f", FILE, "", b"x")], "written through the link"),
        ([("h", HARD, "../outside", b"")], "leaves its folder"),
        ([("h", HARD, "/etc/passwd", b"")], "leaves its folder"),
        ([("h", HARD, "nothing", b"")], "no earlier file"),
        ([("l", LINK, "f", b""), ("h", HARD, "l", b"")], "no earlier file"),
        ([("zero", CHAR, "", b"")], "special file"),
        ([("pipe", FIFO, "", b"")], "special file"),
        ([(f"f{index}", FILE, "", b"") for index in range(101)], "more than 100 entries"),
        ([("big", FILE, "", bytes(2_000_000))], "more than 1,000,000 bytes"),
        ([("f", FILE, "", bytes(600_000)), ("h", HARD, "f", b"")], "more than 1,000,000 bytes"),
    ],
)
def test_a_hostile_tar_is_refused_and_leaves_nothing(
    place: Path, tmp_path: Path, entries: list[Entry], reason: str
) -> None:
    """The message names the artifact and the reason; no file appears anywhere."""
    stored = tar_of(tmp_path / "in" / "0.stored", *entries)
    with pytest.raises(TemplateError, match=f"artifact data: .*{reason}"):
        unpack(stored, {"name": "data"}, place, Limits(size=1_000_000, entries=100))
    assert (tmp_path / "outside").read_text() == "untouched"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["0.stored"]


def test_a_sparse_file_of_many_gigabytes_stops_at_the_limit(place: Path, tmp_path: Path) -> None:
    """What a hole would become counts, not what the archive holds."""
    stored = tmp_path / "in" / "0.stored"
    with tarfile.open(stored, "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("GNUSparseFile.0/holes")
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes", "GNU.sparse.realsize": str(1 << 40)}  # fmt: skip
        content = b"1\n%d\n0\n" % (1 << 40)
        member.size = 512
        archive.addfile(member, io.BytesIO(content.ljust(512, b"\0")))
    with pytest.raises(TemplateError, match="more than 1,000,000 bytes"):
        unpack(stored, {"name": "data"}, place, Limits(size=1_000_000))
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["0.stored"]


def test_setuid_bits_are_taken_off_and_links_inside_stay(place: Path, tmp_path: Path) -> None:
    """A plain archive arrives whole."""
    entries = [
        ("d/f", FILE, "", b"x"),
        ("d/l", LINK, "f", b""),
        ("d/h", HARD, "d/f", b""),
        ("d/s/up", LINK, "../f", b""),
    ]
    unpack(tar_of(tmp_path / "in" / "0.stored", *entries, mode=0o6755), {"name": "data"}, place)
    assert (place / "f").stat().st_mode & 0o7777 == 0o755
    assert [(place / name).read_text() for name in ("l", "h", "s/up")] == ["x", "x", "x"]


@pytest.mark.parametrize("cut", [40, 100, 2000])
def test_a_damaged_archive_says_so(place: Path, tmp_path: Path, cut: int) -> None:
    """A tar or zip that ends too early is no traceback and no half an artifact."""
    stored = tar_of(tmp_path / "in" / "0.stored", ("d/f", FILE, "", os.urandom(5000)), ("d/g", FILE, "", b"x"))
    stored.write_bytes(stored.read_bytes()[:cut])
    with pytest.raises(TemplateError, match=r"data.*(damaged|no tar archive)"):
        unpack(stored, {"name": "data", "archive": {"tar": {}}}, place)
    stored.write_bytes(b"PK\3\4" + bytes(40))
    with pytest.raises(TemplateError, match=r"data.*damaged"):
        unpack(stored, {"name": "data", "archive": {"zip": {}}}, place)


def _slip(archive: zipfile.ZipFile) -> None:
    archive.writestr("../outside", "x")


def _absolute(archive: zipfile.ZipFile) -> None:
    archive.writestr("/etc/evil", "x")


def _link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("l")
    entry.external_attr = 0o120777 << 16
    archive.writestr(entry, "/etc")


def _bomb(archive: zipfile.ZipFile) -> None:
    archive.writestr("bomb", bytes(50_000_000))


@pytest.mark.parametrize(
    ("fill", "reason"),
    [(_slip, "leaves its folder"), (_absolute, "leaves its folder"), (_link, "special file"), (_bomb, "more than 1,000,000 bytes")],
)  # fmt: skip
def test_a_hostile_zip_is_refused_and_leaves_nothing(
    place: Path, tmp_path: Path, fill: Callable[[zipfile.ZipFile], None], reason: str
) -> None:
    """Slips, links and bombs, as for a tar."""
    stored = tmp_path / "in" / "0.stored"
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as archive:
        fill(archive)
    with pytest.raises(TemplateError, match=f"artifact data: .*{reason}"):
        unpack(stored, {"name": "data", "archive": {"zip": {}}}, place, Limits(size=1_000_000))
    assert (tmp_path / "outside").read_text() == "untouched"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["0.stored"]
