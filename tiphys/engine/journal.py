"""What has happened, durably: every run's state in SQLite, written before anything is started because of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiphys.engine.errors import JournalDamagedError, ManifestError, RunChangedError, UnknownRunError
from tiphys.engine.expiry import expires_at
from tiphys.engine.inotify import tell_changed
from tiphys.engine.journal_file import decode, open_database
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
_TABLES = """
CREATE TABLE runs (
    name TEXT PRIMARY KEY, digest TEXT, phase TEXT, created REAL, finished REAL, header TEXT, notes TEXT,
    version INTEGER NOT NULL DEFAULT 0, uid TEXT NOT NULL DEFAULT '', namespace TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '{}', expires REAL);
CREATE INDEX runs_by_version ON runs (version);
CREATE INDEX runs_by_creation ON runs (created);
CREATE TABLE gone (name TEXT PRIMARY KEY, version INTEGER, uid TEXT, namespace TEXT);
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER);
INSERT INTO counter VALUES (1, 0);
CREATE TABLE progress (run TEXT PRIMARY KEY, body TEXT);
CREATE TABLE nodes (run TEXT, id TEXT, position INTEGER, body TEXT, PRIMARY KEY (run, id));
CREATE TABLE memo (cache TEXT, key TEXT, body TEXT, PRIMARY KEY (cache, key));
CREATE TABLE requests (id INTEGER PRIMARY KEY, run TEXT, body TEXT);
"""

_UPGRADES = {
    1: """
ALTER TABLE runs ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN uid TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN namespace TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE runs ADD COLUMN expires REAL;
UPDATE runs SET version = rowid;
UPDATE runs SET uid = COALESCE(json_extract(header, '$.uid'), ''), namespace = COALESCE(json_extract(header, '$.namespace'), ''),
    labels = COALESCE(json_extract(header, '$.labels'), '{}') WHERE json_valid(header);
UPDATE runs SET expires = 0 WHERE finished > 0 AND header LIKE '%"ttlStrategy"%';
CREATE INDEX runs_by_version ON runs (version);
CREATE INDEX runs_by_creation ON runs (created);
CREATE TABLE gone (name TEXT PRIMARY KEY, version INTEGER, uid TEXT, namespace TEXT);
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER);
INSERT INTO counter SELECT 1, COALESCE(MAX(rowid), 0) FROM runs;
""",
}
"""What brings the tables of an older version to the next one; 1 lacked versions and what a list shows."""
_TOMBSTONES = 10_000
"""Runs that were deleted and are still named to those who ask what has changed."""

_STRATEGIES = ("Stop", "Terminate")
_UNFINISHED = "phase IN ('', 'Pending', 'Running')"
_REQUEST = f"INSERT INTO requests (run, body) SELECT name, ? FROM runs WHERE name = ? AND {_UNFINISHED}"  # noqa: S608  # no value
_LINE = "name, phase, created, finished, digest, version, uid, namespace, labels"
_SAVE_NODE = "INSERT INTO nodes VALUES (?, ?, ?, ?) ON CONFLICT (run, id) DO UPDATE SET body = excluded.body"


@dataclass(frozen=True)
class Summary:
    """One line of `list`."""

    name: str
    phase: str
    created: float
    finished: float
    digest: str
    version: int = 0
    """Grows with each change of any run: Argo's resourceVersion."""
    uid: str = ""
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A run that has changed, or is gone since."""

    version: int
    name: str
    deleted: bool
    uid: str
    namespace: str


class Journal:
    """The journal of a state folder."""

    def __init__(self, folder: Path) -> None:
        """Open, or make, the journal of `folder`. Raises JournalDamagedError."""
        self._path = folder / "journal.db"
        self._database = open_database(self._path, {0: _TABLES, **_UPGRADES})
        self._progress: dict[str, str] = {}
        self._positions: dict[str, int] = {}
        self._loaded: dict[str, int] = {}
        self._taken: dict[str, int] = {}

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def create(self, run: RunState, digest: str, notes: list[str]) -> None:
        """Write down a new run, with what it has of nodes. Raises ManifestError if its name is taken."""
        with self._transaction():
            try:
                self._database.execute(
                    "INSERT INTO runs (name, digest, phase, created, finished, notes) VALUES (?, ?, ?, ?, 0, ?)",
                    (run.name, digest, run.phase, run.created, json.dumps(notes)),
                )
            except sqlite3.IntegrityError:
                msg = f"a run called {run.name!r} exists already: give another --name, or use generateName"
                raise ManifestError(msg) from None
            for table, column in (("gone", "name"), ("nodes", "run"), ("progress", "run"), ("requests", "run")):
                self._database.execute(f"DELETE FROM {table} WHERE {column} = ?", (run.name,))  # noqa: S608
            self._positions.pop(run.name, None)
            self._write_header(run)
            progress = json.dumps(run.progress())
            version = self._write(run, list(run.nodes), progress)
        self._loaded[run.name], self._progress[run.name] = version, progress
        run.dirty.clear()

    def save(self, run: RunState) -> list[str]:
        """Write down what changed and forget the requests that were taken, in one transaction; the ids of the changed nodes.

        Raises RunChangedError if the run is not as this journal wrote or loaded it: nothing is written then.
        """
        changed = list(run.dirty)
        progress = json.dumps(run.progress())
        moved = self._progress.get(run.name) != progress
        if not changed and not moved:
            self._forget_taken(run.name)
            return []
        with self._transaction():
            if not self.is_as_known(run.name):
                msg = f"run {run.name!r} was deleted or changed by another process meanwhile"
                raise RunChangedError(msg)
            version = self._write(run, changed, progress if moved else "")
            self._forget_taken(run.name)
        self._loaded[run.name] = version
        if run.done:
            self._progress.pop(run.name, None)
            self._positions.pop(run.name, None)
        else:
            self._progress[run.name] = progress
        run.dirty.clear()
        return changed

    def is_as_known(self, name: str) -> bool:
        """Whether the run is as this journal wrote or loaded it last."""
        row = self._database.execute("SELECT version FROM runs WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] == self._loaded.get(name)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all that is in it, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
            tell_changed(self._path.parent)
        except BaseException:
            if self._database.in_transaction:  # a full disk has ended it already
                self._database.execute("ROLLBACK")
            raise

    def _write_header(self, run: RunState) -> None:
        self._database.execute(
            "UPDATE runs SET header = ?, uid = ?, namespace = ?, labels = ? WHERE name = ?",
            (json.dumps(run.header()), run.uid, run.namespace, json.dumps(run.labels), run.name),
        )

    def _write(self, run: RunState, changed: list[str], progress: str) -> int:
        """The number of the change."""
        first = self._next_position(run.name)
        rows = [
            (run.name, key, first + index, json.dumps(run.nodes[key].to_json())) for index, key in enumerate(changed)
        ]
        self._database.executemany(_SAVE_NODE, rows)
        version = self._count_up()
        self._database.execute("UPDATE runs SET version = ? WHERE name = ?", (version, run.name))
        if progress:
            self._database.execute(
                "UPDATE runs SET phase = ?, finished = ?, expires = ? WHERE name = ?",
                (run.phase, run.finished, expires_at(run), run.name),
            )
            self._database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (run.name, progress))
        if run.done:
            self._forget_requests(run.name)
        self._positions[run.name] = first + len(rows)
        return version

    def _count_up(self) -> int:
        """The number of a change; none has had it before."""
        return int(self._database.execute("UPDATE counter SET value = value + 1 RETURNING value").fetchall()[0][0])

    def _next_position(self, run: str) -> int:
        """A number above that of every node that the journal has."""
        if run not in self._positions:
            query = "SELECT COALESCE(MAX(position), -1) + 1 FROM nodes WHERE run = ?"
            self._positions[run] = self._database.execute(query, (run,)).fetchone()[0]
        return self._positions[run]

    def version(self) -> int:
        """The number of the latest change of any run."""
        return int(self._database.execute("SELECT value FROM counter").fetchone()[0])

    def changes(self, after: int) -> list[Change]:
        """Each run that has changed, or is gone, after the change of that number, in the order of its latest one."""
        query = (
            "SELECT version, name, 0, uid, namespace FROM runs WHERE version > ?1 UNION ALL "
            "SELECT version, name, 1, uid, namespace FROM gone WHERE version > ?1 ORDER BY 1"
        )
        return [
            Change(version, str(name), bool(deleted), _text(uid), _text(namespace))
            for version, name, deleted, uid, namespace in self._database.execute(query, (after,)).fetchall()
        ]

    def load(self, name: str) -> RunState:
        """The state of a run. Raises UnknownRunError, or JournalDamagedError if this run's rows can't be read."""
        row, progress, bodies = self._rows(name)
        if row is None:
            known = ", ".join(summary.name for summary in list(self.runs())[:5]) or "none yet"
            msg = f"run {name!r} is not known here (the latest: {known}): `tiphys list` shows all"
            raise UnknownRunError(msg)
        nodes = [decode(self._path, name, body, Node.from_json) for (body,) in bodies]
        moved = decode(self._path, name, progress[0], dict) if progress else {}
        memo = self.memo()
        self._loaded[name] = row[1]
        self._taken.pop(name, None)
        self._progress.pop(name, None)
        self._positions.pop(name, None)
        return decode(self._path, name, row[0], lambda header: RunState.of(header, moved, nodes, memo))

    def _rows(self, name: str) -> tuple[Any, Any, list[Any]]:
        """What there is of a run, all of one moment."""
        database = self._database
        database.execute("BEGIN")
        try:
            row = database.execute("SELECT header, version FROM runs WHERE name = ?", (name,)).fetchone()
            progress = database.execute("SELECT body FROM progress WHERE run = ?", (name,)).fetchone()
            bodies = database.execute("SELECT body FROM nodes WHERE run = ? ORDER BY position", (name,)).fetchall()
        finally:
            database.execute("ROLLBACK")
        return row, progress, bodies

    def rewrite(self, run: RunState, gone: list[str]) -> bool:
        """Write down a run that was changed from outside: nodes are gone, its spec may be another.

        False, and nothing is written, if the run is not as it was when this journal loaded it.
        """
        with self._transaction():
            if not self.is_as_known(run.name):
                return False
            self._database.executemany("DELETE FROM nodes WHERE run = ? AND id = ?", [(run.name, key) for key in gone])
            self._write_header(run)
            self._forget_requests(run.name)
            version = self._write(run, list(run.dirty), json.dumps(run.progress()))
        self._loaded[run.name] = version
        run.dirty.clear()
        return True

    def delete(self, run: str) -> None:
        """Forget a run: its state, its nodes, what was asked of it."""
        with self._transaction():
            row = self._database.execute("SELECT uid, namespace FROM runs WHERE name = ?", (run,)).fetchone()
            if row is None:
                return
            for statement in (
                "DELETE FROM nodes WHERE run = ?",
                "DELETE FROM progress WHERE run = ?",
                "DELETE FROM requests WHERE run = ?",
                "DELETE FROM runs WHERE name = ?",
            ):
                self._database.execute(statement, (run,))
            version = self._count_up()
            self._database.execute("INSERT OR REPLACE INTO gone VALUES (?, ?, ?, ?)", (run, version, *row))
            self._database.execute("DELETE FROM gone WHERE version <= ?", (version - _TOMBSTONES,))
        self._progress.pop(run, None)
        self._positions.pop(run, None)

    def expired(self, now: float) -> list[str]:
        """The runs whose spec says that they are to go by `now`, in seconds since the epoch."""
        query = "SELECT name FROM runs WHERE expires <= ?"
        return [row[0] for row in self._database.execute(query, (now,)).fetchall()]

    def next_expiry(self) -> float | None:
        """When the next run is to go, in seconds since the epoch."""
        found = self._database.execute("SELECT MIN(expires) FROM runs").fetchone()[0]
        return None if found is None else float(found)

    def set_expiry(self, run: str, moment: float | None) -> None:
        """Say anew when a run is to go."""
        self._database.execute("UPDATE runs SET expires = ? WHERE name = ?", (moment, run))

    def unfinished_names(self) -> list[str]:
        """The runs that have not ended, the first one first."""
        query = f"SELECT name FROM runs WHERE {_UNFINISHED} ORDER BY created, rowid"  # noqa: S608  # no value is in it
        return [row[0] for row in self._database.execute(query).fetchall()]

    def notes(self, name: str) -> list[str]:
        """What was advisory in the run's manifest."""
        row = self._database.execute("SELECT notes FROM runs WHERE name = ?", (name,)).fetchone()
        try:
            return [str(note) for note in decode(self._path, name, row[0], list)] if row else []
        except JournalDamagedError:
            return [f"what was advisory in this manifest can't be read any more: its row in {self._path} is damaged"]

    def runs(self, after: int = -1) -> Iterator[Summary]:
        """All runs, the latest first; only those that have changed after the change of that number, if one is given."""
        query = f"SELECT {_LINE} FROM runs WHERE version > ? ORDER BY created DESC, rowid DESC"  # noqa: S608  # no value is in it
        for row in self._database.execute(query, (after,)).fetchall():
            yield _summary(*row)

    def summary(self, name: str) -> Summary | None:
        """A run's line; None if there is no such run."""
        query = f"SELECT {_LINE} FROM runs WHERE name = ?"  # noqa: S608  # no value is in it
        row = self._database.execute(query, (name,)).fetchone()
        return None if row is None else _summary(*row)

    def unfinished(self, digest: str, name: str = "") -> str | None:
        """The latest run of the same manifest, parameters and containers, and of that name if one is given, that has not ended."""
        query = f"SELECT name FROM runs WHERE digest = ? AND {_UNFINISHED} ORDER BY created DESC"  # noqa: S608  # no value
        names = [row[0] for row in self._database.execute(query, (digest,)).fetchall()]
        return next((known for known in names if name in ("", known)), None)

    def memo(self) -> dict[str, dict[str, Json]]:
        """All memoized outputs, by cache and key."""
        found: dict[str, dict[str, Json]] = {}
        for cache, key, body in self._database.execute("SELECT cache, key, body FROM memo"):
            with suppress(JournalDamagedError):  # as if it had never been kept
                found.setdefault(cache, {})[key] = decode(self._path, "", body, dict)
        return found

    def save_memo(self, cache: str, key: str, entry: Json) -> None:
        """Keep a step's outputs under a key."""
        self._database.execute("INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", (cache, key, json.dumps(entry)))

    def request(self, run: str, body: Json) -> bool:
        """Ask the engine that drives `run` for something: a stop, a resume. False if the run has ended meanwhile."""
        return self._database.execute(_REQUEST, (json.dumps(body), run)).rowcount > 0

    def _forget_requests(self, run: str) -> None:
        """What came too late for a run that has ended must not stop it when it is retried."""
        self._database.execute("DELETE FROM requests WHERE run = ?", (run,))

    def _forget_taken(self, run: str) -> None:
        """What was asked has been carried out, and what came of it is written down."""
        if last := self._taken.pop(run, 0):
            self._database.execute("DELETE FROM requests WHERE run = ? AND id <= ?", (run, last))

    def asked(self) -> set[str]:
        """The runs of which something was asked."""
        return {row[0] for row in self._database.execute("SELECT DISTINCT run FROM requests").fetchall()}

    def take_requests(self, run: str) -> list[Json]:
        """What was asked for, once; it is forgotten with the next save, which holds what came of it."""
        query = "SELECT id, body FROM requests WHERE run = ? AND id > ? ORDER BY id"
        rows = self._database.execute(query, (run, self._taken.get(run, 0))).fetchall()
        if rows:
            self._taken[run] = rows[-1][0]
        return [body for body in (_request(row[1]) for row in rows) if body is not None]


def _summary(*row: Any) -> Summary:
    """One line, whatever a damaged row holds: the others must be shown."""
    name, phase, created, finished, digest, version, uid, namespace, labels = row
    return Summary(
        str(name), _text(phase), _moment(created), _moment(finished), _text(digest), int(_moment(version)), _text(uid),
        _text(namespace), _labels(labels),
    )  # fmt: skip


def _labels(text: Any) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0.0


def _request(text: Any) -> Json | None:
    """What was asked for; None for a row that can't be read, which nobody can carry out."""
    try:
        body = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(body, dict) or (body.get("kind") == "shutdown" and body.get("strategy") not in _STRATEGIES):
        return None
    return body if isinstance(body.get("parameters") or {}, dict) else None
