"""Which builder is taken, and what a person reads when a build fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tiphys.errors import PermanentError, RetryableError, SettingsError
from tiphys.images.build import _explained
from tiphys.images.builders import Builder, NoBuilderError, builder
from tiphys.images.recipes import recipes

pytestmark = pytest.mark.unit


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it yet."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_builder_whose_daemon_is_away_is_passed_over(programs: Path) -> None:
    """A docker command without its daemon is common."""
    _program(programs, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    _program(programs, "podman", "exit 0")
    assert builder().kind == "podman"


def test_without_any_that_works_each_reason_is_told_with_the_remedy(programs: Path) -> None:
    """Not only that there is none."""
    _program(programs, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(NoBuilderError) as caught:
        builder()
    for words in ("docker: Cannot connect to the Docker daemon", "podman: not installed", "apt-get install -y buildah"):
        assert words in str(caught.value)


def test_the_one_that_is_asked_for_is_taken_or_nothing(programs: Path) -> None:
    """No other steps in silently."""
    _program(programs, "podman", "exit 0")
    with pytest.raises(NoBuilderError, match="buildah: not installed"):
        builder("buildah")
    with pytest.raises(SettingsError, match="'kaniko' is no builder"):
        builder("kaniko")


@pytest.mark.parametrize("kind", ["docker", "podman", "buildah"])
def test_what_is_lent_to_a_build_is_mounted_and_never_an_argument(kind: str, tmp_path: Path) -> None:
    """Build arguments stay in an image's history, secrets don't."""
    command = Builder(kind).build(tmp_path / "D", tmp_path, "t", {"VERSION": "1"}, {"build-env": tmp_path / "s"})  # type: ignore[arg-type]
    assert f"id=build-env,src={tmp_path / 's'}" in command
    assert [word for word in command if word.startswith("VERSION=")] == ["VERSION=1"]
    assert ("chroot" in command) == (kind == "buildah")


@pytest.mark.parametrize(
    ("name", "said", "kind", "told"),
    [
        ("ingest", "Error: writing blob: write /var/x: no space left on device", RetryableError, "the disk is full"),
        (
            "debian", "Error: creating build container: initializing source docker://x: pinging container registry localhost: refused",
            PermanentError, "make one here with --base bootstrap",
        ),
        ("ingest", 'LookupError: a==1 is not in requirements.lock\nError: building at STEP "RUN x"', PermanentError, "a==1 is not in"),
    ],
)  # fmt: skip
def test_a_failed_build_is_one_line_with_its_reason(
    name: str, said: str, kind: type[Exception], told: str, tmp_path: Path
) -> None:
    """The disk, the base, or the last line that tells why."""
    error = subprocess.CalledProcessError(125, ["buildah"], output=said)
    found = _explained(recipes()[name], error, tmp_path / "log", "debian:12")
    assert isinstance(found, kind)
    assert told in str(found)
