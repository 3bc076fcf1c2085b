"""Follows a run that another process drives: by the kernel's word that a file changed or that the engine is gone."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.engine import Engine, RunState
    from tiphys.engine.driver import Listener
    from tiphys.engine.inotify import Inotify

_TICK = 1000  # milliseconds
_PATIENCE = 2  # Ctrl-Cs: one more, and the engine is left alone with the run


def follow(engine: Engine, name: str, *, ticking: bool = False) -> Iterator[RunState]:
    """The run now, and whenever it or a log of it has changed, until it has ended or no engine drives it.

    `ticking` gives it each second as well, for a clock on a screen. The last one may not be done: then nobody drives it.
    """
    from tiphys.engine.errors import UnknownRunError
    from tiphys.engine.inotify import Inotify, changed_file

    run = engine.get(name)
    with Inotify((changed_file(engine.state), engine.log_path(name, "any").parent)) as watch:
        while True:
            driven = engine.drives(name)
            try:
                run = engine.get(name)
            except UnknownRunError:  # it has ended, and its time is over
                return
            yield run
            if run.done or not driven:
                return
            _wait(watch, _holder(engine), ticking=ticking)


def attend(engine: Engine, name: str, listener: Listener, told: Callable[[int], None]) -> RunState:
    """Show a run that an engine drives until it has ended; each Ctrl-C asks to stop, then to terminate it.

    `told` hears of each Ctrl-C: 1 stops, 2 terminates, 3 no longer waits. The run that comes back may not be done:
    then its engine is gone, or the person did not want to wait.
    """
    ticking = bool(getattr(listener, "period", 0.0))
    run = engine.get(name)
    for count in range(1, _PATIENCE + 2):
        try:
            for run in follow(engine, name, ticking=ticking):
                listener(run, list(run.nodes.values()))
            break
        except KeyboardInterrupt:
            told(count)
            if count <= _PATIENCE:
                engine.stop(name, terminate=count > 1)
    return run


def _holder(engine: Engine) -> int:
    """A descriptor that becomes readable when the engine ends, or -1 where this process can't see it."""
    from tiphys.engine.lock import holder_pid

    with suppress(OSError):
        pid = holder_pid(engine.state)
        return -1 if pid is None else os.pidfd_open(pid)
    return -1


def _wait(watch: Inotify, holder: int, *, ticking: bool) -> None:
    """Block until a file changed or the process behind `holder` ended; no longer than a tick if that is wanted or needed."""
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    if holder >= 0:
        poll.register(holder, select.POLLIN)
    try:
        poll.poll(_TICK if ticking or holder < 0 else None)
    finally:
        if holder >= 0:
            os.close(holder)
    watch.drain()
