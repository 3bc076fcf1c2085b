"""Build images in the order of their needs: one at a time, a log each, and only what has changed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tiphys import __version__
from tiphys.errors import PermanentError, RetryableError, TiphysError
from tiphys.images.builders import Builder
from tiphys.images.debian import WORD, debian
from tiphys.images.inside.surroundings import AUTHORITIES, JAVA_AUTHORITIES, SETTINGS
from tiphys.images.leftovers import remove_new, stages
from tiphys.images.recipes import Recipe, recipes, revision
from tiphys.images.running import run
from tiphys.settings import LENT_TO_BUILDS, PROJECT, ImageSettings, surroundings

JAVA_TRUST = Path("/etc/ssl/certs/java/cacerts")
FULL = ("no space left on device", "disk quota exceeded")
REFUSED = (
    "initializing source", "pinging container registry", "unable to copy from source", "failed to resolve source metadata",
    "pull access denied", "manifest unknown", "no such host", "error creating build container", "short-name",
)  # fmt: skip
"""How builders begin to say that a base can't be had."""


@dataclass(frozen=True)
class Built:
    """What became of one image."""

    recipe: Recipe
    tag: str
    seconds: float
    changed: bool


@dataclass(frozen=True)
class Plan:
    """How this machine builds: builder, base, where logs go, and how to tell a person."""

    builder: Builder
    settings: ImageSettings
    logs: Path
    say: Callable[[str], None]
    base: str = ""
    fresh: bool = False

    def tag(self, recipe: Recipe) -> str:
        """The image's name with the release's tag."""
        return f"{self.builder.prefix}/{recipe.name}:{__version__}"


def build(plan: Plan, wanted: Sequence[Recipe]) -> Iterator[Built]:
    """Build the images one after another; each has its tag only once it is whole.

    Raises:
        TiphysError: one failed; the message says which, why, and the remedy. What was built before stays.
    """
    with _alone(plan.builder, plan.say), tempfile.TemporaryDirectory(prefix="tiphys-images-") as scratch:
        secrets = _secrets(plan, Path(scratch))
        base = (
            debian(plan.builder, plan.logs / f"{WORD}.log", plan.say, anew=plan.fresh)
            if plan.base == WORD
            else plan.base
        )
        there = recipes()
        for recipe in wanted:
            yield _build(plan, recipe, _arguments(plan, recipe, base, there), secrets)


def _build(plan: Plan, recipe: Recipe, arguments: Mapping[str, str], secrets: Mapping[str, Path]) -> Built:
    tag, log, began = plan.tag(recipe), plan.logs / f"{recipe.name}.log", time.monotonic()
    before = plan.builder.image_id(tag)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    command = plan.builder.build(recipe.dockerfile, PROJECT, tag, arguments, secrets)
    if plan.fresh:
        command.insert(2, "--no-cache")
    for folder in _wheels():
        command[2:2] = plan.builder.lends(folder)
    try:
        run(command, log)
    except subprocess.CalledProcessError as error:
        raise _explained(recipe, error, log, arguments.get("BASE", "")) from error
    return Built(recipe, tag, time.monotonic() - began, plan.builder.image_id(tag) != before)


def _arguments(plan: Plan, recipe: Recipe, base: str, there: dict[str, Recipe]) -> dict[str, str]:
    """The build arguments that the Dockerfile asks for."""
    given = {"IMAGES": plan.builder.prefix, "VERSION": __version__, "TORCH": plan.settings.torch}
    text = recipe.dockerfile.read_text(encoding="utf-8")
    if base:
        given["BASE"] = base
    if "\nARG REVISION" in text:
        given["REVISION"] = revision(recipe, there)
    if "\nARG BUILDER" in text:
        given["BUILDER"] = plan.builder.image_id(plan.tag(there["builder"]))
    return {name: value for name, value in given.items() if f"\nARG {name}" in text}


def _secrets(plan: Plan, scratch: Path) -> dict[str, Path]:
    """What is lent to RUN steps: files that are mounted, and so are in no layer."""
    settings = scratch / "settings.json"
    lent = surroundings(*LENT_TO_BUILDS)
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        if lent.get(name, "").startswith("/") and plan.builder.kind == "docker":
            del lent[name]
    settings.write_text(json.dumps(lent), encoding="utf-8")
    settings.chmod(0o600)
    found = {SETTINGS: settings}
    authorities = Path(plan.settings.authorities or "/etc/ssl/certs/ca-certificates.crt")
    if authorities.is_file():
        found[AUTHORITIES] = authorities
    if JAVA_TRUST.is_file():
        found[JAVA_AUTHORITIES] = JAVA_TRUST
    return found


def _wheels() -> list[Path]:
    """Folders of packages that pip or uv look into on this machine."""
    told = " ".join(surroundings("PIP_FIND_LINKS", "UV_FIND_LINKS").values())
    return [folder for each in dict.fromkeys(told.split()) if (folder := Path(each)).is_absolute() and folder.is_dir()]


def _explained(recipe: Recipe, error: subprocess.CalledProcessError, log: Path, base: str) -> TiphysError:
    said = str(error.output)
    lines = [each.strip() for each in said.splitlines() if each.strip()]
    telling = [each for each in lines if "rror" in each and "building at STEP" not in each and "time=" not in each]
    last = (telling or lines or [f"exit code {error.returncode}"])[-1]
    if any(each in said.lower() for each in FULL):
        return RetryableError(
            f"image {recipe.name}: the disk is full; free some, then build again: what was built before is kept"
        )
    if recipe.name == "debian" and any(each in said.lower() for each in REFUSED):
        return PermanentError(
            f"the base image {base or 'that images/debian/Dockerfile names'} can't be had: {last[:300]}; name another Debian 12 "
            f"with --base IMAGE (make: BASE=IMAGE), or make one here with --base {WORD}"
        )
    return PermanentError(f"image {recipe.name} can't be built: {last[:500]}; the whole log: {log}")


@contextlib.contextmanager
def _alone(builder: Builder, say: Callable[[str], None]) -> Iterator[None]:
    """One build at a time on this machine: two that make the same tag would each build everything.

    The builder inherits the lock: one that outlives us still holds it. Its file tells which stages were there when the
    build began, so that the next one can clear up after one that was killed.
    """
    path = Path(tempfile.gettempdir()) / f"tiphys-images-{os.geteuid()}.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - its own way
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build of images runs here: waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if builder.kind != "buildah":
            yield
            return
        if told := lock.read():
            remove_new(frozenset(told.split()))
        before = stages()
        _write(lock, " ".join(sorted(before)) or "none")
        try:
            yield
        finally:
            remove_new(before)
            _write(lock, "")


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
