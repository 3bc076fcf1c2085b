"""Starting, asking and stopping the stack from outside of its supervisor."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tiphys.errors import PermanentError, RetryableError
from tiphys.settings import OUTSIDE, PackageSettings, RegistrySettings, StackSettings, load, surroundings
from tiphys.stack import config, detach, keys, logs, ports, state
from tiphys.stack.layout import Layout
from tiphys.stack.processes import sweep
from tiphys.stack.state import ServerState, StackState
from tiphys.step import Contract

OnChange = Callable[[ServerState], None]
"""Told of each change of a server's state while waiting."""

NEEDED_DISK = 1 << 30  # bytes: databases, logs and Ray's sessions before any data
_LOOK_EVERY = 0.1
_STOP_WITHIN = 60.0
_RENEWS_WITHIN = 20.0
_DYING_WITHIN = 30.0  # seconds: what a killed supervisor took with it may hold its ports a little longer


@dataclass(frozen=True)
class StackInfo:
    """What a running stack offers."""

    config_map: dict[str, str]
    secrets: dict[str, dict[str, str]]
    started: bool
    """Whether this call started it; False when it was found running."""


def up(settings: StackSettings, contracts: Mapping[str, Contract], on_change: OnChange) -> StackInfo:
    """Start the servers, or find them running, and wait until every one is healthy.

    A contract that is new since the servers started gets its keys; a registry of images that the environment names now
    takes the place of the one before. Two calls at once start one stack: the second waits.

    Raises:
        PermanentError: a port is taken, the disk is full, a program is missing, another version's servers run.
        RetryableError: a server did not become healthy; its log's last lines are in the message.
    """
    layout = Layout.of(settings)
    try:
        layout.make()
        with detach.only_one(layout.run / "up.lock"):
            registry = keys.Registry.of(load(RegistrySettings), load(PackageSettings))
            found = keys.ensure(layout.secrets / "keys.json", contracts, registry, surroundings(*OUTSIDE))
            started = _ensure_running(settings, found, on_change)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PermanentError(_disk_full(layout.home)) from error
        raise
    return StackInfo(config.config_map(settings, found), config.secrets(settings, found), started)


def down(settings: StackSettings) -> bool:
    """Stop every server; False when none was running.

    Raises:
        RetryableError: the supervisor did not end in time.
    """
    layout = Layout.of(settings)
    until = time.monotonic() + _STOP_WITHIN
    was_running = detach.is_running(layout)
    while detach.is_running(layout):
        supervisor = detach.find(layout)
        if supervisor is None:
            message = f"a supervisor holds {layout.home}, but runs where this process cannot see it"
            raise RetryableError(message)
        if time.monotonic() > until:
            _kill(supervisor)
        else:
            _signal(supervisor, signal.SIGTERM)
        _sleep_unless(lambda: not detach.is_running(layout), 1.0)
    return sweep(settings.home) > 0 or was_running


def _ensure_running(settings: StackSettings, found: keys.Keys, on_change: OnChange) -> bool:
    layout = Layout.of(settings)
    if detach.is_running(layout):
        _renew(layout, found)
        _await_healthy(layout, found, on_change, None)
        return False
    _require_disk(layout.home)
    sweep(settings.home)  # without a PID namespace, a killed supervisor leaves processes that hold ports
    mine = ports.Ports(settings.port_base)
    was_killed = _was_killed(layout)
    (layout.run / "state.json").unlink(missing_ok=True)  # before a port can be refused: it is waited for once
    if was_killed:
        _sleep_unless(lambda: not any(map(ports.is_taken, mine.every())), _DYING_WITHIN)
    ports.require_free(mine)
    process = detach.start(settings)
    try:
        _await_healthy(layout, found, on_change, process)
    except BaseException:
        _abandon(settings, process)
        raise
    return True


def _was_killed(layout: Layout) -> bool:
    """Whether the last supervisor ended without stopping its servers."""
    told = state.read(layout.run / "state.json")
    return told is not None and any(each.state != "stopped" for each in told.servers.values())


def _renew(layout: Layout, found: keys.Keys) -> None:
    """Have the supervisor read the keys again, if it knows others, and begin anew with what it gave up.

    Raises:
        PermanentError: it does not take the keys over.
    """
    supervisor = detach.find(layout)
    if supervisor is None or not (layout.run / "state.json").exists():  # without one it does not hear signals yet
        return
    if _knows(layout, found) and _has_none_failed(layout):
        return
    _signal(supervisor, signal.SIGHUP)
    _sleep_unless(lambda: _knows(layout, found) and _has_none_failed(layout), _RENEWS_WITHIN)
    if detach.is_running(layout) and not _knows(layout, found):
        message = (
            "the servers that run do not take the keys of this version of Tiphys, as if another had started them: "
            f"'tiphys down', then 'tiphys up'; the supervisor's last words: {_last_lines(layout.log('supervisor'))}"
        )
        raise PermanentError(message)


def _knows(layout: Layout, found: keys.Keys) -> bool:
    told = state.read(layout.run / "state.json")
    return told is not None and told.keys == found.digest()


def _has_none_failed(layout: Layout) -> bool:
    told = state.read(layout.run / "state.json")
    return told is not None and all(each.state != "failed" for each in told.servers.values())


def _await_healthy(
    layout: Layout, found: keys.Keys, on_change: OnChange, process: subprocess.Popen[bytes] | None
) -> None:
    seen: dict[str, ServerState] = {}
    while True:
        told = state.read(layout.run / "state.json")
        for name, each in (told.servers if told else {}).items():
            if each != seen.get(name):
                seen[name] = each
                on_change(each)
        if told and told.keys == found.digest():
            _require_none_failed(layout, told)
            if told.all_ready and detach.is_running(layout):
                return
        if (process and process.poll() is not None) or (not process and not detach.is_running(layout)):
            message = f"the supervisor ended: {_last_lines(layout.log('supervisor'))}"
            raise RetryableError(message)
        time.sleep(_LOOK_EVERY)


def _require_none_failed(layout: Layout, told: StackState) -> None:
    failed = [each for each in told.servers.values() if each.state == "failed"]
    if failed:
        first = failed[0]
        message = f"server {first.name!r}: {first.reason}; the end of {first.log}: {_last_lines(Path(first.log))}"
        _require_disk(layout.home)
        raise RetryableError(message)


def _abandon(settings: StackSettings, process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a start that failed or was interrupted."""
    if not _sleep_unless(lambda: detach.is_running(Layout.of(settings)), 2.0):
        process.kill()
    down(settings)
    process.wait(timeout=10)


def _require_disk(home: Path) -> None:
    if shutil.disk_usage(home).free < NEEDED_DISK:
        raise PermanentError(_disk_full(home))


def _disk_full(home: Path) -> str:
    free = shutil.disk_usage(home).free >> 20
    return f"the disk is full: {free} MB free at {home}, the servers need {NEEDED_DISK >> 20}: free some, or set TIPHYS_HOME"


def _last_lines(path: Path) -> str:
    return "\n  ".join(["", *logs.tail(path, 8)]) or "nothing"


def _sleep_unless(done: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.05)
    return done()


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    try:
        os.kill(process.pid, how)
    except ProcessLookupError:
        return


def _kill(process: psutil.Process) -> None:
    _signal(process, signal.SIGKILL)
