"""The engine's own small object store: ConfigMaps, Secrets and WorkflowTemplates, in a file that only its owner reads."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiphys.engine import config_maps
from tiphys.engine.errors import ManifestError
from tiphys.engine.shapes import check_shape

Json = dict[str, Any]
KINDS = ("ConfigMap", "Secret", "WorkflowTemplate", "ClusterWorkflowTemplate")
UNDECODED = "surrogateescape"
"""How the bytes of a value that is no UTF-8 stand in its text: `errors` of str.encode, to have them back."""


class ObjectStore:
    """Objects by kind and name. Every call opens the file anew, so that several processes may use it."""

    def __init__(self, folder: Path) -> None:
        """The store of a state folder; made at the first `apply`."""
        self._path = folder / "objects.db"

    def apply(self, document: Json) -> None:
        """Create or replace the object. Raises ManifestError for a wrong shape or a kind that the store does not keep."""
        check_shape(document)
        kind, name = document["kind"], (document.get("metadata") or {}).get("name")
        if kind not in KINDS:
            msg = f"{kind} {name!r} can't be kept here: the store keeps {', '.join(KINDS)}"
            raise ManifestError(msg)
        if not name:
            msg = f"{kind} without metadata.name: give it a name"
            raise ManifestError(msg)
        kept = _plain_secret(document) if kind == "Secret" else document
        with self._database() as database:
            database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", (kind, name, json.dumps(kept)))

    def get(self, kind: str, name: str) -> Json | None:
        """The object, or None."""
        if not self._path.exists():
            return None
        with self._database() as database:
            row = database.execute("SELECT body FROM objects WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, kind: str, name: str) -> bool:
        """Forget the object; False if it was not there."""
        if not self._path.exists():
            return False
        with self._database() as database:
            return database.execute("DELETE FROM objects WHERE kind = ? AND name = ?", (kind, name)).rowcount > 0

    def names(self, kind: str) -> list[str]:
        """The names of all objects of a kind, sorted."""
        if not self._path.exists():
            return []
        with self._database() as database:
            return [
                row[0] for row in database.execute("SELECT name FROM objects WHERE kind = ? ORDER BY name", (kind,))
            ]

    def data(self, kind: str, name: str) -> dict[str, str] | None:
        """The keys of a ConfigMap or Secret as plain texts, or None if there is no such object."""
        found = self.get(kind, name)
        return None if found is None else {key: value or "" for key, value in (found.get("data") or {}).items()}

    def config_map(self, name: str) -> dict[str, str]:
        """The data of a ConfigMap, and beside it the label that says what it is for; empty if there is none."""
        metadata = (self.get("ConfigMap", name) or {}).get("metadata") or {}
        return {
            **(self.data("ConfigMap", name) or {}),
            config_maps.TYPE: (metadata.get("labels") or {}).get(config_maps.TYPE) or "",
        }

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self._path, timeout=10)
        try:
            with database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS objects (kind TEXT, name TEXT, body TEXT, PRIMARY KEY (kind, name))"
                )
                yield database
        finally:
            database.close()


def _plain_secret(document: Json) -> Json:
    """A Secret with all its values as plain texts under `data`: the file's mode guards them, not base64.

    Bytes that are no UTF-8 are kept as Python keeps them in file names, and come out of it as the same bytes.
    """
    decoded = {
        key: base64.b64decode(value or "").decode("utf-8", UNDECODED)
        for key, value in (document.get("data") or {}).items()
    }
    plain = {key: value or "" for key, value in (document.get("stringData") or {}).items()}
    return {**{key: document[key] for key in ("kind", "metadata", "type") if key in document}, "data": decoded | plain}
