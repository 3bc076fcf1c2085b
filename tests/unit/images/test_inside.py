"""What runs inside of a build: the right part of the lock, nothing that no step needs, and the same layers for the same content."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tiphys.images.inside import sbom, surroundings
from tiphys.images.inside.bytecode import compile_tree
from tiphys.images.inside.environment import files, move_new
from tiphys.images.inside.packages import stanzas
from tiphys.images.inside.prune import prune
from tiphys.images.inside.slim import add_user, drop_privileges
from tiphys.images.inside.times import MOMENT, settle
from tiphys.locks import part

pytestmark = pytest.mark.unit

HASH = "    --hash=sha256:" + "a" * 64
STATUS = """Package: libc6
Status: install ok installed
Version: 2.36-9
Architecture: amd64
Description: C library
 with a second line: of text

Package: perl-base
Status: deinstall ok config-files
Version: 5.36
Architecture: amd64
"""


def test_a_part_of_the_lock_is_word_for_word_the_locks(tmp_path: Path) -> None:
    """Hashes and markers come along; packages that are not asked for don't."""
    lock = tmp_path / "x.lock"
    lock.write_text(f"a==1 \\\n{HASH}\nb-c==2.0 ; python_version < '4' \\\n{HASH}\nd==3 \\\n{HASH}\n")
    assert part(lock, ["d==3", "b-c==2.0"]) == f"b-c==2.0 ; python_version < '4' \\\n{HASH}\nd==3 \\\n{HASH}\n"


@pytest.mark.parametrize("pin", ["a==1.1", "a==2", "z==1"])
def test_what_is_not_locked_is_not_installed(tmp_path: Path, pin: str) -> None:
    """Another version, or a package that the lock doesn't know, ends the build with the remedy."""
    lock = tmp_path / "x.lock"
    lock.write_text(f"a==1 \\\n{HASH}\n")
    with pytest.raises(LookupError, match=f"{pin} is not in x.lock: run 'make lock'"):
        part(lock, [pin])


def test_tests_and_headers_are_taken_out_and_what_libraries_import_stays(tmp_path: Path) -> None:
    """``testing`` is imported by libraries; the parts of Arrow that others link to stay."""
    packages = tmp_path / "lib/python3.11/site-packages"
    gone = (
        "numpy/tests/test_x.py",
        "torch/include/a.h",
        "x/y.pyx",
        "pyarrow/libarrow_flight.so.2500",
        "x/__pycache__/y.pyc",
    )
    stays = (
        "numpy/testing/__init__.py",
        "pyarrow/libarrow_substrait.so.2500",
        "pyarrow/libarrow.so.2500",
        "x/tests.py",
    )
    for name in (*gone, *stays):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("12345")
    assert prune(tmp_path) == 5 * len(gone)
    assert [each for each in stays if not (packages / each).exists()] == []
    assert [each for each in gone if (packages / each).exists()] == []


def test_only_what_a_step_adds_goes_on_top_of_what_it_shares(tmp_path: Path) -> None:
    """The shared environment lies on the disk once."""
    shared = tmp_path / "venv"
    (shared / "torch").mkdir(parents=True)
    (shared / "torch" / "__init__.py").write_text("big")
    before = files(shared)
    (shared / "lightning").mkdir()
    (shared / "lightning" / "__init__.py").write_text("small")
    move_new(before, shared, tmp_path / "delta")
    moved = tmp_path / "delta" / shared.relative_to("/")
    assert [each.relative_to(moved) for each in moved.rglob("*.py")] == [Path("lightning/__init__.py")]
    assert (shared / "torch" / "__init__.py").exists()
    assert not (shared / "lightning").exists()


def test_the_same_code_compiled_at_another_time_is_the_same(tmp_path: Path) -> None:
    """Neither bytecode nor file times tell when an image was built."""
    seen = []
    for name, when in (("one", 1_600_000_000), ("two", 1_700_000_000)):
        folder = tmp_path / name / "code"
        folder.mkdir(parents=True)
        (folder / "x.py").write_text("X = 1\n")
        os.utime(folder / "x.py", (when, when))
        compile_tree(folder, tmp_path / name)
        seen.append(
            {str(p.relative_to(folder)): (p.is_file() and p.read_bytes(), p.stat().st_mtime) for p in folder.rglob("*")}
        )
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


def test_only_what_was_changed_gets_the_settled_time(tmp_path: Path) -> None:
    """Debian's own files keep theirs: its bytecode is checked against them."""
    for name, when in (("old", 1_000_000_000), ("new", 2_000_000_000)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (when, when))
    settle(tmp_path, 1_500_000_000)
    assert [int((tmp_path / each).stat().st_mtime) for each in ("old", "new")] == [1_000_000_000, MOMENT]


def test_no_program_keeps_another_users_rights(tmp_path: Path) -> None:
    """Setuid and setgid bits go, the others stay."""
    (tmp_path / "su").write_text("x")
    (tmp_path / "su").chmod(0o6755)
    drop_privileges(tmp_path)
    assert stat.S_IMODE((tmp_path / "su").stat().st_mode) == 0o755


def test_the_user_of_all_steps_has_a_name_once(tmp_path: Path) -> None:
    """Java refuses to work for a number without a name."""
    for name in ("passwd", "group"):
        (tmp_path / name).write_text("root:x:0:\n")
    add_user(tmp_path)
    add_user(tmp_path)
    assert (tmp_path / "passwd").read_text().count("tiphys:x:65532:65532:") == 1


def test_debians_list_names_what_is_installed() -> None:
    """A package whose settings alone are left is not."""
    assert list(stanzas(STATUS)) == ["libc6"]


def test_the_list_of_an_image_is_the_same_for_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names Debian's and Python's packages with licences, and neither the hour nor a random number."""
    info = tmp_path / "venv/lib/python3.11/site-packages/foo_bar-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: Foo.Bar\nVersion: 1.0\nLicense-Expression: MIT\n")
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "status").write_text(STATUS)
    (tmp_path / "requirements.txt").write_text(f"foo-bar==1.0 \\\n{HASH}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sbom, "ENVIRONMENTS", (tmp_path / "venv",))
    texts = []
    for name in ("one", "two"):
        sbom.main("ingest", tmp_path / name)
        texts.append((tmp_path / name / sbom.FILE).read_text())
    assert texts[0] == texts[1]
    listed = {each["purl"]: each for each in json.loads(texts[0])["components"]}
    assert set(listed) == {"pkg:pypi/foo-bar@1.0", "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"}
    python = listed["pkg:pypi/foo-bar@1.0"]
    assert python["licenses"] == [{"license": {"id": "MIT"}}] or python["licenses"] == [{"expression": "MIT"}]
    assert python["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]


def test_what_the_machine_lends_reaches_the_installers(tmp_path: Path) -> None:
    """Certificate authorities and settings, from mounted files only."""
    assert surroundings.environment(tmp_path).get("SSL_CERT_FILE") == os.environ.get("SSL_CERT_FILE")
    (tmp_path / surroundings.AUTHORITIES).write_text("x")
    (tmp_path / surroundings.SETTINGS).write_text('{"UV_INDEX_URL": "u"}')
    found = surroundings.environment(tmp_path)
    assert (found["SSL_CERT_FILE"], found["UV_INDEX_URL"]) == (str(tmp_path / surroundings.AUTHORITIES), "u")
