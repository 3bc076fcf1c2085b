"""Which container images this machine can stand in for, and with what PATH, folder and entrypoint."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tiphys.engine.errors import ManifestError

MACHINE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """What stands in for the images that match `pattern` (shell-style, `*` matches `/` too)."""

    pattern: str
    path_prefix: tuple[str, ...] = ()
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


def machine_images() -> list[Image]:
    """Images that any Debian-like machine can stand in for."""
    here = (str(Path(sys.executable).parent),)
    cow = Image("*cowsay*", here, entrypoint=("cowsay",))
    return [
        cow,
        *(
            Image(pattern, here)
            for pattern in ("alpine:*", "busybox:*", "debian:*", "ubuntu:*", "python:*", "docker.io/library/*")
        ),
    ]


def load_images(path: Path) -> list[Image]:
    """The table of a TOML file: `[[image]]` with pattern, path_prefix, workdir, env, entrypoint. Raises ManifestError."""
    import tomllib  # noqa: PLC0415

    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("image", [])
        return [_image(entry) for entry in entries]
    except (OSError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        msg = f"{path}: no table of images ({error}): write [[image]] with at least a pattern"
        raise ManifestError(msg) from None


def _image(entry: dict[str, Any]) -> Image:
    lists: dict[str, Any] = {key: tuple(entry[key]) for key in ("path_prefix", "entrypoint") if key in entry}
    fields: dict[str, Any] = {**entry, **lists}
    return Image(**fields)


class ImageTable:
    """The ordered table: the first pattern that matches counts."""

    def __init__(self, images: Iterable[Image]) -> None:
        """Put the more particular patterns first."""
        self._images = list(images)
        self._found: dict[str, Image | None] = {}

    def find(self, name: str) -> Image | None:
        """What stands in for `name`, or None."""
        if name not in self._found:
            self._found[name] = self._look_up(name)
        return self._found[name]

    def _look_up(self, name: str) -> Image | None:
        short = name.removeprefix("docker.io/library/").removeprefix("docker.io/")
        tagged = short if ":" in short.rsplit("/", 1)[-1] else f"{short}:latest"
        for image in self._images:
            if any(fnmatchcase(candidate, image.pattern) for candidate in (name, short, tagged)):
                return image
        return None

    def require(self, name: str, template: str) -> Image:
        """As `find`, but raises ManifestError with the remedy."""
        found = self.find(name)
        if found is None:
            patterns = ", ".join(image.pattern for image in self._images)
            msg = (
                f"template {template!r}: image {name!r} has no stand-in on this machine (known: {patterns}): "
                "add an [[image]] with its pattern to the table of images"
            )
            raise ManifestError(msg)
        return found
