"""The code of a git revision in a folder of its own, beside the checkout and without touching it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tiphys.engine.errors import EngineError
from tiphys.engine.unpack import unpack

_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@{}^~-]*")


def check_out(checkout: Path, revision: str, folder: Path) -> Path:
    """Put the files of `revision` into `folder`. Raises EngineError where git does not know it."""
    if not _REVISION.fullmatch(revision):
        msg = f"{revision[:60]!r} is no revision: give a commit, branch or tag"
        raise EngineError(msg)
    archive = folder.with_name(f"{folder.name}.tar")
    command = ["git", "-C", str(checkout), "archive", "--format=tar", f"--output={archive}", f"{revision}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        msg = f"the code of revision {revision!r} can't be had from {checkout}: {done.stderr.strip()}"
        raise EngineError(msg)
    unpack(archive, {"name": "code", "archive": {"tar": {}}}, folder)
    environment = checkout / ".venv"
    if environment.exists() and not (folder / ".venv").exists():
        (folder / ".venv").symlink_to(environment.resolve())
    return folder
