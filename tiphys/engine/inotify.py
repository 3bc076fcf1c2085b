"""The kernel's word that a file has changed (inotify), and the two files by which processes tell one another.

A writer of the journal touches `changed` after each commit: the database's own files change a moment before others can
read what was written. Who wants something of an engine touches `wake`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

MODIFIED, ATTRIBUTES, CREATED = 0x2, 0x4, 0x100
_WAKE, _CHANGED = "wake", "changed"


class Inotify:
    """Watches files, or what lies in folders. `fileno` becomes readable when something has changed."""

    def __init__(self, paths: Iterable[Path], mask: int = MODIFIED | CREATED | ATTRIBUTES) -> None:
        """Folders that are not there are made. Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"files can't be watched: {os.strerror(number)}")
        self._mask = mask
        for path in paths:
            self.add(path)

    def add(self, path: Path) -> None:
        """Watch one more file or folder; a folder that is not there is made. Raises OSError."""
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)
        if self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), self._mask) < 0:
            raise OSError(ctypes.get_errno(), f"{path} can't be watched")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._descriptor

    def drain(self) -> None:
        """Forget what has happened so far."""
        with suppress(BlockingIOError):
            while os.read(self._descriptor, 65536):
                pass

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def changed_file(state: Path) -> Path:
    """The file that is touched after each change of the journal of a state folder; it is there from now on."""
    path = state / _CHANGED
    if not path.exists():
        _touch(path)
    return path


def tell_changed(state: Path) -> None:
    """Tell everyone who watches that the journal has changed."""
    _touch(state / _CHANGED)


def wake(state: Path) -> None:
    """Tell the engine of a state folder, if one lives, that something was written which it may care for."""
    _touch(state / _WAKE)


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


class Waker:
    """Calls back, on the running event loop, whenever another process has called `wake`."""

    def __init__(self, state: Path, heard: Callable[[], None]) -> None:
        """`heard` may find that nothing it cares for was written."""
        wake(state)
        self._heard = heard
        self._inotify = Inotify([state / _WAKE])
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify.fileno(), self._woken)

    def _woken(self) -> None:
        self._inotify.drain()
        self._heard()

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()
