"""An Argo server: install templates, submit, look at runs and act on them, over its REST API.

::

    server, version = connect(Access("https://argo.example:2746", namespace="tiphys", token_file=Path("token")))
    name = server.create(manifest)["metadata"]["name"]
    for workflow in follow(server, name): ...

Workflows go in and come out as Argo's own JSON. What a run looks like to a person is the engine's and the command
line's business: this package knows neither, nor what is in a manifest beyond names and images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tiphys.cluster.access import Access
from tiphys.cluster.errors import ClusterError, ServerAwayError

if TYPE_CHECKING:
    from tiphys.cluster.server import ArgoServer, connect

__all__ = ["Access", "ArgoServer", "ClusterError", "ServerAwayError", "connect"]


def __getattr__(name: str) -> Any:
    """Load Hera, which takes a second, only for who asks a server: every command imports the errors of this package."""
    if name not in {"ArgoServer", "connect"}:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from tiphys.cluster import server  # noqa: PLC0415

    return getattr(server, name)
