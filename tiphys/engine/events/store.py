"""The events of a state folder, durably: what was sent, what is to be started because of it, and what came of it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tiphys.engine.errors import EventsFullError, JournalDamagedError
from tiphys.engine.journal_file import Database

Json = dict[str, Any]
FILE = "events.db"
MOST_WAITING = 10_000
"""Events that may wait to be delivered; Argo's own queue has 64."""
KEPT = 1_000
"""Delivered events that are remembered with what came of them. Their senders' ids are remembered for ever."""
SHOWN_PAYLOAD = 4_096
"""Characters of a payload that stay when it has been delivered."""
_VERSION = 1
_TABLES = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, namespace TEXT, discriminator TEXT, sender TEXT,
        payload TEXT, metadata TEXT, received REAL, plan TEXT, done REAL, outcome TEXT)""",
    "CREATE INDEX waiting ON events (seq) WHERE done IS NULL",
    "CREATE TABLE senders (key TEXT PRIMARY KEY, event TEXT) WITHOUT ROWID",
)
_COLUMNS = "id, namespace, discriminator, sender, payload, metadata, received, plan, done, outcome"


@dataclass(frozen=True)
class Event:
    """One event; times in seconds since the epoch, `done` is 0 while it waits.

    `plan` holds, for each binding that was asked, the run to start or the error; `outcome` what came of it.
    """

    id: str
    namespace: str
    discriminator: str
    sender_id: str
    payload: str
    metadata: dict[str, list[str]]
    received: float
    plan: list[Json] | None
    done: float
    outcome: list[Json]


class EventStore:
    """Used with `with`, or closed by hand. Any number of processes may have one open."""

    def __init__(self, folder: Path) -> None:
        """Open, or make, the file. Raises JournalDamagedError."""
        path = folder / FILE
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = sqlite3.connect(path, timeout=10, isolation_level=None, factory=Database)
        self._database.path = path
        try:
            self._open(path)
        except BaseException:
            self._database.close()
            raise

    def _open(self, path: Path) -> None:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        if self._version(path) == _VERSION:
            return
        with self._transaction():
            if self._version(path) == 0:
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version={_VERSION}")

    def _version(self, path: Path) -> int:
        found = int(self._database.execute("PRAGMA user_version").fetchone()[0])
        if found > _VERSION:
            msg = f"{path} is of version {found}, this tiphys knows {_VERSION} at most: use the newer tiphys that wrote it"
            raise JournalDamagedError(msg)
        return found

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(  # noqa: PLR0913, PLR0917 - an event has that many parts
        self,
        namespace: str,
        discriminator: str,
        payload: str,
        metadata: Mapping[str, Sequence[str]],
        received: float,
        sender_id: str = "",
    ) -> str:
        """Write an event down; its id. One whose sender's id was seen before adds nothing: the id of the first.

        Raises:
            EventsFullError: too many wait.
        """
        made = uuid.uuid4().hex
        with self._transaction():
            if sender_id:
                known = json.dumps([namespace, discriminator, sender_id])
                key = hashlib.sha256(known.encode()).hexdigest()
                row = self._database.execute("SELECT event FROM senders WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    return str(row[0])
                self._database.execute("INSERT INTO senders VALUES (?, ?)", (key, made))
            self._refuse_if_full()
            self._database.execute(
                "INSERT INTO events (id, namespace, discriminator, sender, payload, metadata, received) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (made, namespace, discriminator, sender_id, payload, json.dumps(dict(metadata)), received),
            )
        return made

    def _refuse_if_full(self) -> None:
        waiting = self._database.execute("SELECT COUNT(*) FROM events WHERE done IS NULL").fetchone()[0]
        if waiting >= MOST_WAITING:
            msg = f"{waiting} events wait to be delivered: send it again later; `tiphys events list` shows them"
            raise EventsFullError(msg)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all that is in it, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        try:
            self._database.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:  # a full disk has ended it already
            self._database.execute("ROLLBACK")

    def waiting(self, count: int) -> list[Event]:
        """The first events that have not been delivered, in the order in which they came."""
        query = f"SELECT {_COLUMNS} FROM events WHERE done IS NULL ORDER BY seq LIMIT ?"  # noqa: S608  # no value
        return [_event(row) for row in self._database.execute(query, (count,)).fetchall()]

    def intend(self, event_id: str, plan: list[Json]) -> None:
        """Write down what is to be started; it is not made up anew after that."""
        self._database.execute("UPDATE events SET plan = ? WHERE id = ?", (json.dumps(plan), event_id))

    def finish(self, event_id: str, outcome: list[Json], done: float) -> None:
        """Write down what came of an event; the oldest that were delivered go."""
        with self._transaction():
            self._database.execute(
                "UPDATE events SET done = ?, outcome = ?, plan = NULL, payload = substr(payload, 1, ?) WHERE id = ?",
                (done, json.dumps(outcome), SHOWN_PAYLOAD, event_id),
            )
            self._database.execute(
                "DELETE FROM events WHERE done IS NOT NULL AND seq <= "
                "(SELECT seq FROM events WHERE done IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (KEPT,),
            )

    def history(self, count: int) -> list[Event]:
        """Events that wait and events that were delivered, the latest first."""
        query = f"SELECT {_COLUMNS} FROM events ORDER BY seq DESC LIMIT ?"  # noqa: S608  # no value
        return [_event(row) for row in self._database.execute(query, (count,)).fetchall()]

    def get(self, event_id: str) -> Event | None:
        """The event of that id, or None."""
        query = f"SELECT {_COLUMNS} FROM events WHERE id = ?"  # noqa: S608  # no value
        row = self._database.execute(query, (event_id,)).fetchone()
        return None if row is None else _event(row)


def _event(row: Any) -> Event:
    made, namespace, discriminator, sender, payload, metadata, received, plan, done, outcome = row
    return Event(
        made, namespace, discriminator, sender, payload, json.loads(metadata), received,
        json.loads(plan) if plan else None, done or 0.0, json.loads(outcome) if outcome else [],
    )  # fmt: skip


def history(folder: Path, count: int = 100) -> list[Event]:
    """The latest events of a state folder; none if it has never had one."""
    if not (folder / FILE).exists():
        return []
    with EventStore(folder) as store:
        return store.history(count)
