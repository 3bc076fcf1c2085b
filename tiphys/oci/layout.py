"""An image in S3, where there is no registry: the OCI image layout, one folder an image, each blob under its digest.

::

    PREFIX/oci-layout, PREFIX/index.json     written last: an image is there whole or not at all
    PREFIX/blobs/sha256/HEX                  manifest, configuration, layer

``aws s3 sync`` (or any other client of S3) makes a folder of it that podman, buildah and skopeo read as ``oci:FOLDER``.
"""

from __future__ import annotations

import json
from pathlib import Path

from tiphys.errors import DataError
from tiphys.lake.s3 import S3
from tiphys.oci.image import MANIFEST_CAP, MANIFEST_TYPE, PLATFORM, Descriptor, Image, digest_of


class Layout:
    """One image's folder."""

    def __init__(self, where: str, store: S3) -> None:
        """Name the folder: ``s3://BUCKET/PREFIX``."""
        self._where = where.rstrip("/")
        self._store = store

    def write(self, image: Image) -> None:
        """Write an image that stands on no base. Written twice it is the same.

        Raises:
            RetryableError: S3 is away.
        """
        for content in (image.layer, image.config, image.manifest):
            digest = image.own_layer.digest if isinstance(content, Path) else digest_of(content)
            self._store.put(self._blob(digest), content)
        described = {
            "mediaType": MANIFEST_TYPE,
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": PLATFORM,
        }
        index = {"schemaVersion": 2, "manifests": [described]}
        self._store.put(f"{self._where}/index.json", json.dumps(index, sort_keys=True).encode())
        self._store.put(f"{self._where}/oci-layout", b'{"imageLayoutVersion": "1.0.0"}')

    def manifest(self, digest: str) -> bytes:
        """Return a manifest that has that digest.

        Raises:
            DataError: there is none, or it has another.
            RetryableError: S3 is away.
        """
        uri = self._blob(digest)
        found = self._store.stat(uri)
        if found.size > MANIFEST_CAP:
            message = f"{uri} is refused: a manifest of {found.size} bytes; package the model again"
            raise DataError(message)
        content = self._store.get(uri)
        if digest_of(content) != digest:
            message = f"{uri} is refused: its bytes have digest {digest_of(content)}: it is corrupt or was replaced"
            raise DataError(message)
        return content

    def download(self, descriptor: Descriptor, target: Path) -> None:
        """Copy a blob to a file. Raises as :meth:`manifest`; then there is no file."""
        uri = self._blob(descriptor.digest)
        found = self._store.stat(uri)
        if found.size != descriptor.size:
            message = f"{uri} is refused: it has {found.size} bytes, its manifest says {descriptor.size}"
            raise DataError(message)
        self._store.download(uri, target, descriptor.digest.removeprefix("sha256:"))

    def _blob(self, digest: str) -> str:
        return f"{self._where}/blobs/{digest.replace(':', '/')}"
