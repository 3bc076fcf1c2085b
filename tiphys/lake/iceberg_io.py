"""Iceberg's small files (metadata, manifests) through the one door to S3, without a second S3 library's start-up."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream

from tiphys.lake.s3 import S3
from tiphys.settings import S3Settings

if TYPE_CHECKING:
    from pyiceberg.typedef import Properties

IMPLEMENTATION = "tiphys.lake.iceberg_io.S3FileIO"


def properties(settings: S3Settings) -> dict[str, str]:
    """What PyIceberg must be told to read and write through :class:`S3FileIO`."""
    return {
        "py-io-impl": IMPLEMENTATION,
        "s3.endpoint": settings.endpoint,
        "s3.access-key-id": settings.access_key,
        "s3.secret-access-key": settings.secret_key,
        "s3.region": settings.region,
    }


class S3FileIO(FileIO):
    """PyIceberg's view of S3."""

    def __init__(self, properties: Properties) -> None:
        """Make the client from PyIceberg's usual S3 properties."""
        super().__init__(properties)
        names = ("s3.endpoint", "s3.access-key-id", "s3.secret-access-key", "s3.region")
        self.store = S3(S3Settings(*(properties[name] for name in names)))

    def new_input(self, location: str) -> InputFile:
        """Name an object to read."""
        return _Object(location, self.store)

    def new_output(self, location: str) -> OutputFile:
        """Name an object to write."""
        return _Object(location, self.store)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove an object."""
        self.store.delete(location if isinstance(location, str) else location.location)


class _Object(InputFile, OutputFile):
    """An object that is read or written as a whole: metadata is small."""

    def __init__(self, location: str, store: S3) -> None:
        super().__init__(location)
        self._store = store

    def __len__(self) -> int:
        return self._store.stat(self.location).size

    def exists(self) -> bool:
        return self._store.find(self.location) is not None

    def open(self, seekable: bool = True) -> InputStream:  # noqa: FBT001, FBT002, ARG002 - PyIceberg's signature
        return io.BytesIO(self._store.get(self.location))

    def to_input_file(self) -> InputFile:
        return self

    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: FBT001, FBT002 - PyIceberg's signature
        if not overwrite and self.exists():
            message = f"{self.location} exists already"
            raise FileExistsError(message)
        return _Upload(self.location, self._store)


class _Upload(io.BytesIO):
    """Collects what is written; the object appears, whole, when it is closed without an error."""

    def __init__(self, location: str, store: S3) -> None:
        super().__init__()
        self._location = location
        self._store = store
        self._failed = False

    def __exit__(self, kind: object, *_: object) -> None:
        self._failed = kind is not None
        self.close()

    def close(self) -> None:
        if not self.closed:
            if not self._failed:
                self._store.put(self._location, self.getvalue())
            super().close()
