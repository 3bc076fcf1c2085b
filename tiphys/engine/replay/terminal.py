"""Lends a person's terminal to a step: a pseudo terminal for the step, and what is typed and shown carried across.

Where stdin is no terminal (a file, a pipe), its lines are typed into the step's terminal, without being shown again.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import sys
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

_BLOCK = 65536


class Lent:
    """A terminal for one step; a context manager that gives the person's own back as it was."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        """`heard` gets all that the step writes, from a thread."""
        self._heard = heard
        self._ours, self._theirs = os.openpty()
        self.name = os.ttyname(self._theirs)
        self._wake_read, self._wake_write = os.pipe()
        self._before: list[Any] | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setraw(sys.stdin.fileno())
            self._resize()
            signal.signal(signal.SIGWINCH, self._resize)
        else:
            plain = termios.tcgetattr(self._theirs)
            plain[3] &= ~termios.ECHO
            termios.tcsetattr(self._theirs, termios.TCSANOW, plain)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._show, self._type)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        """The step has ended: show the rest, and restore the person's terminal."""
        os.close(self._theirs)  # now reading from ours ends
        self._threads[0].join()
        os.write(self._wake_write, b"x")
        self._threads[1].join()
        if self._before is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
        for descriptor in (self._ours, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _resize(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Give the step's terminal the size of the person's."""
        with suppress(OSError):
            size = fcntl.ioctl(sys.stdin, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
            fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)

    def _show(self) -> None:
        with suppress(OSError):  # so Linux says that nobody has it open any more
            while text := os.read(self._ours, _BLOCK):
                self._heard(text)

    def _type(self) -> None:
        source = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([source, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            text = os.read(source, _BLOCK)
            with suppress(OSError):
                os.write(self._ours, text or b"\x04")  # the end of what was given is an end of file
            if not text:
                return
