"""Argo's REST API over a state folder: what Hera's services, the `argo` CLI and Argo's web UI speak.

::

    from tiphys.engine.server import application, serve

    serve(engine, {token: "admin"}, port=2746)      # or mount application(engine, tokens) under any ASGI server

It holds no state: it reads the journal and writes to it what is asked, one transaction each, and wakes the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.engine.server.app import application, serve

__all__ = ["application", "serve"]


def __getattr__(name: str) -> Any:
    """Import the application when it is first used: Starlette is not needed to look at the package."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from tiphys.engine.server import app  # noqa: PLC0415

    return getattr(app, name)
