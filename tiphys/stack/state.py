"""What the supervisor tells of itself: one JSON file, replaced whole at every change."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

Name = Literal["waiting", "preparing", "starting", "ready", "restarting", "failed", "stopping", "stopped"]


class ServerState(BaseModel):
    """One server as its supervisor sees it; ``pid`` is counted in the supervisor's PID namespace."""

    name: str
    state: Name = "waiting"
    address: str
    pid: int | None = None
    restarts: int = 0
    since: float = 0.0
    """When it entered this state, in seconds since 1970."""
    reason: str = ""
    log: str


class StackState(BaseModel):
    """All servers, and which keys they were made with."""

    own_namespace: bool
    keys: str
    """Digest of the keys that the servers know."""
    servers: dict[str, ServerState]

    @property
    def all_ready(self) -> bool:
        """Whether every server is healthy."""
        return all(each.state == "ready" for each in self.servers.values())


def read(path: Path) -> StackState | None:
    """The last state that was written; None where there is none, or one that a crash or another version left."""
    try:
        return StackState.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def write(path: Path, state: StackState) -> None:
    """Replace the state.

    Raises:
        OSError: the disk is full, or the folder is gone.
    """
    partial = path.with_name(path.name + ".part")
    partial.write_text(state.model_dump_json(indent=1), encoding="utf-8")
    partial.replace(path)
