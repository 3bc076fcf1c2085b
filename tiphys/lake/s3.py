"""The one door to S3: reads, writes, lists and copies objects named ``s3://BUCKET/KEY``, and outlives a short outage.

Every call is tried again while the server is away, for ``patience`` seconds in all; then it ends in RetryableError.
An object appears whole or not at all (S3's own promise for PUT and COPY; larger ones go as multipart uploads).
This module knows nothing of tables or use cases.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import InvalidResponseError, S3Error, ServerError

from tiphys.errors import DataError, PermanentError, RetryableError, SettingsError
from tiphys.settings import S3Settings, load

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

PATIENCE = 60.0
"""Seconds that one call goes on trying: a server that is away for 30 s is not noticed."""

_CHUNK = 1 << 20
_PART = 16 << 20
_MISSING = {"NoSuchKey", "NoSuchBucket", "NotFound"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden"}

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stored:
    """One object: where it is, its size in bytes, and the tag that changes with its content."""

    uri: str
    size: int
    etag: str

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self.uri.rsplit("/", 1)[-1]


def split(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` -> (bucket, key).

    Raises:
        DataError: it is no such address.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        message = f"{uri!r} is no S3 address: it must look like s3://BUCKET/KEY"
        raise DataError(message)
    return parts.netloc, uri[len("s3://") + len(parts.netloc) + 1 :]


class S3:
    """A client of one S3 server."""

    def __init__(self, settings: S3Settings | None = None, patience: float = PATIENCE) -> None:
        """Make the client; nothing is connected yet."""
        self.settings = settings = load(S3Settings) if settings is None else settings
        self.patience = patience
        address = urlsplit(settings.endpoint)
        if address.scheme not in {"http", "https"} or not address.netloc:
            message = f"TIPHYS_S3_ENDPOINT must be a URL like http://HOST:PORT, not {settings.endpoint!r}"
            raise SettingsError(message)
        timeout = urllib3.Timeout(connect=min(5.0, patience), read=min(20.0, patience))
        self._client = Minio(
            address.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            secure=address.scheme == "https",
            region=settings.region,
            http_client=urllib3.PoolManager(timeout=timeout, retries=urllib3.Retry(0), maxsize=8),
        )

    def get(self, uri: str) -> bytes:
        """Read a whole object."""
        bucket, key = split(uri)

        def attempt() -> bytes:
            answer = self._client.get_object(bucket, key)
            try:
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

        return self._try(uri, attempt)

    def open(self, uri: str) -> S3File:
        """Open an object for reading: seekable, goes on where it was after a lost connection."""
        return S3File(self, self.stat(uri))

    def download(self, uri: str, path: Path, sha256: str = "") -> str:
        """Copy an object to a file, which appears whole or not at all; answers with its sha256.

        Raises:
            DataError: ``sha256`` is given and the bytes have another.
        """
        part = path.with_name(f".{path.name}.part")
        digest = hashlib.sha256()
        with self.open(uri) as source, part.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        if sha256 and digest.hexdigest() != sha256:
            part.unlink()
            message = f"{uri} is damaged: its sha256 is {digest.hexdigest()}, not {sha256}; write it again"
            raise DataError(message)
        part.replace(path)
        return digest.hexdigest()

    def put(self, uri: str, content: bytes | Path) -> str:
        """Write an object from bytes or from a file; answers with its sha256. A reader sees the old or the new one."""
        bucket, key = split(uri)
        if isinstance(content, bytes):
            self._try(uri, lambda: self._client.put_object(bucket, key, io.BytesIO(content), len(content)))
            return hashlib.sha256(content).hexdigest()
        with content.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()

            def attempt() -> None:
                file.seek(0)
                self._client.put_object(bucket, key, file, size, part_size=_PART)

            self._try(uri, attempt)
        return digest

    def copy(self, source: Stored, target: str) -> None:
        """Copy an object inside the server, provided that it still has the content that ``source`` says."""
        bucket, key = split(target)
        origin = CopySource(*split(source.uri), match_etag=source.etag)
        self._try(target, lambda: self._client.copy_object(bucket, key, origin))

    def stat(self, uri: str) -> Stored:
        """Tell an object's size and tag.

        Raises:
            DataError: there is no such object.
        """
        bucket, key = split(uri)
        found = self._try(uri, lambda: self._client.stat_object(bucket, key))
        return Stored(uri, int(found.size or 0), (found.etag or "").strip('"'))

    def find(self, uri: str) -> Stored | None:
        """Tell an object's size and tag, or None where there is none."""
        try:
            return self.stat(uri)
        except NotThereError:
            return None

    def list(self, prefix: str) -> list[Stored]:
        """Every object whose address begins with ``prefix``, by name."""
        bucket, key = split(prefix)

        def attempt() -> list[Stored]:
            found = self._client.list_objects(bucket, prefix=key, recursive=True)
            return [Stored(f"s3://{bucket}/{each.object_name}", int(each.size or 0), each.etag or "") for each in found]

        objects = self._try(prefix, attempt)
        return sorted(objects, key=lambda each: each.uri)

    def delete(self, uri: str) -> None:
        """Remove an object; one that is not there is no error."""
        bucket, key = split(uri)
        self._try(uri, lambda: self._client.remove_object(bucket, key))

    def read_from(self, stored: Stored, offset: int) -> Any:
        """Open the server's answer with the bytes from ``offset`` on, of exactly that content; the caller closes it."""
        bucket, key = split(stored.uri)
        headers = {"If-Match": f'"{stored.etag}"'}
        return self._try(
            stored.uri, lambda: self._client.get_object(bucket, key, offset=offset, request_headers=headers)
        )

    def _try(self, uri: str, attempt: Callable[[], Result]) -> Result:
        return persist(functools.partial(_translated, attempt, uri, self.settings.endpoint), self.patience)


class NotThereError(DataError):
    """There is no such object or bucket."""


class S3File(io.RawIOBase):
    """An object as a seekable file. One connection reads ahead; a seek or a lost connection opens another."""

    def __init__(self, store: S3, stored: Stored) -> None:
        """Stand at the first byte; nothing is asked for yet."""
        super().__init__()
        self.stored = stored
        self._store = store
        self._at = 0
        self._answer: Any = None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Tell the offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.stored.size}[whence]
        if base + offset != self._at:
            self._drop()
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer`` with the next bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self.stored.size - self._at)
        if wanted <= 0:
            return 0
        chunk = persist(functools.partial(self._next, wanted), self._store.patience)
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def close(self) -> None:
        """Let the connection go."""
        self._drop()
        super().close()

    def _next(self, wanted: int) -> bytes:
        if self._answer is None:
            self._answer = self._store.read_from(self.stored, self._at)
        try:
            chunk = bytes(self._answer.read(wanted))
        except urllib3.exceptions.HTTPError as error:
            self._drop()
            message = f"the connection broke while reading {self.stored.uri}: {error}; it can be tried again"
            raise RetryableError(message) from error
        if not chunk:
            self._drop()
            message = f"{self.stored.uri} ended early, at {self._at} of {self.stored.size} bytes; it can be tried again"
            raise RetryableError(message)
        return chunk

    def _drop(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer.release_conn()
            self._answer = None


def persist(attempt: Callable[[], Result], patience: float) -> Result:
    """Call until it works; on RetryableError again after a growing, jittered pause, for ``patience`` seconds in all."""
    deadline = time.monotonic() + patience
    for pause in _pauses():
        try:
            return attempt()
        except RetryableError:
            if time.monotonic() + pause >= deadline:
                raise
            time.sleep(pause)
    raise AssertionError


def digest_of(file: io.RawIOBase | io.BufferedReader) -> str:
    """Sha256 of the rest of a file, in hexadecimal."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def _pauses() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, keeps no secret
        pause = min(pause * 2, 3.0)


def _translated(attempt: Callable[[], Result], uri: str, endpoint: str) -> Result:
    try:
        return attempt()
    except S3Error as error:
        raise _of_answer(error, uri, endpoint) from error
    except (ServerError, InvalidResponseError) as error:
        raise _away(endpoint, error) from error
    except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise _away(endpoint, error) from error


def _of_answer(error: S3Error, uri: str, endpoint: str) -> Exception:
    if error.code in _MISSING:
        return NotThereError(f"{uri} does not exist on the S3 server {endpoint}")
    if error.code in _DENIED:
        return PermanentError(
            f"the S3 server {endpoint} denies this component access to {uri} ({error.code}): "
            "its key must be allowed the bucket; components/NAME/contract.py declares what it needs"
        )
    if error.code == "PreconditionFailed":
        return DataError(f"{uri} was changed while it was read: upload it again and start over")
    status = getattr(error.response, "status", 500)
    if status >= 500 or status in {408, 429}:  # noqa: PLR2004 - HTTP's own numbers
        return RetryableError(
            f"the S3 server {endpoint} failed on {uri} ({error.code}); if its disk is full, free some: 'tiphys doctor' tells"
        )
    return PermanentError(f"the S3 server {endpoint} refuses {uri}: {error.code}: {error.message}")


def _away(endpoint: str, error: Exception) -> RetryableError:
    return RetryableError(f"the S3 server {endpoint} does not answer: {error}; is it up? 'tiphys status' tells")
