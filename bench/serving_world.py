"""What bench/serving.py serves: production alone, started as the stack starts it, around one model.

PostgreSQL, the ledger, S3, Triton, its agent and the gateway, each with the command and the keys that ``tiphys up`` gives it.
Staging and canary are not there; nobody restarts what is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from serving_releases import MODEL, Releases

from tiphys.settings import PROJECT, StackSettings
from tiphys.stack import keys as stack_keys
from tiphys.stack.servers import own, postgres, seaweedfs
from tiphys.stack.servers import triton as triton_server
from tiphys.stack.spec import Command, Plan, Server
from tiphys.step import contracts

LIMIT = 200
"""Questions a second that the limited key may ask: the busiest hour of usecases/taxi_eta/slo.py."""
_START_SECONDS = 90
_NOBODY = 65534


@dataclass
class World:
    """The servers, by name."""

    plan: Plan
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    limited: str = "key-of-a-limited-asker"
    """An API key that may ask ``LIMIT`` questions a second."""

    @property
    def key(self) -> str:
        """A rider's API key."""
        return self.plan.keys.principals["rider"].gateway_key

    @property
    def releases(self) -> Releases:
        """What releases into production."""
        return Releases(self.plan)

    def start(self, name: str) -> None:
        """Start one and wait until it answers."""
        server, log = self._server(name), self.plan.layout.log(name)
        if server.prepare is not None:
            asyncio.run(server.prepare(self._run))
        server.command.folder.mkdir(parents=True, exist_ok=True)
        self.processes[name] = self._begin(server.command, log)
        until(lambda: _passes(server.alive), f"{name} answers; its log is {log}")
        if server.settle is not None:
            server.settle()

    def _server(self, name: str) -> Server:
        others = (
            postgres.server(self.plan),
            seaweedfs.server(self.plan),
            triton_server.server(self.plan, "production"),
        )
        (found,) = (each for each in (*others, *own.servers(self.plan)) if each.name == name)
        return _with_limited_key(found, self.limited) if name == "gateway" else found

    @staticmethod
    def _begin(command: Command, log: Path) -> subprocess.Popen[bytes]:
        words = []
        if command.unprivileged and os.geteuid() == 0:
            right = "caps=-all,+dac_override"  # to pass through folders that are not its own
            words = [
                "setpriv",
                f"--reuid={_NOBODY}",
                f"--regid={_NOBODY}",
                "--clear-groups",
                f"--inh-{right}",
                f"--ambient-{right}",
            ]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*words, *command.argv], env=dict(command.environment), cwd=command.folder, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip

    async def _run(self, command: Command) -> None:
        log = self.plan.layout.log("prepared")
        if self._begin(command, log).wait() != 0:
            raise SystemExit(f"{command.argv[0]} failed; its log is {log}")

    def cli(self, *words: str) -> subprocess.Popen[str]:
        """Start ``tiphys WORDS`` as somebody at a command line would."""
        settings = self.plan.settings
        told = {each: os.environ[each] for each in ("PATH", "HOME") if each in os.environ}
        told |= {"TIPHYS_HOME": str(settings.home), "TIPHYS_PORT_BASE": str(settings.port_base)}
        argv = [sys.executable, "-m", "tiphys", *words]
        return subprocess.Popen(
            argv, env=told, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def kill(self, name: str) -> None:
        """SIGKILL to a server and all that it started."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def pids(self, *names: str) -> list[int]:
        """Process ids of servers."""
        return [self.processes[each].pid for each in names]


SERVERS = ("postgres", "s3", "ledger", "triton-production", "agent-production", "gateway")
"""In the order of their needs."""


@contextmanager
def world(home: Path, port_base: int) -> Iterator[World]:
    """Start all of it; nothing is released yet."""
    settings = StackSettings(home=home, port_base=port_base, java_home="")
    plan = Plan(settings, None)  # type: ignore[arg-type]  # the folders have to be there before the keys
    plan.layout.make()
    plan = Plan(settings, stack_keys.ensure(plan.layout.secrets / "keys.json", contracts()))
    found = World(plan)
    try:
        for name in SERVERS:
            found.start(name)
        yield found
    finally:
        for name in reversed(list(found.processes)):
            found.kill(name)


def _with_limited_key(gateway: Server, key: str) -> Server:
    told = dict(gateway.command.environment)
    keys = json.loads(told["TIPHYS_GATEWAY_KEYS"])
    keys[hashlib.sha256(key.encode()).hexdigest()] = {
        "name": "limited",
        "role": "rider",
        "rate": LIMIT,
        "burst": LIMIT / 2,
    }
    told["TIPHYS_GATEWAY_KEYS"] = json.dumps(keys)
    return replace(gateway, command=replace(gateway.command, environment=told))


def until(what: Callable[[], bool], meant: str, within: float = _START_SECONDS) -> None:
    """Wait until ``what()`` holds."""
    last = time.monotonic() + within
    while not what():
        if time.monotonic() > last:
            raise SystemExit(f"not so after {within:.0f} s: {meant}")
        time.sleep(0.05)


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of these processes and all that they started and still have, in seconds."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    total += times.user + times.system
    return total


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return psutil.Process(pid).memory_info().rss / 1e6


def default_repository() -> Path:
    """The copy of the model that production's agent has, on this machine's own stack."""
    found = sorted(
        (PROJECT / ".tiphys/agent-production/copies").glob(f"*/{MODEL}"), key=lambda each: each.stat().st_mtime
    )
    if not found:
        raise SystemExit("no model in production: tiphys up && tiphys run continuous-training, or give --repository")
    return found[-1].parent


def _passes(alive: Callable[[], None]) -> bool:
    try:
        alive()
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True
