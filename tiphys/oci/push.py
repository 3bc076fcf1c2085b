"""Put an image into a registry: what it stands on first, then its own layer, and its manifest last."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

from tiphys.errors import DataError
from tiphys.oci.image import (
    Base,
    Descriptor,
    Image,
    choose,
    is_index,
    parse_manifest,
)
from tiphys.oci.reference import Reference, parse
from tiphys.oci.registry import Registry
from tiphys.settings import RegistrySettings

log = logging.getLogger(__name__)


def fetch_base(image: str, settings: RegistrySettings) -> Base:
    """Read manifest and configuration of an image to stand on: ``HOST/PATH@sha256:...``, also of several platforms.

    Raises:
        DataError: it is no image by digest, not in a registry, or not what its digest says.
        PermanentError, RetryableError: as :mod:`tiphys.oci.registry` says.
    """
    reference = parse(image)
    if reference.in_s3:
        message = f"TIPHYS_TRITON_IMAGE is {image!r}: a base lies in a registry, as HOST/PATH@sha256:..."
        raise DataError(message)
    registry = Registry(reference.host, settings)
    text = registry.manifest(reference.path, reference.digest)
    if is_index(text):
        text = registry.manifest(reference.path, choose(text, image))
    manifest = parse_manifest(text, image)
    config = json.loads(registry.blob(reference.path, manifest.config))
    return Base(manifest, config, reference.where, reference.digest)


def push(image: Image, where: str, tag: str, settings: RegistrySettings, base: Base | None = None) -> Reference:
    """Push an image to ``HOST/PATH`` and return its name by digest. What is there already is not sent again.

    Raises:
        PermanentError, RetryableError: as :mod:`tiphys.oci.registry` says.
    """
    target = Reference(where, image.digest)
    registry = Registry(target.host, settings)
    for layer in image.parsed.layers[:-1] if base else ():
        _take_over(layer, base.name if base else "", target, registry, settings)
    registry.upload(target.path, image.own_layer, image.layer)
    registry.upload(target.path, image.parsed.config, image.config)
    registry.put_manifest(target.path, image.manifest, tag)
    return target


def push_folder(folder: Path, where: str, tag: str, settings: RegistrySettings) -> Reference:
    """Push an image that some builder left as an OCI layout in a folder to ``HOST/PATH``; returns its name by digest.

    Raises:
        DataError: the folder holds no single image.
        PermanentError, RetryableError: as :mod:`tiphys.oci.registry` says.
    """
    listed = json.loads((folder / "index.json").read_bytes())["manifests"]
    if len(listed) != 1:
        message = f"{folder} holds {len(listed)} images, not one: build it again"
        raise DataError(message)
    target = Reference(where, str(Descriptor.model_validate(listed[0]).digest))
    registry = Registry(target.host, settings)
    text = _blob(folder, target.digest).read_bytes()
    manifest = parse_manifest(text, where)
    for each in (*manifest.layers, manifest.config):
        registry.upload(target.path, each, _blob(folder, each.digest))
    registry.put_manifest(target.path, text, tag)
    return target


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def _take_over(layer: Descriptor, base: str, target: Reference, registry: Registry, settings: RegistrySettings) -> None:
    """Have a base's layer in the target: mounted where both are in one registry and it does that, else copied."""
    host, _, path = base.partition("/")
    if registry.has_blob(target.path, layer.digest):
        return
    if host == target.host and registry.mount(target.path, layer.digest, path):
        return
    log.info("copying %s of %s (%.0f MB)", layer.digest[:19], base, layer.size / 1e6)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "layer"
        Registry(host, settings).download(path, layer, file)
        registry.upload(target.path, layer, file)
