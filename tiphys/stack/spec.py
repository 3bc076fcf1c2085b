"""What a server is, as far as its supervisor must know: how to prepare, start, ask, settle and stop it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tiphys.settings import StackSettings
from tiphys.stack.keys import Keys
from tiphys.stack.layout import Layout
from tiphys.stack.ports import Ports

Probe = Callable[[], None]
"""Asks a server one question and raises if the answer is not the right one; may block for seconds."""

Run = Callable[["Command"], Awaitable[None]]
"""Runs a command to its end, its output in the server's log; raises if it failed."""


@dataclass(frozen=True)
class Command:
    """A program with its surroundings."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    unprivileged: bool = False


@dataclass(frozen=True)
class Server:
    """One supervised server."""

    name: str
    command: Command
    address: str
    alive: Probe
    after: tuple[str, ...] = ()
    prepare: Callable[[Run], Awaitable[None]] | None = None
    settle: Probe | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 10.0
    ready_within: float = 120.0
    stops_last: bool = False
    leaves: tuple[Path, ...] = ()
    """Files outside of home that it makes and may leave behind."""
    version: str = ""
    """Changes when something outside the command changed that only a restart brings in."""


@dataclass(frozen=True)
class Plan:
    """What every server is made from."""

    settings: StackSettings
    keys: Keys

    @property
    def ports(self) -> Ports:
        """The ports of this stack."""
        return Ports(self.settings.port_base)

    @property
    def layout(self) -> Layout:
        """The folders of this stack."""
        return Layout.of(self.settings)

    def environment(self, server: str, **extra: str) -> dict[str, str]:
        """A clean environment: nothing of the caller's reaches a server."""
        programs = Path(sys.prefix) / "bin"
        return {
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.layout.data(server)),
            "TMPDIR": str(self.layout.temporary),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.settings.project),
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",  # glibc's arenas for each thread cost tens of megabytes in idle servers
            "TIPHYS_HOME": str(self.settings.home),
            "TIPHYS_PORT_BASE": str(self.settings.port_base),
            "TIPHYS_SERVER": server,
            **extra,
        }

    def python(self, *argv: str) -> tuple[str, ...]:
        """This environment's Python with arguments."""
        return (sys.executable, *argv)
