"""Mutexes and semaphores across the runs that one process drives: who holds how much of each, and who is next.

As on Argo the run of the highest priority goes first, then the one that was created first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.engine.run_state import RunState

Rank = tuple[int, float, str]


class SharedLocks:
    """The locks of all runs of a process. A run holds what its own `locks` say; here it is counted."""

    def __init__(self) -> None:
        """Nobody holds or waits for anything."""
        self._held: dict[str, dict[str, int]] = {}
        self._waiting: dict[str, dict[str, Rank]] = {}
        self._wake: dict[str, Callable[[], None]] = {}

    def enter(self, run: RunState, wake: Callable[[], None]) -> None:
        """Count what the run holds already; `wake` is called whenever a lock may be free on which it waits."""
        run.shared = self
        self._wake[run.name] = wake
        for name in [name for name, holders in self._held.items() if run.name in holders and name not in run.locks]:
            self.count(run, name, 0)  # taken, but never written down
        for name, holders in run.locks.items():
            self._held.setdefault(name, {})[run.name] = len(holders)

    def leave(self, run: RunState) -> None:
        """The run is driven no more: it holds and waits for nothing."""
        self._wake.pop(run.name, None)
        self.pass_on(run, self.wait_no_more(run))
        for name in [name for name, holders in self._held.items() if run.name in holders]:
            self.count(run, name, 0)
        run.shared = None

    def others(self, run: RunState, name: str) -> int:
        """How much of a lock other runs hold."""
        return sum(count for holder, count in self._held.get(name, {}).items() if holder != run.name)

    def is_next(self, run: RunState, name: str) -> bool:
        """Whether nobody waits for the lock who goes before this run."""
        own = _rank(run)
        return all(own <= rank for rank in self._waiting.get(name, {}).values())

    def waits(self, run: RunState) -> bool:
        """Whether the run waits for a lock that another one holds."""
        return any(run.name in waiting for waiting in self._waiting.values())

    def wait(self, run: RunState, name: str) -> None:
        """The run waits for a lock."""
        self._waiting.setdefault(name, {})[run.name] = _rank(run)

    def wait_no_more(self, run: RunState) -> set[str]:
        """The run looks anew: what it still has to wait for, it will say again. The locks that it waited for."""
        names = {name for name, waiting in self._waiting.items() if run.name in waiting}
        for name in names:
            del self._waiting[name][run.name]
            if not self._waiting[name]:
                del self._waiting[name]
        return names

    def pass_on(self, run: RunState, waited: set[str]) -> None:
        """Tell those behind the run of each lock that it waited for and does not any more."""
        for name in waited:
            if run.name not in self._waiting.get(name, {}):
                self._wake_next(name)

    def count(self, run: RunState, name: str, holders: int) -> None:
        """The run holds that much of a lock now; if that is less, the next one is told."""
        held = self._held.setdefault(name, {})
        before = held.pop(run.name, 0)
        if holders:
            held[run.name] = holders
        if not held:
            del self._held[name]
        if holders < before:
            self._wake_next(name)

    def _wake_next(self, name: str) -> None:
        """Those who wait, the next one first: who can't go on after all makes room for the one behind."""
        for waiting, _ in sorted(self._waiting.get(name, {}).items(), key=lambda item: item[1]):
            if waiting in self._wake:
                self._wake[waiting]()


def _rank(run: RunState) -> Rank:
    return (-int(run.spec.get("priority") or 0), run.created, run.name)
