"""Digests, as short as they may be: 128 bits, in 32 hexadecimal digits."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

_DIGITS = 32
_LONGEST = 160


def of(content: bytes | str) -> str:
    """The digest of bytes, or of a text."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def of_json(value: Any) -> str:
    """The digest of what JSON can hold; the order of keys does not count."""
    return of(json.dumps(value, sort_keys=True, separators=(",", ":")))


def of_file(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def of_tree(path: Path) -> str:
    """The digest of a file, or of a folder: names, bytes, and where links lead."""
    if not path.is_dir() or path.is_symlink():
        return of_file(path)
    listed = []
    for place, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            found = Path(place, name)
            content = f"-> {found.readlink()}" if found.is_symlink() else of_file(found)
            listed.append([found.relative_to(path).as_posix(), content])
        listed += [[f"{Path(place, name).relative_to(path).as_posix()}/", ""] for name in folders]
    return of_json(sorted(listed))


def shown(text: str) -> str:
    """A value that a person may read as it is, and of a long one its digest."""
    return text if len(text) <= _LONGEST and text.isprintable() else of(text)
