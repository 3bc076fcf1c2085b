"""What a step of a cluster was given: its input artifacts and the end of its log, for a replay elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cluster.errors import ClusterError, ServerAwayError
from tiphys.cluster.logs import lines

if TYPE_CHECKING:
    from tiphys.cluster.server import ArgoServer

Json = dict[str, Any]
_LOG_LINES = 200
_LARGEST = 8 << 30  # bytes of one artifact
_PLAIN = ("raw", "http")


def fetch_inputs(
    server: ArgoServer, node: tuple[str, str], artifacts: Iterable[Json], folder: Path, tell: Callable[[str], None]
) -> dict[str, Path]:
    """Download input artifacts of a node, the names of whose run and itself are given, as they are stored; by name.

    Raises ClusterError for one that is not to be had and not optional.
    """
    found = {}
    for index, artifact in enumerate(artifacts):
        name = artifact["name"]
        if any(kind in artifact for kind in _PLAIN):
            continue
        target = folder / str(index)
        try:
            size = server.input_artifact(*node, name, target, _LARGEST)
        except ServerAwayError:
            raise
        except ClusterError as error:
            if artifact.get("optional"):
                continue
            msg = f"input artifact {name!r} can't be had from the server ({error}): give it with --artifact {name}=PATH"
            raise ClusterError(msg) from None
        tell(f"input {name}: {size:,} bytes from the server")
        found[name] = target
    return found


def last_log(server: ArgoServer, run: str, node: str, pod: str) -> str:
    """The end of a step's log; empty where its pod is gone and nobody kept it."""
    try:
        found = deque((line.text for line in lines(server, run, pod)), maxlen=_LOG_LINES)
        if not found:
            found = deque(server.archived_log(run, node), maxlen=_LOG_LINES)
    except ClusterError:
        return ""
    return "\n".join(found)
