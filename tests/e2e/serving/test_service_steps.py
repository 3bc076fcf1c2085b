"""From a git revision of the service to the ledger: each step as its container would run, on real repositories."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tiphys.settings import PROJECT

pytestmark = pytest.mark.e2e

CONFIG = '[tool.pytest.ini_options]\nmarkers = ["unit: quick"]\n'
GOOD = "import pytest\n\n\n@pytest.mark.unit\ndef test_good() -> None:\n    assert True\n"
LONELY = """import os
import pytest


@pytest.mark.unit
def test_nothing_of_ours_is_here() -> None:
    assert not [name for name in os.environ if name.startswith("TIPHYS_") and name != "TIPHYS_HOME"]
"""


def git(folder: Path, *words: str) -> str:
    """Run git as somebody."""
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits; the first is tagged."""
    folder = tmp_path / "repository"
    (folder / "tests/unit").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(CONFIG)
    (folder / "tests/unit/test_one.py").write_text(GOOD + "\n\n" + LONELY)
    shutil.copy(PROJECT / "requirements.lock", folder)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "v1")
    (folder / "tests/unit/test_two.py").write_text(GOOD.replace("True", "False"))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "two")
    return folder


def checkout(shop: Any, folder: Path, repository: str, revision: str) -> dict[str, str]:
    """Run checkout; what it tells."""
    shop.step("checkout", folder, repository=repository, revision=revision)
    return {each.name: each.read_text() for each in (folder / "outputs").iterdir()}


@pytest.mark.parametrize("revision", ["v1", "commit"])
def test_a_tag_and_a_commit_are_the_same_code(shop: Any, repository: Path, tmp_path: Path, revision: str) -> None:
    """By path or as a URL; tests run in an environment where nothing of the step's own is."""
    commit = git(repository, "rev-parse", "v1")
    wanted, url = (commit, str(repository)) if revision == "commit" else ("v1", f"file://{repository}")
    told = checkout(shop, tmp_path / "checkout", url, wanted)
    assert told["commit"] == commit
    shop.step("test_code", tmp_path / "tests", **told)
    assert (tmp_path / "tests/outputs/passed").read_text() == "2"


def test_a_failing_test_stops_it_with_its_name(shop: Any, repository: Path, tmp_path: Path) -> None:
    """The report of all of them is there."""
    told = checkout(shop, tmp_path / "checkout", str(repository), "main")
    said, folder = shop.step("test_code", tmp_path / "tests", code=65, **told)
    assert "1 of 3 tests" in said
    assert "test_two.test_good" in said
    assert "AssertionError" in (folder / "artifacts/tests.xml").read_text() or "assert False" in said


def test_another_lock_gets_an_environment_of_its_own(shop: Any, repository: Path, tmp_path: Path) -> None:
    """Exactly what the revision's lock names, each with its digest; nothing of the step's own environment is there."""
    lock = repository / "requirements.lock"
    wanted = {"iniconfig", "packaging", "pluggy", "pygments", "pytest"}
    parts = re.split(r"^(?=[a-z0-9._-]+==)", lock.read_text(), flags=re.MULTILINE)
    lock.write_text("".join(each for each in parts if each.partition("==")[0] in wanted))
    test = "import importlib.util\n" + GOOD.replace("assert True", "assert importlib.util.find_spec('minio') is None")
    (repository / "tests/unit/test_two.py").write_text(test)
    git(repository, "commit", "-q", "-a", "-m", "another lock")
    told = checkout(shop, tmp_path / "checkout", str(repository), "main")
    said, folder = shop.step("test_code", tmp_path / "tests", **told)
    assert "another lock: making its environment" in said
    assert (folder / "outputs/passed").read_text() == "3"


def test_no_test_is_no_proof(shop: Any, repository: Path, tmp_path: Path) -> None:
    """A folder without tests that are marked, or none at all."""
    told = checkout(shop, tmp_path / "checkout", str(repository), "v1")
    for number, tests in enumerate(("tests/nothing", "tests/unit -k nobody")):
        shop.step("test_code", tmp_path / f"tests-{number}", code=65, tests=tests, **told)


def test_another_commit_in_the_bundle_is_found(shop: Any, repository: Path, tmp_path: Path) -> None:
    """A commit pins its own content; a bundle that was replaced or damaged is refused."""
    one = checkout(shop, tmp_path / "one", str(repository), "v1")
    two = checkout(shop, tmp_path / "two", str(repository), "main")
    said, _ = shop.step("test_code", tmp_path / "swapped", code=65, source=one["source"], commit=two["commit"])
    assert f"holds commit {one['commit']}, not {two['commit']}" in said
    store = shop.store("checkout")
    content = bytearray(store.get(two["source"]))
    content[len(content) // 2] ^= 1
    store.put(two["source"], bytes(content))
    said, _ = shop.step("test_code", tmp_path / "damaged", code=65, **two)
    assert "git clone failed" in said


@pytest.mark.parametrize(
    ("where", "revision", "code", "says"),
    [
        ("/nowhere/at/all", "main", 65, "there is no revision 'main' in /nowhere/at/all"),
        ("REPOSITORY", "nobody", 65, "there is no revision 'nobody'"),
        ("REPOSITORY", "+--upload-pack=touch /tmp/pwned", 65, "is refused"),
        ("REPOSITORY", "0123456", 65, "give all 40 digits"),
        ("ext::sh -c touch% /tmp/pwned", "main", 65, "is refused"),
        ("ssh://git@example.org/a", "main", 65, "is refused"),
        ("https://ann:hush@example.org/a", "main", 65, "is refused"),
        ("http://example.org/a", "main", 65, "is refused"),
        ("https://nobody.invalid/a", "main", 75, "does not answer"),
    ],
)
def test_what_cannot_be_fetched_is_named(  # noqa: PLR0913 - one row of the table
    shop: Any, tmp_path: Path, repository: Path, *, where: str, revision: str, code: int, says: str
) -> None:
    """Nothing but https and paths, nothing that git would take for an option; no password in the message."""
    where = where.replace("REPOSITORY", str(repository))
    said, _ = shop.step("checkout", tmp_path / "step", code=code, repository=where, revision=revision)
    assert says in said
    assert "hush" not in said
    assert not Path("/tmp/pwned").exists()


def test_images_are_written_into_the_ledger_by_digest(shop: Any, tmp_path: Path) -> None:
    """Without an image of the gateway nothing is started; what is not pinned is refused before anything is written."""
    images = {"ledger": "registry.example.org/team/ledger@sha256:" + "a" * 64}
    shop.step("deploy_service", tmp_path / "step", commit="b" * 40, images=json.dumps(images))
    recorded = shop.ledger().services("staging")[0]
    assert (recorded.revision, dict(recorded.images)) == ("b" * 40, images)
    assert int((tmp_path / "step/outputs/generation").read_text()) == recorded.generation
    for wrong in ({}, {"ledger": "registry.example.org/team/ledger:latest"}):
        shop.step("deploy_service", tmp_path / "wrong", code=65, commit="c" * 40, images=json.dumps(wrong))
    assert shop.ledger().services("staging") == [recorded]
