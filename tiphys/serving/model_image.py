"""A model repository as a layer of an image: where its files lie in there, and how the agent gets them out, checked.

In the image the repository is the folder ``/models``, which Triton reads as it is. It knows no registry.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tiphys.errors import DataError
from tiphys.serving.manifest import MANIFEST, MANIFEST_CAP

CONTENT = "model-repository"
"""What the layer says that it holds."""
FOLDER = "models"
"""Where the repository is in the image."""
LAYER_CAP = 4 << 30
"""Most bytes of a layer that the agent fetches."""
_ENTRIES = 64
"""Most entries that an archive of ours has: three files or four, the manifest, their folders; four more for each part."""


def names(folder: Path, paths: tuple[str, ...]) -> dict[str, Path]:
    """Return path in the image -> file here, of a repository that lies in a folder."""
    return {f"{FOLDER}/{path}": folder / path for path in (*paths, MANIFEST)}


def read_manifest(layer: Path, where: str) -> bytes:
    """Return the repository's manifest out of a layer.

    Raises:
        DataError: the layer is no archive of ours.
    """
    with _opened(layer, where) as archive:
        entry = _entries(archive, where).get(MANIFEST)
        if entry is None or entry.size > MANIFEST_CAP:
            message = f"{where} is refused: it has no {FOLDER}/{MANIFEST} of at most {MANIFEST_CAP} bytes"
            raise DataError(message)
        content = archive.extractfile(entry)
        return content.read() if content else b""


def unpack(layer: Path, sizes: Mapping[str, int], target: Path, where: str) -> None:
    """Copy exactly the named files, each of exactly its size, from a layer into a folder.

    Raises:
        DataError: the archive has others, or other sizes; the message names the first.
    """
    with _opened(layer, where) as archive:
        entries = _entries(archive, where)
        for path in sorted(entries.keys() - sizes.keys() - {MANIFEST}):
            message = f"{where} is refused: {FOLDER}/{path} is not in its {MANIFEST}"
            raise DataError(message)
        for path, size in sizes.items():
            entry = entries.get(path)
            if entry is None or entry.size != size:
                found = "missing" if entry is None else f"{entry.size} bytes"
                message = f"{where}: {FOLDER}/{path} is {found}, its {MANIFEST} says {size} bytes: package it again"
                raise DataError(message)
            content = archive.extractfile(entry)
            assert content is not None  # noqa: S101 - it is a regular file
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            with (target / path).open("wb") as file:
                shutil.copyfileobj(content, file)


def _opened(layer: Path, where: str) -> tarfile.TarFile:
    try:
        return tarfile.open(layer, "r:")
    except (tarfile.TarError, EOFError) as error:
        message = f"{where} is refused: its layer is no plain archive: {error}"
        raise DataError(message) from error


def _entries(archive: tarfile.TarFile, where: str) -> dict[str, tarfile.TarInfo]:
    """Return the files of an archive by their path in the repository; anything but plain files in it is refused."""
    found: dict[str, tarfile.TarInfo] = {}
    try:
        for number, entry in enumerate(archive):
            below = entry.name.startswith(f"{FOLDER}/") and ".." not in entry.name.split("/")
            if entry.isdir() and (below or entry.name == FOLDER) and number < _ENTRIES:
                continue
            path = entry.name.removeprefix(f"{FOLDER}/")
            if entry.type != tarfile.REGTYPE or not below or path in found or number >= _ENTRIES:
                message = f"{where} is refused: {entry.name!r} has no place in an image of a model"
                raise DataError(message)
            found[path] = entry
    except (tarfile.TarError, EOFError, ValueError) as error:
        message = f"{where} is refused: its layer is damaged: {error}"
        raise DataError(message) from error
    return found
