"""Runs inside the step, before its program: takes a terminal as stdin, stdout and stderr, and becomes the program.

It is given to an interpreter as a file, without site-packages, and imports nothing of the rest.
"""

import contextlib
import fcntl
import os
import sys
import termios


def main() -> None:
    """`inside.py TERMINAL PROGRAM [ARGUMENT...]`."""
    terminal = os.open(sys.argv[1], os.O_RDWR)
    with contextlib.suppress(OSError):  # it is the terminal of this session already
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for standard in (0, 1, 2):
        os.dup2(terminal, standard)
    os.environ.setdefault("TERM", "xterm")
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # words, no shell


if __name__ == "__main__":
    main()
