"""Where the agent gets model repositories from: S3, read-only, never more bytes than expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from tiphys.errors import DataError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tiphys.settings import S3Settings

_PIECE = 1 << 20


class S3Source:
    """Reads objects by their URI."""

    def __init__(self, settings: S3Settings) -> None:
        """Connect on first use."""
        parts = urlsplit(settings.endpoint)
        self._endpoint = settings.endpoint
        self._client: Any = Minio(
            parts.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            region=settings.region,
            secure=parts.scheme == "https",
            http_client=urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=30), retries=False),
        )

    def read(self, uri: str, cap: int) -> bytes:
        """Return an object of at most ``cap`` bytes.

        Raises:
            DataError: there is none, or it is larger.
            RetryableError: S3 does not answer.
        """
        return b"".join(self._pieces(uri, cap))

    def download(self, uri: str, path: Path, cap: int) -> None:
        """Write an object of at most ``cap`` bytes to a file. Raises as :meth:`read`."""
        with path.open("wb") as opened:
            for piece in self._pieces(uri, cap):
                opened.write(piece)

    def _pieces(self, uri: str, cap: int) -> Iterator[bytes]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            reply = self._client.get_object(bucket, key)
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchBucket"}:
                message = f"{uri} does not exist; export the model version again"
                raise DataError(message) from error
            message = f"S3 at {self._endpoint} refuses {uri}: {error.code}"
            raise RetryableError(message) from error
        except (urllib3.exceptions.HTTPError, MinioException, OSError) as error:
            message = f"S3 at {self._endpoint} does not answer: {error}"
            raise RetryableError(message) from error
        try:
            yield from self._capped(reply, uri, cap)
        finally:
            reply.close()
            reply.release_conn()

    def _capped(self, reply: Any, uri: str, cap: int) -> Iterator[bytes]:
        size = 0
        try:
            for piece in reply.stream(_PIECE):
                size += len(piece)
                if size > cap:
                    message = (
                        f"{uri} is larger than the {cap} bytes that it should have; export the model version again"
                    )
                    raise DataError(message)
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            message = f"S3 at {self._endpoint} broke off in {uri}: {error}"
            raise RetryableError(message) from error
