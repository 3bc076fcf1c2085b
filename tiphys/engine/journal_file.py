"""The journal's file: opened with its version checked; damage is named, with the remedy, whenever it shows."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tiphys.engine.errors import JournalDamagedError

VERSION = 2
"""Of the tables; a newer engine that changes their meaning counts up."""
_Made = TypeVar("_Made")


class Database(sqlite3.Connection):
    """A connection whose cursors say which file is damaged."""

    path = Path()

    def cursor(self, factory: Any = None) -> Any:
        """A cursor; what reads rows goes through it too."""
        cursor: _Cursor = super().cursor(factory or _Cursor)
        cursor.path = self.path
        return cursor

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement. Raises JournalDamagedError."""
        return _named(self.path, super().execute, *arguments)

    def executescript(self, script: str) -> sqlite3.Cursor:
        """Run several statements. Raises JournalDamagedError."""
        return _named(self.path, super().executescript, script)


class _Cursor(sqlite3.Cursor):
    path = Path()

    def execute(self, *arguments: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return _named(self.path, super().execute, *arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return _named(self.path, super().executemany, *arguments)

    def fetchone(self) -> Any:
        return _named(self.path, super().fetchone)

    def fetchall(self) -> list[Any]:
        return _named(self.path, super().fetchall)

    def __next__(self) -> Any:
        return _named(self.path, super().__next__)


def _named(path: Path, call: Callable[..., _Made], *arguments: Any) -> _Made:
    try:
        return call(*arguments)
    except sqlite3.DatabaseError as error:
        # Its kinds (a full disk, a lock) are no damage, and are told elsewhere.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise damaged(path, str(error)) from None


def damaged(path: Path, reason: str) -> JournalDamagedError:
    """What to tell about a file that SQLite can't read."""
    return JournalDamagedError(
        f"the journal {path} is damaged ({reason}): bring a copy of it back, or move it away "
        f"(mv {path} {path}.damaged) to begin a new one; logs and artifacts beside it stay"
    )


def open_database(path: Path, scripts: Mapping[int, str]) -> Database:
    """Open, or make, the file, and bring it to our version.

    `scripts` holds the statements that lead from each older version to the next, and from 0, an empty file, to ours.

    Raises JournalDamagedError: no database, damaged, or of a newer version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    database = sqlite3.connect(path, timeout=10, isolation_level=None, factory=Database)
    database.path = path
    try:
        found = _version(database, path)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        if found < VERSION:
            _upgrade(database, path, scripts)
    except BaseException:
        database.close()
        raise
    return database


def _upgrade(database: Database, path: Path, scripts: Mapping[int, str]) -> None:
    """All in one transaction; who comes second finds it done."""
    database.execute("BEGIN IMMEDIATE")
    try:
        found = _version(database, path)
        if not found:
            _require_empty(database, path)
        for version in range(found, VERSION) if found else (0,):
            for statement in scripts[version].split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version={VERSION}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _require_empty(database: Database, path: Path) -> None:
    if database.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise damaged(path, "it has tables and no version: it was made before journals had one")


def _version(database: Database, path: Path) -> int:
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        msg = (
            f"the journal {path} is of version {found}, this tiphys knows {VERSION} at most: "
            "use the newer tiphys that wrote it, or another state folder"
        )
        raise JournalDamagedError(msg)
    return found


def decode(path: Path, run: str, text: str, make: Callable[[Any], _Made]) -> _Made:
    """What `make` makes of a row's JSON. Raises JournalDamagedError that names the run: the others stay usable."""
    try:
        return make(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        msg = (
            f"a row of run {run!r} in the journal {path} is damaged ({type(error).__name__}: {error}): "
            "this run can't be shown or resumed, run its manifest anew; all other runs are as they were"
        )
        raise JournalDamagedError(msg) from None
