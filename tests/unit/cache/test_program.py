"""What decides what a program does: its image's digest where it runs in it, else all of its environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiphys.cache.program import Parts, Program, distributions, require_own_code
from tiphys.cache.refusal import NotCachedError
from tiphys.engine.images import Image
from tiphys.engine.oci.storage import OciImage

pytestmark = pytest.mark.unit


def environment(folder: Path) -> Path:
    """A virtual environment of one distribution."""
    site = folder / "lib" / "python3.11" / "site-packages"
    for path, text in {
        folder / "pyvenv.cfg": "version = 3.11\ninclude-system-site-packages = false\n",
        folder / "bin" / "python": "binary",
        site / "kettle-1.0.dist-info" / "RECORD": "kettle/__init__.py,sha256=a,1\n",
        site / "kettle" / "__init__.py": "",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def described(folder: Path, *needed: str) -> Parts:
    """The environment's part."""
    parts = Parts()
    distributions(parts, "environment", folder, needed, folder)
    return parts


def test_in_its_image_the_images_digest_says_it_all(tmp_path: Path) -> None:
    """Whatever its command is; a name that now means another image is another part."""
    found = []
    for identity in ("sha256:one", "sha256:two"):
        parts = Parts()
        image = Image("any", oci=OciImage("any:1", identity))
        Program.of({"command": ["sh", "-c", "true"]}, image).describe(parts, tmp_path, (), "", {})
        found.append(parts.values)
    assert found == [{"image": "sha256:one"}, {"image": "sha256:two"}]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lib/python3.11/site-packages/kettle-1.0.dist-info/RECORD", "kettle/__init__.py,sha256=b,1\n"),
        ("lib/python3.11/site-packages/pot-2.0.dist-info/RECORD", ""),
        ("lib/python3.11/site-packages/loose.py", ""),
        ("lib/python3.11/site-packages/folder/loose.py", ""),
        ("lib/python3.11/site-packages/hook.pth", "import loose"),
        ("bin/python", "another"),
        ("pyvenv.cfg", "version = 3.12\n"),
    ],
)
def test_a_change_of_the_environment_is_another_part(tmp_path: Path, path: str, text: str) -> None:
    """Another wheel, a new package, a loose module, a hook, another Python."""
    folder = environment(tmp_path)
    before = described(folder).values
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(text)
    assert described(folder).values != before
    assert described(folder).values == described(folder).values


def test_a_file_that_was_replaced_within_a_moment_by_one_of_its_size_is_seen(tmp_path: Path) -> None:
    """Its time of change, or its inode, is another."""
    folder = environment(tmp_path)
    before = described(folder).values
    record = folder / "lib/python3.11/site-packages/kettle-1.0.dist-info/RECORD"
    new = record.with_name("new")
    new.write_text(record.read_text().replace("=a", "=c"))
    new.replace(record)
    assert described(folder).values != before


def test_an_environment_that_sees_more_than_itself_is_refused(tmp_path: Path) -> None:
    """The machine's packages, or a folder elsewhere from which a needed package may come."""
    folder = environment(tmp_path)
    site = folder / "lib/python3.11/site-packages"
    (site / "linked.pth").write_text("/elsewhere/src\n")
    assert described(folder, "kettle")
    with pytest.raises(NotCachedError, match=r"imports 'pot', which may come from outside .*linked\.pth"):
        described(folder, "pot")
    (folder / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    with pytest.raises(NotCachedError, match="also sees the machine's packages"):
        described(folder)


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_LIBRARY_PATH", "PATH"])
def test_variables_that_bring_other_code_are_refused(name: str) -> None:
    """Those that are harmless are not."""
    with pytest.raises(NotCachedError, match=name):
        require_own_code([name], "", Path("/project"))
    require_own_code(["PYTHONUNBUFFERED", "TIPHYS_RUN"], "/project", Path("/project"))


def test_only_a_module_of_python_is_known(tmp_path: Path) -> None:
    """A shell, a script, or nothing at all is not."""
    image = Image("any", (os.fspath(tmp_path),))
    for words in (["sh", "-c", "x"], ["python", "x.py"], ["python"], []):
        with pytest.raises(NotCachedError, match="can't be known"):
            Program.of({"command": words}, image)
