"""What has happened, durably: every run's state in SQLite, written before anything is started because of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys.engine.errors import JournalDamagedError, UnknownRunError
from tiphys.engine.journal_file import decode, open_database
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    name TEXT PRIMARY KEY, digest TEXT, phase TEXT, created REAL, finished REAL, header TEXT, notes TEXT);
CREATE TABLE IF NOT EXISTS progress (run TEXT PRIMARY KEY, body TEXT);
CREATE TABLE IF NOT EXISTS nodes (run TEXT, id TEXT, position INTEGER, body TEXT, PRIMARY KEY (run, id));
CREATE TABLE IF NOT EXISTS memo (cache TEXT, key TEXT, body TEXT, PRIMARY KEY (cache, key));
CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY, run TEXT, body TEXT);
"""

_STRATEGIES = ("Stop", "Terminate")
_REQUEST = (
    "INSERT INTO requests (run, body) SELECT name, ? FROM runs WHERE name = ? AND phase IN ('', 'Pending', 'Running')"
)
_SAVE_NODE = "INSERT INTO nodes VALUES (?, ?, ?, ?) ON CONFLICT (run, id) DO UPDATE SET body = excluded.body"


@dataclass(frozen=True)
class Summary:
    """One line of `list`."""

    name: str
    phase: str
    created: float
    finished: float
    digest: str


class Journal:
    """The journal of a state folder."""

    def __init__(self, folder: Path) -> None:
        """Open, or make, the journal of `folder`. Raises JournalDamagedError."""
        self._path = folder / "journal.db"
        self._database = open_database(self._path, _TABLES)
        self._progress: dict[str, str] = {}
        self._positions: dict[str, int] = {}

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def create(self, run: RunState, digest: str, notes: list[str]) -> None:
        """Write down a new run."""
        self._database.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run.name, digest, run.phase, run.created, 0.0, json.dumps(run.header()), json.dumps(notes)),
        )
        self.save(run)

    def save(self, run: RunState) -> list[str]:
        """Write down what changed, in one transaction; the ids of the nodes that did."""
        changed = list(run.dirty)
        progress = json.dumps(run.progress())
        moved = self._progress.get(run.name) != progress
        if not changed and not moved:
            return []
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._write(run, changed, progress if moved else "")
            self._database.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._progress[run.name] = progress
        run.dirty.clear()
        return changed

    def _write(self, run: RunState, changed: list[str], progress: str) -> None:
        first = self._next_position(run.name)
        rows = [
            (run.name, key, first + index, json.dumps(run.nodes[key].to_json())) for index, key in enumerate(changed)
        ]
        self._database.executemany(_SAVE_NODE, rows)
        if progress:
            self._database.execute(
                "UPDATE runs SET phase = ?, finished = ? WHERE name = ?", (run.phase, run.finished, run.name)
            )
            self._database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (run.name, progress))
        if run.done:
            self._forget_requests(run.name)
        self._positions[run.name] = first + len(rows)

    def _roll_back(self) -> None:
        if self._database.in_transaction:  # a full disk has ended it already
            self._database.execute("ROLLBACK")

    def _next_position(self, run: str) -> int:
        """A number above that of every node that the journal has."""
        if run not in self._positions:
            query = "SELECT COALESCE(MAX(position), -1) + 1 FROM nodes WHERE run = ?"
            self._positions[run] = self._database.execute(query, (run,)).fetchone()[0]
        return self._positions[run]

    def load(self, name: str) -> RunState:
        """The state of a run. Raises UnknownRunError, or JournalDamagedError if this run's rows can't be read."""
        row = self._database.execute("SELECT header FROM runs WHERE name = ?", (name,)).fetchone()
        if row is None:
            known = ", ".join(summary.name for summary in list(self.runs())[:5]) or "none yet"
            msg = f"run {name!r} is not known here (the latest: {known}): `tiphys list` shows all"
            raise UnknownRunError(msg)
        progress = self._database.execute("SELECT body FROM progress WHERE run = ?", (name,)).fetchone()
        bodies = self._database.execute("SELECT body FROM nodes WHERE run = ? ORDER BY position", (name,))
        nodes = [decode(self._path, name, body, Node.from_json) for (body,) in bodies]
        moved = decode(self._path, name, progress[0], dict) if progress else {}
        memo = self.memo()
        return decode(self._path, name, row[0], lambda header: RunState.of(header, moved, nodes, memo))

    def rewrite(self, run: RunState, gone: list[str]) -> None:
        """Write down a run that was changed from outside: nodes are gone, its spec may be another."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany("DELETE FROM nodes WHERE run = ? AND id = ?", [(run.name, key) for key in gone])
            self._database.execute("UPDATE runs SET header = ? WHERE name = ?", (json.dumps(run.header()), run.name))
            self._forget_requests(run.name)
            self._write(run, list(run.dirty), json.dumps(run.progress()))
            self._database.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        run.dirty.clear()

    def delete(self, run: str) -> None:
        """Forget a run: its state, its nodes, what was asked of it."""
        self._database.execute("BEGIN IMMEDIATE")
        for statement in (
            "DELETE FROM nodes WHERE run = ?",
            "DELETE FROM progress WHERE run = ?",
            "DELETE FROM requests WHERE run = ?",
            "DELETE FROM runs WHERE name = ?",
        ):
            self._database.execute(statement, (run,))
        self._database.execute("COMMIT")
        self._progress.pop(run, None)
        self._positions.pop(run, None)

    def with_ttl(self) -> list[str]:
        """The runs that have ended and whose spec says when they are to go."""
        query = "SELECT name FROM runs WHERE finished > 0 AND header LIKE '%\"ttlStrategy\"%'"
        return [row[0] for row in self._database.execute(query).fetchall()]

    def notes(self, name: str) -> list[str]:
        """What was advisory in the run's manifest."""
        row = self._database.execute("SELECT notes FROM runs WHERE name = ?", (name,)).fetchone()
        try:
            return [str(note) for note in decode(self._path, name, row[0], list)] if row else []
        except JournalDamagedError:
            return [f"what was advisory in this manifest can't be read any more: its row in {self._path} is damaged"]

    def runs(self) -> Iterator[Summary]:
        """All runs, the latest first."""
        query = "SELECT name, phase, created, finished, digest FROM runs ORDER BY created DESC, rowid DESC"
        for row in self._database.execute(query).fetchall():
            yield _summary(*row)

    def unfinished(self, digest: str, name: str = "") -> str | None:
        """The latest run of the same manifest, parameters and containers, and of that name if one is given, that has not ended."""
        query = "SELECT name FROM runs WHERE digest = ? AND phase IN ('', 'Pending', 'Running') ORDER BY created DESC"
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

    def take_requests(self, run: str) -> list[Json]:
        """What was asked for, once."""
        rows = self._database.execute("SELECT id, body FROM requests WHERE run = ? ORDER BY id", (run,)).fetchall()
        self._database.executemany("DELETE FROM requests WHERE id = ?", [(row[0],) for row in rows])
        return [body for body in (_request(row[1]) for row in rows) if body is not None]


def _summary(name: Any, phase: Any, created: Any, finished: Any, digest: Any) -> Summary:
    """One line, whatever a damaged row holds: the others must be shown."""
    return Summary(str(name), _text(phase), _moment(created), _moment(finished), _text(digest))


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
