"""Fetch one layer of an image by the image's digest, from wherever the image lies; everything is compared on the way."""

from __future__ import annotations

from pathlib import Path

from tiphys.errors import DataError
from tiphys.lake.s3 import S3
from tiphys.oci.image import layer_with, parse_manifest
from tiphys.oci.layout import Layout
from tiphys.oci.reference import Reference
from tiphys.oci.registry import Registry
from tiphys.settings import RegistrySettings


def pull_layer(  # noqa: PLR0913 - what, from where, and where to
    reference: Reference, content: str, cap: int, target: Path, *, store: S3, settings: RegistrySettings
) -> None:
    """Copy the layer that holds ``content`` to a file.

    Args:
        reference: the image.
        content: what its layer says that it holds.
        cap: most bytes that the layer may have.
        target: a file that does not exist yet; it is not there after an error.
        store: S3, for a layout; its patience is that of a registry, too.
        settings: the registry that images may come from, and the login.

    Raises:
        DataError: a digest differs, or the image is none of ours.
        PermanentError: the registry refuses, or is not the one of the settings.
        RetryableError: registry or S3 is away.
    """
    layout = Layout(reference.where, store)
    registry = None if reference.in_s3 else known_registry(reference, settings, store.patience)
    text = registry.manifest(reference.path, reference.digest) if registry else layout.manifest(reference.digest)
    layer = layer_with(parse_manifest(text, str(reference)), content, str(reference))
    if layer.size > cap:
        message = f"{reference} is refused: its layer has {layer.size} bytes, at most {cap} are fetched"
        raise DataError(message)
    if registry:
        registry.download(reference.path, layer, target)
    else:
        layout.download(layer, target)


def known_registry(reference: Reference, settings: RegistrySettings, patience: float) -> Registry:
    """Return the registry of an image, if it is the one of the settings: a release cannot send us anywhere else.

    Raises:
        DataError: it is another one.
    """
    if not settings.registry or not reference.where.startswith(settings.registry.rstrip("/") + "/"):
        message = f"{reference} is refused: images come from TIPHYS_REGISTRY, which is {settings.registry or 'not set'}"
        raise DataError(message)
    return Registry(reference.host, settings, patience)
