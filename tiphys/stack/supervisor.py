"""The supervisor: keeps every server of the plan running until it is told to stop.

It is a program of its own (``python -m tiphys.stack.supervisor``), detached and, where the kernel allows, PID 1 of a
PID namespace: when it dies, however it dies, the kernel ends every server. It is told by signals (SIGTERM: stop all;
SIGHUP: read the keys again, restart what changed, try again what was given up) and tells by the state file.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import time

from tiphys.settings import StackSettings, stack_settings
from tiphys.stack import keys as keys_file
from tiphys.stack import state as states
from tiphys.stack.layout import Layout
from tiphys.stack.logs import cap
from tiphys.stack.processes import Processes, sweep
from tiphys.stack.servers import servers
from tiphys.stack.spec import Plan, Server
from tiphys.stack.watch import Watch

_CAP_EVERY = 10.0  # seconds

log = logging.getLogger("tiphys.stack.supervisor")


class Supervisor:
    """All servers of one stack, each kept by a :class:`Watch`."""

    def __init__(self, settings: StackSettings, *, own_namespace: bool) -> None:
        """Make the plan; starts nothing."""
        self._settings = settings
        self._layout = Layout.of(settings)
        self._own_namespace = own_namespace
        self._keys = ""
        self._watches: dict[str, Watch] = {}
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Keep everything running until told to stop, then stop in reverse order."""
        processes = Processes(own_namespace=self._own_namespace)
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        planned = self._plan()
        for server in planned:
            self._watches[server.name] = Watch(server, self._layout, processes, self._watches, self._tell)
        self._tell()
        for watch in self._watches.values():
            watch.begin()
        capping = asyncio.create_task(self._cap_logs())
        await self._stop.wait()
        log.info("told to stop")
        capping.cancel()
        await self._stop_all(planned)

    def _plan(self) -> tuple[Server, ...]:
        keys = keys_file.read(self._layout.secrets / "keys.json")
        self._keys = keys.digest()
        return servers(Plan(self._settings, keys))

    def _reload(self) -> None:
        log.info("told to read the keys again")
        for server in self._plan():
            if server.name in self._watches:
                self._watches[server.name].renew(server)
        self._tell()

    async def _stop_all(self, planned: tuple[Server, ...]) -> None:
        for last in (False, True):
            wave = [self._watches[each.name].end() for each in reversed(planned) if each.stops_last is last]
            await asyncio.gather(*wave)
        left = sweep(self._settings.home)
        log.info("stopped; %d processes were left over", left)

    def _tell(self) -> None:
        told = {name: watch.state for name, watch in self._watches.items()}
        state = states.StackState(own_namespace=self._own_namespace, keys=self._keys, servers=told)
        try:
            states.write(self._layout.run / "state.json", state)
        except OSError as error:
            log.error("cannot write the state: %s", error)  # noqa: TRY400 - no traceback for a full disk

    async def _cap_logs(self) -> None:
        while True:
            await asyncio.sleep(_CAP_EVERY)
            with contextlib.suppress(OSError):
                for file in self._layout.logs.glob("*.log"):
                    cap(file)


def main() -> int:
    """Run as a program; 3 when another supervisor holds this home."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.Formatter.converter = time.gmtime
    os.umask(0o077)
    settings = stack_settings()
    layout = Layout.of(settings)
    lock = (layout.run / "supervisor.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.error("another supervisor holds %s", layout.home)  # noqa: TRY400
        return 3
    own_namespace = os.getpid() == 1
    asyncio.run(_run(settings, own_namespace=own_namespace))
    for folder in (layout.ray, layout.s3_sockets):
        if folder.parent != layout.home:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


async def _run(settings: StackSettings, *, own_namespace: bool) -> None:
    await Supervisor(settings, own_namespace=own_namespace).run()


if __name__ == "__main__":
    sys.exit(main())
