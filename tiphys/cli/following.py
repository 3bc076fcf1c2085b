"""Follows a run that another process drives: by the kernel's word that a file changed or that the engine is gone."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tiphys.engine import Engine, RunState

_MODIFIED_OR_CREATED = 0x2 | 0x100
_TICK = 1000  # milliseconds


def follow(engine: Engine, name: str, *, ticking: bool = False) -> Iterator[RunState]:
    """The run now, and whenever it or a log of it has changed, until it has ended or no engine drives it.

    `ticking` gives it each second as well, for a clock on a screen. The last one may not be done: then nobody drives it.
    """
    folders = (engine.state, engine.log_path(name, "any").parent)
    with _Watch(folders) as watch:
        while True:
            driven = engine.driven() == name
            run = engine.get(name)
            yield run
            if run.done or not driven:
                return
            watch.wait(_holder(engine), _TICK if ticking else None)


def _holder(engine: Engine) -> int:
    """A descriptor that becomes readable when the engine ends, or -1."""
    from tiphys.engine.lock import read_holder

    pid = read_holder(engine.state).get("pid")
    with suppress(OSError):
        return os.pidfd_open(pid) if isinstance(pid, int) else -1
    return -1


class _Watch:
    """Folders whose files are watched (inotify)."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            if libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MODIFIED_OR_CREATED) < 0:
                raise OSError(ctypes.get_errno(), f"{folder} can't be watched")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)

    def wait(self, holder: int, milliseconds: int | None) -> None:
        """Block until a file changed, the process behind `holder` ended, or the time is over."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if holder >= 0:
            poll.register(holder, select.POLLIN)
        try:
            poll.poll(milliseconds)
        finally:
            if holder >= 0:
                os.close(holder)
        with suppress(BlockingIOError):
            while os.read(self._descriptor, 65536):
                pass
