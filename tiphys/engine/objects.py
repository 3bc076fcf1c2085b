"""The engine's own small object store: ConfigMaps, Secrets, templates, schedules and bindings, in a file that only its owner reads."""

from __future__ import annotations

import base64
import copy
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiphys.engine import config_maps
from tiphys.engine.errors import ManifestError
from tiphys.engine.scope import rfc3339
from tiphys.engine.shapes import check_shape

Json = dict[str, Any]
KINDS = ("ConfigMap", "Secret", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
_TABLES = (
    "CREATE TABLE IF NOT EXISTS objects (kind TEXT, name TEXT, body TEXT, PRIMARY KEY (kind, name))",
    "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER)",
    "INSERT OR IGNORE INTO counter VALUES (1, 0)",
)
_ENGINES = "cronworkflows.argoproj.io/"
"""Labels and annotations that begin so are the engine's own."""
UNDECODED = "surrogateescape"
"""How the bytes of a value that is no UTF-8 stand in its text: `errors` of str.encode, to have them back."""


class ObjectStore:
    """Objects by kind and name. Every call opens the file anew, so that several processes may use it."""

    def __init__(self, folder: Path) -> None:
        """The store of a state folder; made at the first `apply`."""
        self._path = folder / "objects.db"

    def apply(self, document: Json) -> Json:
        """Create or replace the object; as it is kept. Raises ManifestError for a wrong shape or a kind that is not kept.

        As on a cluster it keeps its uid and creationTimestamp when it is replaced, a CronWorkflow its status too; its resourceVersion grows with each
        write of any object, its generation with each change of its spec. What `document` says of these does not count.
        """
        check_shape(document)
        kind, name = document["kind"], (document.get("metadata") or {}).get("name")
        if kind not in KINDS:
            msg = f"{kind} {name!r} can't be kept here: the store keeps {', '.join(KINDS)}"
            raise ManifestError(msg)
        if not name:
            msg = f"{kind} without metadata.name: give it a name"
            raise ManifestError(msg)
        if not _is_text(name):
            msg = f"{kind} {name!r}: half a character is no name: write a-z, 0-9, - and ."
            raise ManifestError(msg)
        given = _plain_secret(document) if kind == "Secret" else document
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            old = _read(database, kind, name)
            return _write(database, kind, name, _with_status(given, old) if kind == "CronWorkflow" else given, old)

    def update(self, kind: str, name: str, change: Callable[[Json], Json | None]) -> Json | None:
        """Change an object in one transaction; as it is then. None if there is none, or `change` returns None: nothing is written."""
        if not self._path.exists():
            return None
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            old = _read(database, kind, name)
            new = None if old is None else change(copy.deepcopy(old))
            return None if new is None else _write(database, kind, name, new, old)

    def get(self, kind: str, name: str) -> Json | None:
        """The object, or None."""
        if not self._path.exists():
            return None
        with self._database() as database:
            return _read(database, kind, name)

    def every(self, kind: str) -> list[Json]:
        """All objects of a kind, by name."""
        if not self._path.exists():
            return []
        with self._database() as database:
            rows = database.execute("SELECT body FROM objects WHERE kind = ? ORDER BY name", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def version(self) -> int:
        """The number of the latest write."""
        if not self._path.exists():
            return 0
        with self._database() as database:
            return int(database.execute("SELECT value FROM counter").fetchone()[0])

    def delete(self, kind: str, name: str) -> bool:
        """Forget the object; False if it was not there."""
        if not self._path.exists():
            return False
        with self._database() as database:
            database.execute("UPDATE counter SET value = value + 1")
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
                _make_tables(database)
                yield database
        finally:
            database.close()


def _make_tables(database: sqlite3.Connection) -> None:
    known = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    if not {"objects", "counter"} <= known:
        database.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            database.execute(statement)
        database.execute("COMMIT")


def _is_text(name: str) -> bool:
    """Whether UTF-8 has it: JSON can name half of a character."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _read(database: sqlite3.Connection, kind: str, name: str) -> Json | None:
    if not _is_text(name):
        return None
    row = database.execute("SELECT body FROM objects WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    return json.loads(row[0]) if row else None


def _write(database: sqlite3.Connection, kind: str, name: str, given: Json, old: Json | None) -> Json:
    """Write an object with what the store itself says of it."""
    row = database.execute("UPDATE counter SET value = value + 1 RETURNING value").fetchall()[0]
    before = (old or {}).get("metadata") or {}
    same = old is not None and all(old.get(part) == given.get(part) for part in ("spec", "data"))
    metadata = {
        **(given.get("metadata") or {}),
        "uid": before.get("uid") or str(uuid.uuid4()),
        "creationTimestamp": before.get("creationTimestamp") or rfc3339(time.time()),
        "resourceVersion": str(row[0]),
        "generation": int(before.get("generation") or 0) + (0 if same else 1),
    }
    kept = {**given, "metadata": metadata}
    database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", (kind, name, json.dumps(kept)))
    return kept


def _with_status(given: Json, old: Json | None) -> Json:
    """A CronWorkflow with what the engine has written of the old one, which a manifest does not say."""
    metadata, before = given.get("metadata") or {}, (old or {}).get("metadata") or {}
    kept = {
        field: {key: value for key, value in (before.get(field) or {}).items() if key.startswith(_ENGINES)}
        | (metadata.get(field) or {})
        for field in ("labels", "annotations")
    }
    status = {"status": old["status"]} if old and old.get("status") else {}
    return {**given, **status, "metadata": {**metadata, **{field: each for field, each in kept.items() if each}}}


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
