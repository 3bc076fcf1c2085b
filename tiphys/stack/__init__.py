"""The embedded servers, supervised: real S3, PostgreSQL, MLflow, Ray, Triton and our own services on one laptop.

::

    info = up(stack_settings(), contracts(), print)
    info.config_map["TIPHYS_MLFLOW_URL"], info.secrets["train"]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.stack.control import StackInfo, down, up
    from tiphys.stack.doctor import Check
    from tiphys.stack.report import Row, status
    from tiphys.stack.state import ServerState
    from tiphys.stack.told import environment

__all__ = ["Check", "Row", "ServerState", "StackInfo", "down", "environment", "status", "up"]

_MODULES = {
    "StackInfo": "control", "down": "control", "up": "control", "Check": "doctor", "Row": "report", "status": "report",
    "ServerState": "state", "environment": "told",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a part when it is asked for: a rollback must not wait for what only starting servers needs."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"tiphys.stack.{_MODULES[name]}"), name)
