"""Give files a time that doesn't tell when they were made, so that the same content is the same layer, whenever it is built."""

from __future__ import annotations

import os
from pathlib import Path

MOMENT = 946_684_800
"""2000-01-01, UTC seconds: a date that every archive format can hold."""


def settle(folder: Path, since: float = 0.0) -> None:
    """Set the time of everything below the folder, and of itself, that was changed after `since`."""
    for where, folders, files in os.walk(folder, topdown=False):
        for path in (*(Path(where, name) for name in (*folders, *files)), Path(where)):
            if not os.path.ismount(path) and path.lstat().st_mtime > since:
                os.utime(path, (MOMENT, MOMENT), follow_symlinks=False)
