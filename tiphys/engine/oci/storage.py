"""The images of this machine, as buildah keeps them: what each says of itself, and where its files are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tiphys.engine.errors import EngineError, ManifestError

Json = dict[str, Any]
PROGRAM, RUNTIME = "buildah", "runc"
_NAME = re.compile(
    r"(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::\d+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_WORKING = re.compile(r"tiphys-[0-9a-f]{16}")
_PATIENCE = 120  # seconds; buildah waits for its storage while another one writes a large image


@dataclass(frozen=True)
class OciImage:
    """An image as its own configuration has it; `identity` is the digest of that."""

    name: str
    identity: str
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""


class Storage:
    """The image storage, for images whose names match one of some shell patterns."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Only images that match a pattern are looked for; `*` matches `/` too."""
        self._patterns = tuple(patterns)
        self._found: dict[str, OciImage | None] = {}
        self._roots: dict[str, str] = {}
        self._lock = threading.Lock()

    def wanted(self, name: str) -> bool:
        """Whether steps with this image are to run in it."""
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)

    @property
    def wants_all(self) -> bool:
        """Whether every step is to run in its image."""
        return "*" in self._patterns

    def find(self, name: str) -> OciImage | None:
        """The image called `name`; None if it is not here. Raises ManifestError for what is no name, EngineError without tools."""
        if name not in self._found:
            if not _NAME.fullmatch(name):
                msg = f"image {name!r} is no name of an image: write [REGISTRY/]NAME[:TAG][@sha256:DIGEST]"
                raise ManifestError(msg)
            told = _buildah("inspect", "--type", "image", "--", name)
            self._found[name] = None if told.returncode else _image(name, json.loads(told.stdout))
        return self._found[name]

    def root(self, image: OciImage) -> str:
        """The folder with the image's files, mounted; not to be written to. Raises EngineError."""
        with self._lock:
            path = self._roots.get(image.identity, "")
            if not os.path.ismount(path):
                path = self._roots[image.identity] = _mounted(image)
            return path


def problem() -> str:
    """Why this machine can't run steps in containers, with the remedy; empty if it can."""
    missing = [name for name in (PROGRAM, RUNTIME) if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "only root can mount images and start containers here: use sudo, or run the steps as processes"
    return ""


def _mounted(image: OciImage) -> str:
    """Mount an image by a working container of buildah, which stays for the next engine; those of images that have gone go."""
    name = f"tiphys-{image.identity[:16]}"
    there = json.loads(_told("containers", "--json") or "[]") or []
    if name not in {each["containername"] for each in there}:
        _forget(there)
        made = _buildah("from", "--pull-never", "--name", name, "--", image.identity)
        if made.returncode and "already in use" not in made.stderr:
            raise EngineError(_failure("from", made.stderr))
    return _told("mount", "--", name).strip()


def _forget(working: list[Json]) -> None:
    """Remove working containers of ours whose image has no name any more: it was built anew."""
    named = {
        each["id"].removeprefix("sha256:")
        for each in json.loads(_told("images", "--json", "--no-trunc") or "[]") or []
        if each.get("names")
    }
    for each in working:
        if _WORKING.fullmatch(each["containername"]) and each["imageid"] not in named:
            _buildah("rm", "--", each["containername"])


def _image(name: str, told: Json) -> OciImage:
    config = (told.get("OCIv1") or {}).get("config") or {}
    return OciImage(
        name=name,
        identity=told["FromImageID"],
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        env=dict(entry.split("=", 1) for entry in config.get("Env") or () if "=" in entry),
        workdir=config.get("WorkingDir") or "/",
        user=config.get("User") or "",
    )


def _told(*words: str) -> str:
    """What buildah prints. Raises EngineError if it fails."""
    done = _buildah(*words)
    if done.returncode:
        raise EngineError(_failure(words[0], done.stderr))
    return done.stdout


def _failure(word: str, text: str) -> str:
    last = (text.strip().splitlines() or ["it said nothing"])[-1]
    return f"buildah {word} failed: {last}"


def _buildah(*words: str) -> subprocess.CompletedProcess[str]:
    reason = problem()
    if reason:
        msg = f"steps can't run in containers here: {reason}"
        raise EngineError(msg)
    try:
        return subprocess.run(  # noqa: S603
            [shutil.which(PROGRAM) or PROGRAM, *words], capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        msg = f"buildah {words[0]} has not answered for {_PATIENCE} s: another program holds the image storage"
        raise EngineError(msg) from None
