"""The form of an image, after the OCI image specification 1.1: one layer of files, appended to a base or standing alone.

The same files, labels and base give the same bytes and so the same digest, whoever builds it and when: entries are
sorted, have no owner and no time, and the layer is not compressed (zlib's output differs from release to release, and
a model's weights hardly shrink). It knows no registry.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiphys.errors import DataError
from tiphys.oci.reference import DIGEST

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_TYPE + "+gzip",
}
MANIFEST_CAP = 4 << 20
"""Most bytes that a manifest or a configuration may have, as registries have it, too."""
EPOCH = "1970-01-01T00:00:00Z"
"""When every image of ours was made: a real time would give another digest each time."""
PLATFORM = {"os": "linux", "architecture": "amd64"}


class Descriptor(BaseModel):
    """What a manifest says of a blob."""

    model_config = ConfigDict(extra="allow", frozen=True)

    media_type: str = Field(alias="mediaType")
    digest: str = Field(pattern=f"^{DIGEST}$")
    size: int = Field(ge=0)
    annotations: dict[str, str] = {}

    def as_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return self.model_dump(by_alias=True, exclude_defaults=True)


class Manifest(BaseModel):
    """The parts of an image."""

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: int = Field(alias="schemaVersion", ge=2, le=2)
    media_type: str = Field(MANIFEST_TYPE, alias="mediaType")
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


@dataclass(frozen=True)
class Base:
    """An image to stand on: its manifest, its configuration, and how to name it."""

    manifest: Manifest
    config: Mapping[str, Any]
    name: str
    digest: str


@dataclass(frozen=True)
class Image:
    """An image made here: two small texts and the file of its own layer; the base's layers stay where they are."""

    manifest: bytes
    config: bytes
    layer: Path
    parsed: Manifest

    @property
    def digest(self) -> str:
        """What the image is called by."""
        return digest_of(self.manifest)

    @property
    def own_layer(self) -> Descriptor:
        """The layer that was appended."""
        return self.parsed.layers[-1]

    @property
    def size(self) -> int:
        """Bytes of everything that one who has nothing yet has to fetch."""
        blobs = (self.parsed.config, *self.parsed.layers)
        return len(self.manifest) + sum(each.size for each in blobs)


def digest_of(content: bytes) -> str:
    """Return the digest that names some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Read an image's manifest.

    Raises:
        DataError: it is none.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{where} is no image manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(message) from None


def write_layer(files: Mapping[str, Path], target: Path) -> None:
    """Write files (path in the image -> file here) as a layer: a tar archive that says nothing but names and bytes."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents if str(parent) != "."}
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted({*files, *folders}):
            entry = tarfile.TarInfo(path)
            if path in files:
                entry.size, entry.mode = files[path].stat().st_size, 0o644
                with files[path].open("rb") as content:
                    archive.addfile(entry, content)
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)


def assemble(
    layer: Path, content: str, labels: Mapping[str, str], base: Base | None = None, arguments: Sequence[str] = ()
) -> Image:
    """Append a layer to a base, or to nothing.

    Args:
        layer: what :func:`write_layer` wrote.
        content: what the layer holds, for those who want only this one: an annotation of its descriptor.
        labels: of the image; also the annotations of its manifest, where tools look that fetch no configuration.
        base: what to stand on; its entry point, environment and user stay.
        arguments: what its program is told besides what the base tells it.
    """
    with layer.open("rb") as opened:
        digest = "sha256:" + hashlib.file_digest(opened, "sha256").hexdigest()
    own = {
        "mediaType": LAYER_TYPE,
        "digest": digest,
        "size": layer.stat().st_size,
        "annotations": {CONTENT_ANNOTATION: content},
    }
    if base is not None:
        labels = {
            **labels,
            "org.opencontainers.image.base.name": base.name,
            "org.opencontainers.image.base.digest": base.digest,
        }
    config = _json(_config(base, digest, content, labels, arguments))
    below = [] if base is None else [_as_oci(each) for each in base.manifest.layers]
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [*below, own],
        "annotations": dict(labels),
    })  # fmt: skip
    return Image(manifest, config, layer, parse_manifest(manifest, "the image"))


CONTENT_ANNOTATION = "io.tiphys.content"


def layer_with(manifest: Manifest, content: str, where: str) -> Descriptor:
    """Find the one layer that holds ``content``.

    Raises:
        DataError: there is none, more than one, or it is compressed.
    """
    found = [each for each in manifest.layers if each.annotations.get(CONTENT_ANNOTATION) == content]
    if len(found) != 1 or found[0].media_type != LAYER_TYPE:
        message = f"{where} is refused: it has {len(found)} plain layers with a {content}, not one; package it again"
        raise DataError(message)
    return found[0]


def is_index(text: bytes) -> bool:
    """Say whether a manifest lists images of several platforms instead of being one."""
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("manifests"), list)


def choose(index: bytes, where: str) -> str:
    """Return the digest of the image for Linux on x86-64 from an index of several platforms.

    Raises:
        DataError: there is none.
    """
    for each in json.loads(index).get("manifests", ()):
        platform = each.get("platform") or {}
        if all(platform.get(name) == value for name, value in PLATFORM.items()):
            return str(Descriptor.model_validate(each).digest)
    message = f"{where} has no image for {'/'.join(PLATFORM.values())}: name another base in TIPHYS_TRITON_IMAGE"
    raise DataError(message)


def _config(
    base: Base | None, diff_id: str, content: str, labels: Mapping[str, str], arguments: Sequence[str]
) -> dict[str, Any]:
    below: Mapping[str, Any] = {} if base is None else base.config
    run = dict(below.get("config") or {})
    run["Labels"] = {**(run.get("Labels") or {}), **labels}
    if arguments:
        run["Cmd"] = [*(run.get("Cmd") or ()), *arguments]
    return {
        **PLATFORM,
        **{name: below[name] for name in ("os", "architecture", "variant") if name in below},
        "created": EPOCH,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [*(below.get("rootfs") or {}).get("diff_ids", ()), diff_id]},
        "history": [*(below.get("history") or ()), {"created": EPOCH, "created_by": f"tiphys: append {content}"}],
    }


def _as_oci(layer: Descriptor) -> dict[str, Any]:
    """A layer of Docker's own form is the same blob under another name; what it holds is no longer for the asking."""
    said = {name: value for name, value in layer.as_json().items() if name != "annotations"}
    return {**said, "mediaType": _DOCKER_LAYERS.get(layer.media_type, layer.media_type)}


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
