"""What is kept: entries by key, what each step was told and why, and what is quarantined. One SQLite file, bounded.

Any process may use it at any time. A row that is damaged, and a file that is, is as if nothing had been kept.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tiphys.cache import digests

Json = dict[str, Any]
MOST_ENTRIES = 2_000
MOST_LOOK_UPS = 20_000
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, template TEXT, made REAL, body TEXT, digest TEXT);
CREATE INDEX IF NOT EXISTS by_template ON entries (template, made);
CREATE TABLE IF NOT EXISTS look_ups (
    id INTEGER PRIMARY KEY, run TEXT, node TEXT, body TEXT, digest TEXT);
CREATE INDEX IF NOT EXISTS by_run ON look_ups (run);
CREATE TABLE IF NOT EXISTS details (digest TEXT PRIMARY KEY, body TEXT);
CREATE TABLE IF NOT EXISTS quarantine (template TEXT, code TEXT, made REAL, reason TEXT, PRIMARY KEY (template, code));
"""


@dataclass(frozen=True)
class Entry:
    """A result that may be used again."""

    key: str
    template: str
    run: str
    node: str
    made: float
    parts: dict[str, str]
    details: dict[str, str]
    """Part -> digest of its details."""
    outputs: Json
    proofs: Json
    """What each output named when it was kept: see `references`."""
    environment: dict[str, str]
    """What the run was called when it was made: for an audit."""
    rendered: Json = field(default_factory=dict)
    """The template as it ran: an audit runs it again."""


@dataclass(frozen=True)
class LookUp:
    """What one step was told."""

    run: str
    node: str
    """The step's name in the run, as `tiphys get` shows it."""
    template: str
    at: float
    verdict: str
    """`hit`, `miss`, `not cached`, `audited`, `differs`."""
    reason: str
    key: str = ""
    source: str = ""
    """The run whose result it was, or is nearest."""
    parts: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    against: str = ""
    """Key of the entry that it was compared with."""
    differences: list[str] = field(default_factory=list)
    kept: str = ""
    """After it had run: empty if its result was kept, else why not; `...` until it is known."""


@dataclass(frozen=True)
class Quarantined:
    """A step whose results are never used: it gave others when it ran again."""

    template: str
    code: str
    made: float
    reason: str


class Store:
    """The file `cache.db` of an engine's state folder."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before something is kept."""
        self.path = folder / "cache.db"

    def entry(self, key: str) -> Entry | None:
        """The result of that key; None for a damaged one."""
        with self._database() as database:
            row = database.execute("SELECT body, digest FROM entries WHERE key = ?", (key,)).fetchone()
        found = _entry(*row) if row else None
        return found if found is not None and found.key == key else None

    def entries(self, template: str = "") -> list[Entry]:
        """Those of one template, or all; the latest first, damaged ones left out."""
        query = "SELECT body, digest FROM entries WHERE ? IN ('', template) ORDER BY made DESC, rowid DESC"
        with self._database() as database:
            rows = database.execute(query, (template,)).fetchall()
        return [found for row in rows if (found := _entry(*row)) is not None]

    def put(self, entry: Entry, details: dict[str, dict[str, str]]) -> None:
        """Keep a result in place of an earlier one of that key; the oldest go when there are too many."""
        body = json.dumps(asdict(entry))
        row = (entry.key, entry.template, entry.made, body, digests.of(body))
        with self._database() as database:
            database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)
            self._put_details(database, details)
            database.execute(
                "DELETE FROM entries WHERE key NOT IN (SELECT key FROM entries ORDER BY made DESC LIMIT ?)",
                (MOST_ENTRIES,),
            )

    def forget(self, key: str) -> None:
        """Forget one entry."""
        with self._database() as database:
            database.execute("DELETE FROM entries WHERE key = ?", (key,))

    def clear(self, template: str = "") -> int:
        """Forget the entries of a template, or all; how many went. A file that is damaged is begun anew."""
        try:
            with self._database() as database:
                return database.execute("DELETE FROM entries WHERE ? IN ('', template)", (template,)).rowcount
        except OSError:
            for each in (self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal", "-shm"))):
                each.unlink(missing_ok=True)
            return 0

    def note(self, told: LookUp, details: dict[str, dict[str, str]] | None = None) -> int:
        """Remember what a step was told; its number."""
        body = json.dumps(asdict(told))
        with self._database() as database:
            row = (told.run, told.node, body, digests.of(body))
            number = database.execute(
                "INSERT INTO look_ups (run, node, body, digest) VALUES (?, ?, ?, ?)", row
            ).lastrowid
            self._put_details(database, details or {})
            if number is not None and number % 100 == 0:
                self._tidy(database, number)
        return number or 0

    def amend(self, number: int, told: LookUp) -> None:
        """Say how it went on."""
        body = json.dumps(asdict(told))
        with self._database() as database:
            database.execute("UPDATE look_ups SET body = ?, digest = ? WHERE id = ?", (body, digests.of(body), number))

    def look_ups(self, run: str) -> list[LookUp]:
        """What the steps of a run were told, in order."""
        with self._database() as database:
            rows = database.execute("SELECT body, digest FROM look_ups WHERE run = ? ORDER BY id", (run,)).fetchall()
        return [found for row in rows if (found := _look_up(*row)) is not None]

    def details(self, digest: str) -> dict[str, str]:
        """What a part was made of; empty where that is not known any more."""
        with self._database() as database:
            row = database.execute("SELECT body FROM details WHERE digest = ?", (digest,)).fetchone()
        return json.loads(row[0]) if row and digests.of(row[0]) == digest else {}

    def quarantine(self, template: str, code: str, reason: str) -> None:
        """Never use results of this template with this code again; what was kept of it goes."""
        with self._database() as database:
            row = (template, code, time.time(), reason)
            database.execute("INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)", row)

    def quarantined(self, template: str = "", code: str = "") -> list[Quarantined]:
        """What is in quarantine: of a template with that code, or all."""
        query = "SELECT template, code, made, reason FROM quarantine WHERE ? IN ('', template) AND ? IN ('', code) ORDER BY made"
        with self._database() as database:
            return [Quarantined(*row) for row in database.execute(query, (template, code)).fetchall()]

    def lift(self, template: str) -> int:
        """A person says that a step may be cached again; how many quarantines went."""
        with self._database() as database:
            return database.execute("DELETE FROM quarantine WHERE template = ?", (template,)).rowcount

    def _put_details(self, database: sqlite3.Connection, details: dict[str, dict[str, str]]) -> None:
        rows = [(digests.of(body), body) for each in details.values() for body in (detail(each),)]
        database.executemany("INSERT OR IGNORE INTO details VALUES (?, ?)", rows)

    def _tidy(self, database: sqlite3.Connection, number: int) -> None:
        database.execute("DELETE FROM look_ups WHERE id <= ?", (number - MOST_LOOK_UPS,))
        used: set[str] = set()
        for table in ("entries", "look_ups"):
            for (body,) in database.execute(f"SELECT body FROM {table}"):  # noqa: S608 - one of two names
                try:
                    used.update(json.loads(body)["details"].values())
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue  # damaged: nothing of it is used
        known = [row[0] for row in database.execute("SELECT digest FROM details")]
        database.executemany("DELETE FROM details WHERE digest = ?", [(each,) for each in known if each not in used])

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self.path, timeout=30)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")  # a power cut may take the last entries: a miss, no more
            database.executescript(_TABLES)
            with database:
                yield database
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            message = f"the cache {self.path} is damaged ({error}): `tiphys cache clear` begins a new one"
            raise OSError(message) from None
        finally:
            database.close()


def detail(found: dict[str, str]) -> str:
    """The text that details are kept as; its digest names them."""
    return json.dumps(found, sort_keys=True, separators=(",", ":"))


def _entry(body: str, digest: str) -> Entry | None:
    return Entry(**json.loads(body)) if isinstance(body, str) and digests.of(body) == digest else None


def _look_up(body: str, digest: str) -> LookUp | None:
    return LookUp(**json.loads(body)) if isinstance(body, str) and digests.of(body) == digest else None
