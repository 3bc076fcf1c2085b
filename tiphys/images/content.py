"""Look into an image that was built: read one of its files."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tiphys import __version__
from tiphys.errors import PermanentError
from tiphys.images.builders import Builder

SBOM = "usr/share/tiphys/sbom.cdx.json"
"""Where an image says what it holds, below its root."""


def sbom(builder: Builder, name: str) -> str:
    """What is in the image of that name, as CycloneDX JSON.

    Raises:
        PermanentError: there is no such image here, or it has none because nothing runs in it.
    """
    tag = f"{builder.prefix}/{name}:{__version__}"
    if not builder.image_id(tag):
        message = f"no image {tag} here: 'tiphys images build {name}' builds it"
        raise PermanentError(message)
    text = _read(builder, tag, SBOM)
    if text is None:
        message = f"image {tag} has no list of what it holds: it is one that others are made from"
        raise PermanentError(message)
    return text.decode()


def _read(builder: Builder, tag: str, path: str) -> bytes | None:
    if builder.kind != "buildah":
        return _copied(builder, tag, path)
    with mounted(tag) as root:
        file = root / path
        return file.read_bytes() if file.is_file() else None


def _copied(builder: Builder, tag: str, path: str) -> bytes | None:
    container = _said(builder.kind, "create", tag)
    try:
        done = subprocess.run([builder.kind, "cp", f"{container}:/{path}", "-"], capture_output=True, check=False)  # noqa: S603
    finally:
        _said(builder.kind, "rm", container)
    if done.returncode != 0:
        return None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        file = archive.extractfile(Path(path).name)
        return file.read() if file else None


@contextlib.contextmanager
def mounted(tag: str) -> Iterator[Path]:
    """The root of an image in buildah's storage, to be read."""
    container = _said("buildah", "from", "--pull-never", tag)
    try:
        yield Path(_said("buildah", "mount", container))
    finally:
        _said("buildah", "rm", container)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        message = f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}"
        raise PermanentError(message)
    return done.stdout.strip()
