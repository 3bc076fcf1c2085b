"""Run a program whose words go to a log, so that nothing of it is left when we are told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_STOP_SECONDS = 20
_LAST = 4000


def run(command: Sequence[str], log: Path) -> str:
    """Run it to its end; returns what it said, which `log` gets as well.

    Raises:
        subprocess.CalledProcessError: it failed; ``output`` is the last line that tells why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = log.stat().st_size if log.exists() else 0
    with (
        log.open("ab") as output,
        _ended(
            subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=False,  # the lock of the build goes along
            )
        ) as process,
    ):
        code = process.wait()
    with log.open("rb") as stream:
        stream.seek(start)
        said = stream.read().decode(errors="replace")
    if code != 0:
        raise subprocess.CalledProcessError(code, command, output=said[-_LAST:])
    return said


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Whatever happens, the program and all that it started has ended when this is left."""
    try:
        yield process
    except BaseException:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
        raise


def _signal(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)
