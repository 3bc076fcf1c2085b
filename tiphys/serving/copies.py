"""The agent's own copies of model repositories on disk: taken from images, checked, and swapped in one rename.

::

    STATE/copies/DIGEST/manifest.json, reference.json, MODEL/...     one folder an image, never changed
    REPOSITORY/MODEL -> .../copies/DIGEST/MODEL                      what Triton sees; replaced atomically
    STATE/serving.json                                               what was last seen to serve

It knows no ledger and no Triton.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tiphys.errors import DataError
from tiphys.lake.s3 import S3
from tiphys.oci import reference
from tiphys.oci.pull import pull_layer
from tiphys.release.records import Release
from tiphys.serving import model_image
from tiphys.serving.manifest import MANIFEST, Manifest, check_config, check_file, parse
from tiphys.settings import RegistrySettings

_KEPT = 3
"""Copies of a model that stay on disk: the serving one and what a rollback may want."""


@dataclass(frozen=True)
class Source:
    """Where images are fetched from: the registry of the settings, or S3."""

    store: S3
    registry: RegistrySettings

    def fetch(self, release: Release, target: Path) -> None:
        """Copy the layer with a release's repository to a file.

        Raises:
            DataError: the release has no image, or the image is not what its digest says.
            PermanentError: the registry refuses.
            RetryableError: registry or S3 is away.
        """
        if not release.image:
            message = f"{release.model_version} was released without an image: run the pipeline again"
            raise DataError(message)
        image, cap = reference.parse(release.image), model_image.LAYER_CAP
        pull_layer(image, model_image.CONTENT, cap, target, store=self.store, settings=self.registry)


class Copies:
    """All copies below one folder."""

    def __init__(self, state: Path, repository: Path) -> None:
        """Keep copies below ``state``; Triton reads ``repository``."""
        self._copies = state / "copies"
        self._repository = repository
        self._record = state / "serving.json"
        self._copies.mkdir(parents=True, exist_ok=True)
        self._repository.mkdir(parents=True, exist_ok=True)
        for stale in (*self._copies.glob(".new-*"), *repository.glob(".new-*")):
            _remove(stale)

    def obtain(self, release: Release, source: Source) -> Manifest:
        """Return the manifest of a copy that is here and whole, after fetching it if need be.

        Raises:
            DataError: the image, the repository in it, or a file of that is not what the release says.
            PermanentError: the registry refuses.
            RetryableError: registry or S3 is away.
        """
        try:
            return self.check(release)
        except (DataError, OSError):
            return self._fetch(release, source)

    def check(self, release: Release) -> Manifest:
        """Compare the copy on disk with its manifest. Raises DataError or OSError where it isn't whole."""
        folder = self._copies / name_of(release)
        return _checked(folder, (folder / MANIFEST).read_bytes(), release, str(folder) + "/")

    def _fetch(self, release: Release, source: Source) -> Manifest:
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=self._copies))
        layer = new / "layer.tar"
        try:
            source.fetch(release, layer)
            text = model_image.read_manifest(layer, release.image)
            manifest = parse(text, release.manifest_sha256, f"{release.image}: {MANIFEST}")
            sizes = {path: digest.bytes for path, digest in manifest.files.items()}
            model_image.unpack(layer, sizes, new, release.image)
            layer.unlink()
            (new / MANIFEST).write_bytes(text)
            _checked(new, text, release, f"{release.image}: ")
            new.chmod(0o755)
            _sync_tree(new)
            final = self._copies / name_of(release)
            shutil.rmtree(final, ignore_errors=True)
            new.rename(final)
            _sync(self._copies)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return manifest

    def shown(self, model: str) -> str | None:
        """Return the name of the copy that Triton's repository shows for a model."""
        link = self._repository / model
        return link.readlink().parts[-2] if link.is_symlink() else None

    def show(self, model: str, copy: str | None) -> None:
        """Let Triton's repository show that copy of a model, or none, in one atomic step."""
        link = self._repository / model
        if copy is None:
            link.unlink(missing_ok=True)
        else:
            new = self._repository / f".new-{model}"
            new.unlink(missing_ok=True)
            new.symlink_to(os.path.relpath(self._copies / copy / model, self._repository))
            new.replace(link)
        _sync(self._repository)

    def serving(self) -> dict[str, tuple[Release, str]]:
        """Return what was last seen to serve: model -> (release, version)."""
        try:
            found = json.loads(self._record.read_bytes())
            return {model: (Release(**each["release"]), each["version"]) for model, each in found.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def remember(self, serving: dict[str, tuple[Release, str]]) -> None:
        """Write down what serves, for the time after a restart without ledger and without S3."""
        content = {
            model: {"release": release.model_dump(), "version": version}
            for model, (release, version) in serving.items()
        }
        new = self._record.with_suffix(".new")
        with new.open("w", encoding="utf-8") as opened:
            json.dump(content, opened, indent=2)
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(self._record)
        _sync(self._record.parent)

    def prune(self, model: str) -> None:
        """Remove the oldest copies of a model; what Triton is shown stays."""
        folders = [each for each in self._copies.iterdir() if (each / model).is_dir()]
        folders.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        shown = self.shown(model)
        for each in folders[_KEPT:]:
            if each.name != shown:
                shutil.rmtree(each, ignore_errors=True)


def name_of(release: Release) -> str:
    """Return the name of a release's copy: the digest of its image, so that a copy never stands for another image."""
    return release.image.rpartition(":")[2] or release.manifest_sha256


def _checked(folder: Path, text: bytes, release: Release, where: str) -> Manifest:
    manifest = parse(text, release.manifest_sha256, where + MANIFEST)
    model = release.model
    if (manifest.model, manifest.version) != (model, release.number):
        message = (
            f"{where}{MANIFEST} is refused: it is of {manifest.model!r} version {manifest.version}, "
            f"the release is of {model!r} version {release.number}"
        )
        raise DataError(message)
    for path, digest in manifest.files.items():
        check_file(folder / path, digest, where + path)
    check_config((folder / manifest.config_path).read_text("utf-8"), manifest, where + manifest.config_path)
    return manifest


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    for each in folder.rglob("*"):
        _sync(each)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
