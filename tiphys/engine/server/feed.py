"""Tells streams which runs have changed: one task for the whole process, woken by the kernel when the journal has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tiphys.engine.engine import Engine
from tiphys.engine.inotify import Inotify, changed_file
from tiphys.engine.journal import Change, Journal, Summary

_APART = 0.004
"""Seconds between two looks at least: a busy journal gives thousands of signs a second."""


class Subscription:
    """What one stream has not yet heard of: the latest change of each run, so one that falls behind skips what is past."""

    def __init__(self) -> None:
        """Made by `Feed.subscribe`."""
        self.sign = asyncio.Event()
        """Set when there is something to take; a stream may set it itself."""
        self._changes: dict[str, Change] = {}

    def tell(self, changes: list[Change]) -> None:
        """There is news."""
        for change in changes:
            self._changes.pop(change.name, None)
            self._changes[change.name] = change
        self.sign.set()

    def take(self) -> list[Change]:
        """All news since the last call, in the order of the changes."""
        self.sign.clear()
        taken = list(self._changes.values())
        self._changes.clear()
        return taken


class Feed:
    """The changes of one state folder's runs; lives on one event loop. Watches nothing while nobody listens."""

    def __init__(self, engine: Engine) -> None:
        """`engine` names the folder; its journal is opened anew at the first subscription."""
        self._engine = engine.apart()
        self._inotify: Inotify | None = None
        self._subscriptions: set[Subscription] = set()
        self._seen = 0
        self._looked = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Hear of all changes from now on."""
        subscription = Subscription()
        if not self._subscriptions:
            self._begin()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                self._end()

    def summary(self, name: str) -> Summary | None:
        """A run's line as it is now; None if it is gone."""
        return self._journal.summary(name)

    @property
    def _journal(self) -> Journal:
        return self._engine.journal

    def _begin(self) -> None:
        self._inotify = Inotify([changed_file(self._engine.state)])
        self._seen = self._journal.version()
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._signed)

    def _end(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _signed(self) -> None:
        if self._inotify is None:
            return
        self._inotify.drain()
        if time.monotonic() - self._looked >= _APART:
            self._look()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_APART, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self._look()

    def _look(self) -> None:
        """Pass on what is new."""
        changes = self._journal.changes(self._seen)
        self._looked = time.monotonic()
        if changes:
            self._seen = changes[-1].version
            for subscription in self._subscriptions:
                subscription.tell(changes)


class Folders:
    """Wakes streams that follow files: all that listen are woken when a file in any of the folders has changed."""

    def __init__(self) -> None:
        """Watches nothing yet."""
        self._inotify: Inotify | None = None
        self._heard: set[Callable[[], None]] = set()

    @contextmanager
    def listen(self, folder: Path, heard: Callable[[], None]) -> Iterator[None]:
        """Call `heard` whenever a file in the folder has changed; a folder that is not there is made."""
        loop = asyncio.get_running_loop()
        if self._inotify is None:
            self._inotify = Inotify([])
            loop.add_reader(self._inotify.fileno(), self._woken)
        self._inotify.add(folder)
        self._heard.add(heard)
        try:
            yield
        finally:
            self._heard.discard(heard)
            if not self._heard:
                loop.remove_reader(self._inotify.fileno())
                self._inotify.close()
                self._inotify = None

    def _woken(self) -> None:
        if self._inotify is not None:
            self._inotify.drain()
            for heard in self._heard:
                heard()
