"""All runs in one line each, kept up with the journal's changes: a list need not read a thousand rows for fifty."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tiphys.engine.journal import Journal, Summary


class Catalog:
    """The runs of a state folder, the latest first."""

    def __init__(self) -> None:
        """Nothing is read before the first `runs`."""
        self._lock = threading.Lock()
        self._version = -1
        self._by_name: dict[str, Summary] = {}
        self._sorted: Sequence[Summary] = ()

    def runs(self, journal: Journal) -> tuple[int, Sequence[Summary]]:
        """The number of the journal's latest change, and the runs as they are then or a moment later."""
        with self._lock:
            version = journal.version()
            if version != self._version:
                self._read(journal)
                self._sorted = sorted(self._by_name.values(), key=_age, reverse=True)
            return self._version, self._sorted

    def _read(self, journal: Journal) -> None:
        if self._version < 0:
            self._version = journal.version()
            self._by_name = {summary.name: summary for summary in journal.runs()}
            return
        for change in journal.changes(self._version):
            summary = None if change.deleted else journal.summary(change.name)
            if summary is None:
                self._by_name.pop(change.name, None)
            else:
                self._by_name[change.name] = summary
            self._version = change.version


def _age(summary: Summary) -> tuple[float, str]:
    return summary.created, summary.name
