"""The Dockerfiles: one for each step and service, in an order that works, and each image only its own part of everything."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tiphys import cli
from tiphys.images.recipes import FOLDER, HEAVY, HIDDEN, RecipeError, chosen, recipes, revision
from tiphys.settings import PROJECT
from tiphys.step import contracts

pytestmark = pytest.mark.unit

SERVICES = {"gateway", "triton-agent", "ledger", "governor", "triton"}
RUNNING = sorted(set(recipes()) - set(HIDDEN))


def test_there_is_one_image_for_each_step_and_service() -> None:
    """The folder of a step's image has the step's name."""
    steps = {each.template for each in contracts().values()}
    assert set(RUNNING) == steps | SERVICES
    assert {each.name for each in FOLDER.iterdir()} == {each.folder.name for each in recipes().values()}


def test_what_an_image_needs_is_built_before_it() -> None:
    """Whatever is asked for, every image stands after all that it starts from or copies from."""
    done: set[str] = set()
    for each in chosen([], recipes()):
        assert set(each.needs) <= done
        done.add(each.name)
    assert done == set(recipes())


def test_a_step_is_chosen_by_its_folder_or_its_image_with_what_it_needs() -> None:
    """People type either."""
    assert (
        chosen(["load_test"], recipes()) == chosen(["load-test"], recipes()) == chosen(["tiphys/load-test"], recipes())
    )
    assert [each.name for each in chosen(["load_test"], recipes())] == ["debian", "base", "builder", "load-test"]


def test_the_light_ones_need_no_heavy_one() -> None:
    """CI builds them in minutes."""
    assert not {each.name for each in chosen(["light"], recipes())} & set(HEAVY)


def test_an_unknown_image_is_refused_with_the_names_that_there_are() -> None:
    """Nothing is built then."""
    with pytest.raises(
        RecipeError,
        match="no image 'ingset'; there are: all, light, base, batch-score, build-images, builder, canary, check-data",
    ):
        chosen(["ingest", "ingset"], recipes())


@pytest.mark.parametrize("name", RUNNING)
def test_an_image_installs_only_its_own_extra(name: str) -> None:
    """And that extra is there."""
    text = recipes()[name].dockerfile.read_text()
    extras = re.findall(r"inside\.lock (\S+)", text)
    there = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras == ([] if name == "triton" else [name])
    assert set(extras) <= set(there)


@pytest.mark.parametrize("name", RUNNING)
def test_an_image_says_what_it_is(name: str) -> None:
    """OCI labels with title, description, licence, version and revision; the revision also where steps look for it."""
    text = recipes()[name].dockerfile.read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', text))
    assert labels["title"] == f"tiphys/{name}"
    assert (labels["version"], labels["revision"]) == ("${VERSION}", "${REVISION}")
    assert labels["licenses"] == "Apache-2.0"
    assert labels["description"]
    assert "ENV TIPHYS_REVISION=${REVISION}" in text


@pytest.mark.parametrize("component", sorted(contracts()))
def test_a_steps_image_starts_the_step_and_holds_no_other(component: str) -> None:
    """Its entry point is the step's own command line, and a change of another step doesn't touch it."""
    recipe = recipes()[component.replace("_", "-")]
    text = recipe.dockerfile.read_text()
    assert f'ENTRYPOINT ["python", "-m", "components.{component}"]' in text
    assert [each for each in recipe.sources if each.startswith("components/")] == [
        "components/__init__.py", f"components/{component}"
    ]  # fmt: skip
    assert contracts()[component].summary in text


@pytest.mark.parametrize("name", RUNNING)
def test_what_changes_with_every_commit_comes_last(name: str) -> None:
    """Version and revision stand behind every layer that costs time."""
    last = recipes()[name].dockerfile.read_text().rpartition("\nFROM ")[2]
    assert not re.search(r"^(COPY|RUN)", last[last.index("ARG REVISION") :], re.MULTILINE)


def test_nothing_that_no_step_loads_is_in_the_build_context() -> None:
    """The engine, the stack and the command line may change without a step's image changing."""
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert {f"tiphys/{each}" for each in ("cli", "engine", "stack")} <= set(ignored)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two images in git."""
    for name, sources in (("base", "base.txt"), ("step", "tiphys")):
        (tmp_path / "images" / name).mkdir(parents=True)
        start = "scratch" if name == "base" else "${IMAGES}/base:${VERSION}"
        (tmp_path / "images" / name / "Dockerfile").write_text(f"FROM {start}\nCOPY {sources} /\n")
    (tmp_path / "tiphys" / "engine").mkdir(parents=True)
    for path in ("base.txt", "other.txt", "tiphys/step.py", "tiphys/engine/core.py"):
        (tmp_path / path).write_text("first")
    (tmp_path / ".dockerignore").write_text("*\n!tiphys\n!base.txt\ntiphys/engine\n")
    _git(tmp_path, "init", "-q")
    _commit(tmp_path)
    return tmp_path


def _git(project: Path, *words: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(
        ["git", "-C", project, *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def _commit(project: Path) -> str:
    _git(project, "add", "-A")
    _git(project, "commit", "-qm", "change")
    return _git(project, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("path", "concerns"),
    [
        ("tiphys/step.py", True),
        ("base.txt", True),
        ("images/base/Dockerfile", True),
        ("other.txt", False),
        ("tiphys/engine/core.py", False),
    ],
)
def test_an_images_revision_is_the_last_that_changed_anything_it_is_made_from(
    project: Path, path: str, *, concerns: bool
) -> None:
    """So a commit that doesn't concern an image leaves it as it was, digest and all."""
    there = recipes(project / "images")
    before = revision(there["step"], there, project)
    (project / path).write_text((project / path).read_text() + "\n# changed")
    assert revision(there["step"], there, project) == (f"{before}-dirty" if concerns else before)
    head = _commit(project)
    assert revision(there["step"], there, project) == (head if concerns else before)


def test_outside_of_git_the_revision_is_unknown(tmp_path: Path) -> None:
    """An unpacked archive can be built, too."""
    (tmp_path / "images" / "step").mkdir(parents=True)
    (tmp_path / "images" / "step" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("")
    there = recipes(tmp_path / "images")
    assert revision(there["step"], there, tmp_path) == "unknown"


def test_the_command_line_refuses_a_name_before_it_looks_for_a_builder(capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names what there is."""
    assert cli.main(["images", "build", "nonsense"]) == 65
    assert "no image 'nonsense'" in capsys.readouterr().err
