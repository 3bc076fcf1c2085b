"""Builds that are killed, told to stop, started twice, or that run into a full disk or a registry that refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys import __version__
from tiphys.images.builders import Builder
from tiphys.images.leftovers import stages
from tiphys.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("images")]

BUILDAH = Builder("buildah")
TAG = f"localhost/tiphys-test/slow:{__version__}"
_STARTED: list[subprocess.Popen[str]] = []
RECIPE = """\
ARG IMAGES
ARG VERSION
FROM {base}
USER 0
COPY tiphys/errors.py /errors.py
RUN ["python3", "-c", "import time; text = open('/errors.py').read(); time.sleep(600 if 'takes its time' in text else 0)"]
USER 65532
"""


@pytest.fixture
def project(light_images: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """A project with one image of its own, on the base of all; building takes long if the code says so."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT / "tiphys", folder / "tiphys", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / ".dockerignore", folder)
    (folder / "images" / "slow").mkdir(parents=True)
    base = light_images["ingest"].replace("/ingest:", "/base:")
    (folder / "images" / "slow" / "Dockerfile").write_text(RECIPE.format(base=base))
    (folder / "tiphys" / "errors.py").open("a").write("\n# quick\n")
    yield folder
    for process in _STARTED:
        process.terminate()
        process.wait(60)
    _STARTED.clear()
    subprocess.run(["buildah", "rmi", TAG], capture_output=True, check=False)


def _start(project: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(project), "TIPHYS_HOME": str(project / "home"), **more}
    command = [sys.executable, "-m", "tiphys", "images", "build", "--prefix", "localhost/tiphys-test", *words]
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _STARTED.append(process)
    return process


def _until_it_is_slow(project: Path, eventually: Callable[..., None]) -> None:
    log = project / "home" / "logs" / "images" / "slow.log"

    def slow() -> bool:
        """The slow step runs."""
        lines = log.read_text().splitlines() if log.exists() else []
        return bool(lines) and lines[-1].startswith("STEP 4/")

    eventually(slow)


def _builders_below(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return [int(each) for each in listed.split()]


def test_after_a_build_that_was_killed_the_old_image_is_there_and_the_next_build_works(
    project: Path, eventually: Callable[..., None]
) -> None:
    """No half image takes the tag, and what the dead build left is cleared up."""
    there = stages()
    first = _start(project)
    assert first.wait(120) == 0, first.communicate()[0]
    before = BUILDAH.image_id(TAG)
    (project / "tiphys" / "errors.py").open("a").write("# takes its time\n")
    second = _start(project)
    _until_it_is_slow(project, eventually)
    builders = _builders_below(second.pid)
    assert builders
    second.kill()
    for builder in builders:
        os.killpg(builder, signal.SIGKILL)
    second.wait()
    assert BUILDAH.image_id(TAG) == before
    (project / "tiphys" / "errors.py").write_text(
        (project / "tiphys" / "errors.py").read_text().replace("# takes its time", "# new")
    )
    third = _start(project)
    assert third.wait(120) == 0, third.communicate()[0]
    assert BUILDAH.image_id(TAG) not in {"", before}
    assert stages() - there == frozenset()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_told_to_stop_takes_its_builder_along(
    project: Path, eventually: Callable[..., None], signum: signal.Signals
) -> None:
    """Ctrl-C leaves no process, no working container and no image."""
    there = stages()
    (project / "tiphys" / "errors.py").open("a").write("# takes its time\n")
    process = _start(project)
    _until_it_is_slow(project, eventually)
    builders = _builders_below(process.pid)
    process.send_signal(signum)
    assert process.wait(60) == 130
    assert "interrupted" in process.communicate()[0]
    assert builders
    assert not [each for each in builders if Path(f"/proc/{each}").exists()]
    assert stages() - there == frozenset()
    assert BUILDAH.image_id(TAG) == ""


def test_two_builds_at_once_take_turns(project: Path) -> None:
    """Both end well; the second finds all done."""
    both = [_start(project), _start(project)]
    said = [each.communicate(timeout=180)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted(" unchanged in " in each for each in said) == [False, True], said


def test_a_base_that_cannot_be_had_is_one_line_with_the_remedy(project: Path) -> None:
    """A registry that refuses."""
    shutil.copytree(PROJECT / "images" / "debian", project / "images" / "debian")
    process = _start(project, "debian", "--base", "localhost:9/nobody/debian:12")
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 65
    assert "error: the base image localhost:9/nobody/debian:12 can't be had" in said
    assert "--base bootstrap" in said
    assert "Traceback" not in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Buildah's storage on a disk of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
    settings = tmp_path / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{disk}/run"\ngraphroot = "{disk}/graph"\n')
    yield settings
    subprocess.run(["umount", "--lazy", disk], check=False)


def test_a_full_disk_is_one_line_with_the_remedy(project: Path, small_disk: Path) -> None:
    """And it may be tried again."""
    (project / "images" / "slow" / "Dockerfile").write_text("FROM scratch\nCOPY tiphys /tiphys\n")
    (project / "tiphys" / "big").write_bytes(os.urandom(32 << 20))
    process = _start(project, CONTAINERS_STORAGE_CONF=str(small_disk))
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 75, said
    assert "error: image slow: the disk is full" in said
