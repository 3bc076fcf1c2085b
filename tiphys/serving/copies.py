"""The agent's own copies of model repositories on disk: taken from images, checked, and swapped in one rename.

::

    STATE/copies/DIGEST/manifest.json, reference.json, MODEL/...   one folder an image, never changed
    STATE/shown/MODEL-.../MODEL/config.pbtxt, N -> .../MODEL/N     one version or two of a model, side by side
    STATE/shown/MODEL-.../loaded                                   there once Triton had loaded these
    REPOSITORY/MODEL -> .../shown/MODEL-.../MODEL                  what Triton sees; replaced atomically

It knows no ledger and no Triton.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Collection, Sequence
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
"""Copies of a model that stay on disk whatever they are needed for."""
_LOADED = "loaded"
_VERSIONS = re.compile(r"(\bversions\s*:\s*\[)[\s\d]*(\])")
"""Where a configuration of ours says which versions are served."""


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
        self._copies, self._shown = state / "copies", state / "shown"
        self._repository = repository
        for folder in (self._copies, self._shown, self._repository):
            folder.mkdir(parents=True, exist_ok=True)
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

    def manifest(self, release: Release) -> Manifest:
        """Read the manifest of a copy, its digest checked. Raises as :meth:`check`."""
        where = self._copies / name_of(release) / MANIFEST
        return parse(where.read_bytes(), release.manifest_sha256, str(where))

    def config(self, release: Release) -> str:
        """Read Triton's configuration in a copy."""
        return (self._copies / name_of(release) / release.model / "config.pbtxt").read_text("utf-8")

    def file(self, release: Release, path: str) -> Path:
        """Where a file of a copy lies."""
        return self._copies / name_of(release) / path

    def fit(self, one: Release, other: Release) -> bool:
        """Whether two versions of a model can be served side by side: their configurations differ in the version alone."""
        try:
            configs = [self.config(each) for each in (one, other)]
        except OSError:
            return False
        alike = len({_VERSIONS.sub(r"\1\2", each) for each in configs}) == 1
        return alike and one.number != other.number and len(_VERSIONS.findall(configs[0])) == 1

    def shown(self, model: str) -> dict[str, str]:
        """Return what Triton's repository shows for a model: version -> name of its copy."""
        copies = self._copies.resolve()
        versions = [each.resolve() for each in (self._repository / model).glob("[0-9]*")]
        return {each.name: each.relative_to(copies).parts[0] for each in versions if each.is_relative_to(copies)}

    def has_loaded(self, model: str) -> bool:
        """Whether Triton loaded what its repository shows of a model, and not only what was shown before."""
        return ((self._repository / model).resolve().parent / _LOADED).exists()

    def note_loaded(self, model: str) -> None:
        """Remember that Triton loaded what is shown of a model now."""
        folder = (self._repository / model).resolve().parent
        (folder / _LOADED).touch()
        _sync(folder)

    def show(self, releases: Sequence[Release]) -> Path | None:
        """Let Triton's repository show these versions of one model, in one atomic step; the first's configuration holds.

        Returns what it showed before, for :meth:`show_again`. An ensemble's parts are shown before the model that asks them.
        """
        first = releases[0]
        new = Path(tempfile.mkdtemp(prefix=f"{first.model}-", dir=self._shown))
        new.chmod(0o755)
        for folder in self.manifest(first).folders:
            self._gather(releases if folder == first.model else releases[:1], folder, new / folder)
        _sync_tree(new)
        link = self._repository / first.model
        before = link.resolve().parent if link.is_symlink() else None
        self.show_again(first.model, new)
        return before

    def _gather(self, releases: Sequence[Release], folder: str, target: Path) -> None:
        target.mkdir(mode=0o755)
        copies = [self._copies / name_of(each) / folder for each in releases]
        text = (copies[0] / "config.pbtxt").read_text("utf-8")
        if len(releases) > 1:
            numbers = ", ".join(sorted((each.number for each in releases), key=int))
            text = _VERSIONS.sub(rf"\1 {numbers} \2", text)
        (target / "config.pbtxt").write_text(text, "utf-8")
        for each, copy in zip(releases, copies, strict=True):
            (target / each.number).symlink_to(os.path.relpath(copy / each.number, target))

    def show_again(self, model: str, shown: Path | None) -> None:
        """Let Triton's repository show what it showed before; None: nothing of that model."""
        folders = {each.parent for each in shown.glob("*/config.pbtxt")} if shown else set()
        for each in sorted(folders, key=lambda each: each.name == model):
            new = self._repository / f".new-{each.name}"
            new.unlink(missing_ok=True)
            new.symlink_to(os.path.relpath(each, self._repository))
            new.replace(self._repository / each.name)
        for link in (self._repository / model, *self._repository.glob(f"{model}__*")):
            if link.is_symlink() and link.name not in {each.name for each in folders}:
                link.unlink()
        _sync(self._repository)

    def prune(self, model: str, needed: Collection[Release]) -> None:
        """Remove what a model does not need any more; what Triton is shown and the newest copies stay."""
        link = self._repository / model
        for each in self._shown.glob(f"{model}-*"):
            if link.resolve().parent != each.resolve():
                shutil.rmtree(each, ignore_errors=True)
        folders = [each for each in self._copies.iterdir() if (each / model).is_dir()]
        folders.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        keep = {*self.shown(model).values(), *(name_of(each) for each in needed)}
        for each in folders[_KEPT:]:
            if each.name not in keep:
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
    for each in manifest.folders:
        config = f"{each}/config.pbtxt"
        check_config((folder / config).read_text("utf-8"), manifest, where + config, each)
    return manifest


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    for each in folder.rglob("*"):
        if not each.is_symlink():
            _sync(each)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
