"""What a step gets for its image: the image itself where steps run in containers, else what this machine has for it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.errors import ManifestError

if TYPE_CHECKING:
    from tiphys.engine.oci.storage import OciImage, Storage

MACHINE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """What stands in for the images that match `pattern` (shell-style, `*` matches `/` too); `oci` is the image itself."""

    pattern: str
    path_prefix: tuple[str, ...] = ()
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    oci: OciImage | None = None


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

    def __init__(self, images: Iterable[Image], storage: Storage | None = None) -> None:
        """Put the more particular patterns first. `storage` comes before all for the images that it is to look for."""
        self._images = list(images)
        self.storage = storage
        self._found: dict[str, Image | None] = {}

    def find(self, name: str) -> Image | None:
        """What stands in for `name`, or None."""
        if name not in self._found:
            self._found[name] = self._in_storage(name) if self._wanted(name) else self._look_up(name)
        return self._found[name]

    def _wanted(self, name: str) -> bool:
        return self.storage is not None and self.storage.wanted(name)

    def _in_storage(self, name: str) -> Image | None:
        found = self.storage.find(name) if self.storage is not None else None
        if found is None:
            return None
        return Image(name, workdir=found.workdir, entrypoint=found.entrypoint, cmd=found.cmd, oci=found)

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
        if found is None and self._wanted(name):
            msg = (
                f"template {template!r}: ErrImageNeverPull: Container image {name!r} is not present with pull policy of "
                "Never: build it (`make images`), or fetch it (`buildah pull`)"
            )
            raise ManifestError(msg)
        if found is None:
            patterns = ", ".join(image.pattern for image in self._images)
            msg = (
                f"template {template!r}: image {name!r} has no stand-in on this machine (known: {patterns}): "
                "add an [[image]] with its pattern to the table of images"
            )
            raise ManifestError(msg)
        return found
