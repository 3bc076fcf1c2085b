"""A command line on a state folder of the test's own, in a terminal where a test wants one."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import _free_base
from tiphys.settings import PROJECT
from tiphys.stack.ports import Ports

LONG = 60.0  # seconds, after which a test gives up


class Tiphys:
    """`tiphys` with a home of its own."""

    def __init__(self, home: Path, port_base: int) -> None:
        """`home` holds the state."""
        self.home = home
        self.state = home / "engine"
        self.environment = {
            **os.environ, "TIPHYS_HOME": str(home), "TIPHYS_PORT_BASE": str(port_base), "PYTHONPATH": str(PROJECT),
        }  # fmt: skip

    def __call__(self, *words: str, code: int = 0, given: str = "") -> str:
        """Run to the end; stdout and stderr together."""
        done = subprocess.run(
            [sys.executable, "-m", "tiphys", *words], input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=self.environment, check=False, timeout=LONG,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def run(self, manifest: str) -> str:
        """Run a manifest that fails; the run's name."""
        file = self.home.parent / "manifest.yaml"
        file.write_text(manifest)
        self("run", str(file), code=1)
        return self("list", "-o", "name").split()[0]

    def capsules(self) -> list[Path]:
        """Every capsule, the oldest first."""
        return sorted((self.state / "runs").glob("*/capsules/*.tgz"), key=lambda path: path.stat().st_mtime_ns)

    def talk(self, words: list[str], *turns: tuple[str, str]) -> tuple[str, int]:
        """Run in a terminal: after each prompt type an answer; all that was shown, and the exit code."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(sys.executable, [sys.executable, "-m", "tiphys", *words], self.environment)  # noqa: S606
        shown, heard = b"", b""
        try:
            for prompt, answer in turns:
                while prompt.encode() not in heard:
                    part = _read(terminal)
                    assert part, f"{prompt!r} never came: {shown.decode(errors='replace')}"
                    shown, heard = shown + part, heard + part
                heard = heard.partition(prompt.encode())[2]
                os.write(terminal, answer.encode() + b"\n")
            while part := _read(terminal):
                shown += part
        finally:
            os.close(terminal)
        return shown.decode(errors="replace").replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _read(terminal: int) -> bytes:
    assert select.select([terminal], [], [], LONG)[0], "nothing was shown for too long"
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.fixture
def tiphys(tmp_path: Path, port_base: int) -> Tiphys:
    """A command line of the test's own."""
    (tmp_path / "home").mkdir()
    return Tiphys(tmp_path / "home", port_base)


@pytest.fixture
def port_base() -> int:
    """Where a server of the test's own may listen."""
    return _free_base()


@pytest.fixture
def server(tiphys: Tiphys, eventually: Callable[..., None]) -> Iterator[tuple[str, Path]]:
    """`tiphys serve` in front of the same state: its address, and a file with its token."""
    ports = Ports(int(tiphys.environment["TIPHYS_PORT_BASE"]))
    process = subprocess.Popen(
        [sys.executable, "-m", "tiphys", "serve"], env=tiphys.environment, stderr=subprocess.DEVNULL
    )

    def answers() -> bool:
        """The server listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", ports["engine"])) == 0

    try:
        eventually(answers)
        token = tiphys.home / "token"
        token.write_text(json.loads((tiphys.home / "secrets" / "keys.json").read_text())["api_tokens"]["admin"])
        token.chmod(0o600)
        yield ports.url("engine"), token
    finally:
        process.terminate()
        process.wait(LONG)
