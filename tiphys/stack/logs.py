"""Log files that do not grow without end."""

from __future__ import annotations

from pathlib import Path

CAP = 16 << 20  # bytes of a log file before its older part moves to NAME.log.1


def cap(path: Path, limit: int = CAP) -> None:
    """Move a log that has grown over the limit to ``NAME.1`` and empty it in place: its writer appends on.

    Raises:
        OSError: the disk is full.
    """
    if path.stat().st_size <= limit:
        return
    with path.open("rb+") as file:
        file.seek(-limit, 2)
        path.with_name(path.name + ".1").write_bytes(file.read())
        file.truncate(0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log file, none where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 65536))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
