"""Images really built from a Debian made here, and run by runc as a restricted pod would be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys import __version__
from tiphys.images.audit.content import content
from tiphys.images.builders import Builder
from tiphys.images.recipes import recipes, revision
from tiphys.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("images")]

Run = Callable[..., subprocess.CompletedProcess[str]]
BUILDAH = Builder("buildah")
LIGHT_MB = 300
LOOK = """
import os, sys, json
def write(path):
    try:
        open(path, "w").close()
        return "written"
    except OSError as error:
        return error.strerror
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "root": write("/x"), "code": write("/opt/tiphys/x"), "tmp": write("/tmp/x"),
    "home": os.path.expanduser("~"), "revision": os.environ["TIPHYS_REVISION"],
    "prefix": sys.prefix, "debian's own": sys.base_prefix,
}))
"""


@pytest.mark.parametrize("name", ["ingest", "integration-test", "load-test"])
def test_a_step_explains_itself_in_its_image(light_images: dict[str, str], in_container: Run, name: str) -> None:
    """The entry point is the step's own command line; it needs no writable root and no privilege."""
    done = in_container(light_images[name], "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m components.{name.replace('-', '_')}" in done.stdout


@pytest.mark.parametrize("name", ["ingest", "integration-test", "load-test"])
def test_a_step_and_what_it_brings_can_be_loaded_in_its_image(
    light_images: dict[str, str], in_container: Run, name: str
) -> None:
    """Its own extra is enough: the work, not only the contract, is imported."""
    parts = {"ingest": "pyarrow.parquet, pyarrow.compute, usecases.taxi_eta.data", "load-test": "usecases.taxi_eta.slo"}
    modules = f"components.{name.replace('-', '_')}.step, {parts.get(name, 'usecases.taxi_eta.api, tritonclient.http, tritonclient.grpc')}"
    done = in_container(light_images[name], "-c", f"import {modules}", program=("python",))
    assert done.returncode == 0, done.stderr


def test_locust_runs_in_the_image_of_the_load_test(light_images: dict[str, str], in_container: Run) -> None:
    """The step starts it as a program of its own."""
    done = in_container(light_images["load-test"], "-m", "locust", "--version", program=("python",))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("locust ")


def test_a_step_is_nobody_and_can_write_to_tmp_only(light_images: dict[str, str], in_container: Run) -> None:
    """User 65532, a read-only root, Debian's Python, and the revision of the code."""
    done = in_container(light_images["ingest"], "-c", LOOK, program=("python",))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "user": 65532, "group": 65532, "root": "Read-only file system", "code": "Read-only file system", "tmp": "written",
        "home": "/tmp", "revision": BUILDAH.labels(light_images["ingest"])["org.opencontainers.image.revision"],
        "prefix": "/opt/venv", "debian's own": "/usr",
    }  # fmt: skip


def test_light_images_are_small(light_images: dict[str, str]) -> None:
    """At most 300 MB unpacked."""
    sizes = {name: sum(BUILDAH.layers(tag).values()) / 1e6 for name, tag in light_images.items()}
    assert all(40 < size <= LIGHT_MB for size in sizes.values()), sizes


def test_light_images_pass_the_audit(light_images: dict[str, str]) -> None:
    """Not root, no setuid program, no secret, no installer, labels, and a list of what they hold."""
    found = [finding for tag in light_images.values() for finding in content(BUILDAH, tag)]
    assert [each for each in found if each.verdict != "good"] == []


def test_an_image_carries_version_and_revision(light_images: dict[str, str]) -> None:
    """One release tag for all; the revision is that of what the image is made from."""
    labels = BUILDAH.labels(light_images["load-test"])
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == revision(recipes()["load-test"], recipes())


def test_the_same_content_of_another_revision_carries_that_revision(
    light_images: dict[str, str], tmp_path: Path
) -> None:
    """Committed after it was built, it must not be called dirty for ever; the same revision gives the same image."""
    base = light_images["ingest"].replace("/ingest:", "/base:")
    lines = (
        "ARG REVISION=unknown",
        "ENV TIPHYS_REVISION=${REVISION}",
        'LABEL org.opencontainers.image.revision="${REVISION}"',
    )
    (tmp_path / "Dockerfile").write_text("\n".join((f"FROM {base}", *lines, "")))
    made = {}
    try:
        for told, name in (("a-dirty", "one"), ("b", "two"), ("b", "three")):
            tag = f"localhost/tiphys-test/revision:{name}"
            command = BUILDAH.build(tmp_path / "Dockerfile", tmp_path, tag, {"REVISION": told}, {})
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            config = BUILDAH.inspect(tag)["OCIv1"]["config"]
            assert config["Labels"]["org.opencontainers.image.revision"] == told
            assert f"TIPHYS_REVISION={told}" in config["Env"]
            made[name] = BUILDAH.image_id(tag)
    finally:
        for name in ("one", "two", "three"):
            tag = f"localhost/tiphys-test/revision:{name}"
            subprocess.run(["buildah", "rmi", tag], capture_output=True, check=False, timeout=60)
    assert made["one"] != made["two"] == made["three"]


def test_an_image_lists_what_it_holds(light_images: dict[str, str]) -> None:
    """Debian's packages and Python's, as CycloneDX, with licences; nothing of another step."""
    assert light_images
    done = _tiphys(PROJECT, "images", "sbom", "load_test")
    assert done.returncode == 0, done.stderr
    bom = json.loads(done.stdout)
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "tiphys/load-test")
    listed = {each["purl"].partition("@")[0]: each for each in bom["components"]}
    assert {"pkg:deb/debian/libc6", "pkg:pypi/locust", "pkg:pypi/pydantic"} <= set(listed)
    assert not {"pkg:pypi/pyarrow", "pkg:pypi/torch", "pkg:deb/debian/apt", "pkg:pypi/uv"} & set(listed)
    assert listed["pkg:pypi/locust"]["licenses"]


def test_building_what_has_not_changed_builds_nothing(light_images: dict[str, str]) -> None:
    """Every layer comes from the cache, and the image is the very same."""
    before = {tag: BUILDAH.image_id(tag) for tag in light_images.values()}
    done = _tiphys(PROJECT, "images", "build", "--base", "bootstrap", "--builder", "buildah", *light_images)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {tag: BUILDAH.image_id(tag) for tag in light_images.values()} == before
    assert done.stdout.count(" unchanged in ") == len(light_images) + 3
    assert " built in " not in done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The project as git would hand it out, to be changed; images built from it under another name are taken away."""
    listed = subprocess.run(
        ["git", "-C", PROJECT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    folder = tmp_path / "copy"
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    yield folder
    for name in ("load-test", "ingest", "builder", "base", "debian"):
        subprocess.run(
            ["buildah", "rmi", f"localhost/tiphys-test/{name}:{__version__}"], capture_output=True, check=False
        )


def test_a_change_of_a_component_builds_its_own_image_only(light_images: dict[str, str], copy: Path) -> None:
    """And of that only the layer of its code."""
    assert light_images
    build = ("images", "build", "--base", "bootstrap", "--prefix", "localhost/tiphys-test", "ingest", "load_test")
    first = _tiphys(copy, *build)
    assert first.returncode == 0, first.stdout + first.stderr
    layers = list(BUILDAH.layers(f"localhost/tiphys-test/load-test:{__version__}"))
    step = copy / "components" / "load_test" / "step.py"
    step.write_text(step.read_text() + "\n# changed\n")
    (copy / "tiphys" / "engine" / "core.py").write_text("# what no step loads\n")
    second = _tiphys(copy, *build)
    assert second.returncode == 0, second.stdout + second.stderr
    assert [line.split()[1] for line in second.stdout.splitlines() if " built in " in line] == ["load-test"]
    after = list(BUILDAH.layers(f"localhost/tiphys-test/load-test:{__version__}"))
    assert len(after) == len(layers)
    assert [old == new for old, new in zip(layers, after, strict=True)] == [True] * (len(layers) - 1) + [False]


def _tiphys(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run(
        [sys.executable, "-m", "tiphys", *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
