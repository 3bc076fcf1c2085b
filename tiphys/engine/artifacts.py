"""Where artifacts live: a folder, or a bucket; and how files and folders become one object."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Protocol

from tiphys.engine.errors import EngineError, TemplateError
from tiphys.engine.unpack import plain_name

Json = dict[str, Any]


class ArtifactStore(Protocol):
    """Objects by key. A folder may be stored as many objects below one key."""

    def put(self, source: Path, key: str) -> None:
        """Store a file or a folder under `key`."""

    def get(self, key: str, target: Path) -> bool:
        """Fetch `key` to `target`, a file or a folder; False if there is nothing."""

    def path(self, key: str) -> Path | None:
        """Where the object already lies on this machine, to be read and not changed; None if it must be fetched."""

    def list(self, prefix: str) -> list[str]:
        """The keys of all objects below `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Take away the object, or all objects below `key`; nothing happens where there is none."""

    @property
    def where(self) -> str:
        """Where artifacts are kept, for a person."""


class FolderStore:
    """Artifacts in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when it is needed."""
        self._folder = folder

    def put(self, source: Path, key: str) -> None:
        """Store a file or folder; never half of it under the key."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        _copy(source, partial)
        if target.is_dir():
            shutil.rmtree(target)
        partial.replace(target)

    def get(self, key: str, target: Path) -> bool:
        """Fetch a file or folder."""
        source = self._path(key)
        if not source.exists():
            return False
        _copy(source, target)
        return True

    def path(self, key: str) -> Path | None:
        """The file or folder itself; None if there is nothing."""
        found = self._path(key)
        return found if found.exists() else None

    def list(self, prefix: str) -> list[str]:
        """The keys of all files below the folder `prefix`."""
        folder = self._path(prefix) if prefix.strip("/") else self._folder
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".partial"))
        return sorted(path.relative_to(self._folder).as_posix() for path in found)

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    def delete(self, key: str) -> None:
        """Take away a file or folder, and the folders that it leaves empty."""
        path = self._path(key)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._folder or not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()

    def _path(self, key: str) -> Path:
        parts = [part for part in key.split("/") if part]
        if not parts or ".." in parts or "\0" in key:
            msg = f"artifact key {key!r} leaves the store: use a plain key"
            raise TemplateError(msg)
        return self._folder.joinpath(*parts)


def _copy(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


class BucketStore:
    """Artifacts in an S3 bucket."""

    def __init__(self, endpoint: str, bucket: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
        """`endpoint` is a URL such as http://127.0.0.1:8333."""
        self._endpoint, self._bucket = endpoint, bucket
        self._keys = (access_key, secret_key)
        self._region = region
        self._connected: Any = None

    def _client(self) -> Any:
        if self._connected is None:
            from urllib.parse import urlparse  # noqa: PLC0415

            from minio import Minio  # noqa: PLC0415

            url = urlparse(self._endpoint)
            self._connected = Minio(
                endpoint=url.netloc, access_key=self._keys[0], secret_key=self._keys[1],
                secure=url.scheme == "https", region=self._region,
            )  # fmt: skip
        return self._connected

    def put(self, source: Path, key: str) -> None:
        """Upload a file, or every file of a folder."""
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    self._upload(contained(path, source), f"{key}/{path.relative_to(source).as_posix()}")
        else:
            self._upload(source, key)

    def _upload(self, path: Path, key: str) -> None:
        self._client().fput_object(bucket_name=self._bucket, object_name=key, file_path=str(path))

    def get(self, key: str, target: Path) -> bool:
        """Download an object, or all objects below the key."""
        client = self._client()
        names = [item.object_name for item in client.list_objects(bucket_name=self._bucket, prefix=key, recursive=True)]
        if key in names:
            client.fget_object(bucket_name=self._bucket, object_name=key, file_path=str(target))
            return True
        below = [name for name in names if name.startswith(key.rstrip("/") + "/")]
        for name in below:
            path = target / plain_name(name[len(key.rstrip("/")) + 1 :])
            client.fget_object(bucket_name=self._bucket, object_name=name, file_path=str(path))
        return bool(below)

    def path(self, key: str) -> Path | None:  # noqa: ARG002
        """None: a bucket's objects are fetched."""
        return None

    def list(self, prefix: str) -> list[str]:
        """The keys of all objects below the folder `prefix`."""
        below = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        found = self._client().list_objects(bucket_name=self._bucket, prefix=below, recursive=True)
        return sorted(item.object_name for item in found if not item.object_name.endswith("/"))

    @property
    def where(self) -> str:
        """The bucket."""
        return f"s3://{self._bucket}"

    def delete(self, key: str) -> None:
        """Remove an object and all below it. Raises EngineError."""
        from minio.error import MinioException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            for name in [key, *self.list(key)]:
                self._client().remove_object(bucket_name=self._bucket, object_name=name)
        except (MinioException, HTTPError) as error:
            msg = f"artifact {key} could not be deleted from bucket {self._bucket}: {error}"
            raise EngineError(msg) from None


def contained(path: Path, folder: Path) -> Path:
    """`path`, unless it is a link that leads out of `folder`. Raises TemplateError."""
    if path.resolve().is_relative_to(folder.resolve()):
        return path
    msg = f"artifact file {path.relative_to(folder)} is a link that leads out of the artifact: store a copy instead"
    raise TemplateError(msg)


def archive_kind(artifact: Json) -> str:
    """How an output artifact is stored: `none`, `zip`, or the default `tar`."""
    archive = artifact.get("archive") or {}
    return next((kind for kind in ("none", "zip") if kind in archive), "tar")


def default_key(prefix: str, artifact: Json) -> str:
    """The key of an artifact that names none."""
    kind = archive_kind(artifact)
    name = {"tar": f"{artifact['name']}.tgz", "zip": f"{artifact['name']}.zip"}.get(kind)
    return f"{prefix}/{name or Path((artifact.get('path') or artifact['name']).rstrip('/')).name}"


def pack(source: Path, kind: str, work: Path, inner_name: str) -> Path:
    """`source` in the form in which it is stored; a new file below `work`, or `source` itself."""
    if kind == "none":
        return source
    if kind == "zip":
        return _zip(source, work / "packed.zip", inner_name)
    packed = work / "packed.tgz"
    with tarfile.open(packed, "w:gz", compresslevel=1) as archive:
        archive.add(source, arcname=inner_name)
    return packed


def _zip(source: Path, packed: Path, inner_name: str) -> Path:
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if path.is_dir() or path.is_file():
                    archive.write(contained(path, source), f"{inner_name}/{path.relative_to(source).as_posix()}")
        else:
            archive.write(source, inner_name)
    return packed
