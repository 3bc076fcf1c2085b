"""MLflow's artifacts in S3 through MinIO's client; only MLflow's server loads this."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minio import Minio
from minio.deleteobjects import DeleteObject
from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from tiphys.settings import S3Settings, load


class MinioArtifactRepository(ArtifactRepository):  # type: ignore[misc]
    """One ``s3://BUCKET/PREFIX`` as MLflow's store of artifacts; paths are relative to it."""

    def __init__(self, artifact_uri: str, *arguments: Any, **options: Any) -> None:
        """Connect to S3 as the settings say."""
        super().__init__(artifact_uri, *arguments, **options)
        settings = load(S3Settings)
        parts = urlsplit(artifact_uri)
        server = urlsplit(settings.endpoint)
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")
        self._client = Minio(
            server.netloc,
            settings.access_key,
            settings.secret_key,
            secure=server.scheme == "https",
            region=settings.region,
        )

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store one file below a folder."""
        key = self._key(artifact_path, posixpath.basename(local_file))
        self._client.fput_object(self._bucket, key, str(local_file))

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store every file of a local folder."""
        for file in Path(local_dir).rglob("*"):
            if file.is_file():
                relative = file.relative_to(local_dir).as_posix()
                self._client.fput_object(self._bucket, self._key(artifact_path, relative), str(file))

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What lies directly in a folder; nothing for a file."""
        folder = self._key(path)
        prefix = f"{folder}/" if folder else ""
        found = []
        for each in self._client.list_objects(self._bucket, prefix=prefix):
            name = posixpath.relpath(each.object_name, self._prefix or ".")
            if each.object_name.rstrip("/") != folder:
                found.append(FileInfo(name, each.is_dir, None if each.is_dir else each.size))
        return sorted(found, key=lambda info: str(info.path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file, or a folder with all below it."""
        doomed = [DeleteObject(name) for name in self._below(self._key(artifact_path))]
        for error in self._client.remove_objects(self._bucket, doomed):
            message = f"s3://{self._bucket}/{error.name} could not be removed: {error.message}"
            raise OSError(message)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._client.fget_object(self._bucket, self._key(remote_file_path), str(local_path))

    def _below(self, key: str) -> Iterator[str]:
        for each in self._client.list_objects(self._bucket, prefix=key, recursive=True):
            if each.object_name == key or each.object_name.startswith(f"{key}/"):
                yield each.object_name

    def _key(self, *parts: str | None) -> str:
        return posixpath.join(self._prefix, *(each.strip("/") for each in parts if each)).strip("/")
