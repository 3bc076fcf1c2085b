"""One server's life under the supervisor: prepare, start, ask until ready, ask on, restart, give up, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from tiphys.stack.layout import Layout
from tiphys.stack.ports import holder, is_taken
from tiphys.stack.processes import Process, Processes, sweep
from tiphys.stack.spec import Command, Server
from tiphys.stack.state import Name, ServerState

ASK_EVERY = 5.0  # seconds between questions to a server that is ready
ASK_STARTING = 0.2  # and to one that starts
UNANSWERED = 6  # questions in a row before a server counts as hung: on two busy cores a minute's silence is not death
TRIES = 6  # starts in a row that failed before a server is given up
STEADY = 60.0  # seconds after which a server's earlier failures are forgiven
LONGEST_PAUSE = 30.0  # seconds between two starts
LOW_DISK = 200 << 20  # bytes below which a full disk is named as the likely reason

log = logging.getLogger("tiphys.stack.supervisor")


class Failed(Exception):  # noqa: N818 - it failed; the reason is the message
    """The server ended or never became ready; the message says how."""


class Watch:
    """Keeps one server running."""

    def __init__(
        self,
        server: Server,
        layout: Layout,
        processes: Processes,
        others: Mapping[str, Watch],
        tell: Callable[[], None],
    ) -> None:
        """Watch a server of the stack; ``tell`` is called at every change."""
        self._server = server
        self._layout = layout
        self._processes = processes
        self._others = others
        self._tell = tell
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._renewed = asyncio.Event()
        self.is_ready = asyncio.Event()
        self.state = ServerState(
            name=server.name, address=server.address, since=time.time(), log=str(layout.log(server.name))
        )

    def begin(self) -> None:
        """Start in the background."""
        self._task = asyncio.create_task(self._keep())

    def renew(self, server: Server) -> None:
        """Take another description: restart if anything in it changed, and try again if the server was given up."""
        changed = (server.command, server.version) != (self._server.command, self._server.version)
        self._server = server
        if changed or self.state.state == "failed":
            self._change("restarting", reason="its keys changed" if changed else "told to try again")
            self._renewed.set()

    async def end(self) -> None:
        """Stop for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._change("stopping")
        await self._stop_process()
        self._change("stopped")

    async def _keep(self) -> None:
        for name in self._server.after:
            await self._others[name].is_ready.wait()
        failures = 0
        while True:
            began = time.monotonic()
            reason = await self._live()
            self.is_ready.clear()
            await self._stop_process()
            if self._renewed.is_set():
                self._renewed.clear()
                failures = 0
                continue
            failures = 1 if time.monotonic() - began > STEADY else failures + 1
            self.state.restarts += 1
            await self._pause(failures, reason)
            if self._renewed.is_set():
                failures = 0
                self._renewed.clear()

    async def _live(self) -> str:
        """Run the server until something ends it; says what."""
        try:
            await self._start()
            await self._until_ready()
            self._change("ready")
            self.is_ready.set()
            await self._until_gone()
        except Failed as failure:
            return str(failure)
        except OSError as error:
            return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        except Exception as error:  # a defect in one server's description must not take the others down
            log.exception("%s", self._server.name)
            return f"{type(error).__name__}: {error}"
        return "told to restart"

    async def _pause(self, failures: int, reason: str) -> None:
        reason = self._with_disk(reason)
        log.warning("%s: %s (%d in a row)", self._server.name, reason, failures)
        if failures >= TRIES:
            self._change("failed", reason=f"given up after {failures} starts in a row: {reason}")
            await self._renewed.wait()
            return
        self._change("restarting", reason=reason)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._renewed.wait(), min(0.5 * 2 ** (failures - 1), LONGEST_PAUSE))

    async def _start(self) -> None:
        self._change("preparing")
        if self._server.prepare is not None:
            await self._server.prepare(self._run)
        port = int(self._server.address.rpartition(":")[2])
        if is_taken(port):  # or a stranger's answers would be taken for this server's
            message = f"port {port} is taken by {await asyncio.to_thread(holder, port)}"
            raise Failed(message)
        self._process = self._processes.start(self._server.command, self._layout.log(self._server.name))
        self._change("starting")

    async def _run(self, command: Command) -> None:
        process = self._processes.start(command, self._layout.log(self._server.name))
        try:
            status = await asyncio.shield(process.ended)
        except asyncio.CancelledError:
            await self._processes.stop(process, signal.SIGKILL, 0)
            raise
        if status != 0:
            message = f"{command.argv[0]} {_ending(status)}"
            raise Failed(message)

    async def _until_ready(self) -> None:
        until = time.monotonic() + self._server.ready_within
        last = "not asked yet"
        while time.monotonic() < until:
            answer = asyncio.create_task(asyncio.to_thread(self._ask_first))
            await self._unless_gone(answer)
            try:
                answer.result()
            except Exception as error:  # noqa: BLE001 - whatever a client raises, the server is not ready
                last = str(error)
            else:
                return
            await self._unless_gone(asyncio.create_task(asyncio.sleep(ASK_STARTING)))
        message = f"not ready after {self._server.ready_within:.0f} s: {last}"
        raise Failed(message)

    def _ask_first(self) -> None:
        self._server.alive()
        if self._server.settle is not None:
            self._server.settle()

    async def _until_gone(self) -> None:
        unanswered = 0
        while unanswered < UNANSWERED:
            await self._unless_gone(asyncio.create_task(asyncio.sleep(ASK_EVERY)))
            answer = asyncio.create_task(asyncio.to_thread(self._server.alive))
            await self._unless_gone(answer)
            unanswered = unanswered + 1 if answer.exception() else 0
        message = f"no answer to {UNANSWERED} questions in a row: {answer.exception()}"
        raise Failed(message)

    async def _unless_gone(self, doing: asyncio.Task[None]) -> None:
        """Wait for something while the server runs and nobody wants it restarted."""
        process = self._process
        if process is None:
            message = "never started"
            raise Failed(message)
        renewed = asyncio.create_task(self._renewed.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {doing, renewed, process.ended}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            renewed.cancel()
        if process.ended.done():
            doing.cancel()
            raise Failed(_ending(process.ended.result()))
        if self._renewed.is_set():
            doing.cancel()
            message = "told to restart"
            raise Failed(message)

    async def _stop_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if not process.ended.done():
            await self._processes.stop(process, self._server.stop_signal, self._server.stop_within)
        await asyncio.to_thread(sweep, self._layout.home, self._server.name)
        for file in self._server.leaves:
            file.unlink(missing_ok=True)

    def _change(self, name: Name, reason: str = "") -> None:
        pid = self._process.pid if self._process else None
        self.state = self.state.model_copy(update={"state": name, "reason": reason, "since": time.time(), "pid": pid})
        log.info("%s: %s%s", self._server.name, name, f" ({reason})" if reason else "")
        self._tell()

    def _with_disk(self, reason: str) -> str:
        free = shutil.disk_usage(self._layout.home).free
        return (
            f"{reason}; the disk is full ({free >> 20} MB left at {self._layout.home})" if free < LOW_DISK else reason
        )


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with exit code {status}"
