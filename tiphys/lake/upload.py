"""Take a person's folder of raw files to the landing bucket, under the digest of its content.

The same files land once, whatever their folder is called. Only names and bytes count; contents are ingest's business.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from tiphys.errors import DataError
from tiphys.lake.s3 import S3, digest_of

SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""How the names of usable files end."""
LANDING = "landing"

log = logging.getLogger(__name__)


def upload_folder(folder: str | Path, store: S3) -> str:
    """Upload the usable files of a folder and answer with their prefix ``s3://landing/<digest>/``.

    Raises:
        DataError: the folder is missing, is none, cannot be read, or holds no usable file.
    """
    files = _usable(Path(folder))
    digests = {path.name: _sha256(path) for path in files}
    prefix = f"s3://{LANDING}/{_digest(digests)}/"
    sizes = {each.name: each.size for each in store.list(prefix)}
    missing = [path for path in files if sizes.get(path.name) != path.stat().st_size]
    for path in missing:
        store.put(prefix + path.name, path)
    log.info("%s: %d files at %s, %d of them new", folder, len(files), prefix, len(missing))
    return prefix


def usable(name: str) -> bool:
    """Tell by its name whether a file can be ingested."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _usable(folder: Path) -> list[Path]:
    if not folder.is_dir():
        message = f"{folder} is {'no folder' if folder.exists() else 'not there'}: DATA must be a folder of raw files"
        raise DataError(message)
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        message = f"folder {folder} cannot be read: {error.strerror}; check its permissions"
        raise DataError(message) from error
    chosen = [path for path in found if usable(path.name)]
    if not chosen:
        held = ", ".join(path.name for path in found[:5]) or "nothing"
        message = f"folder {folder} has no usable file (*{', *'.join(SUFFIXES)}); it holds {held}"
        raise DataError(message)
    return chosen


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return digest_of(file)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}; check its permissions"
        raise DataError(message) from error


def _digest(digests: dict[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:32]
