"""Argo Workflows on a laptop: takes Argo's own manifests, gives what a cluster would.

::

    from tiphys.engine import Engine, load_file

    engine = Engine(Path(".tiphys/engine"), images=[...], keep=[checkout])
    name = engine.submit(load_file(Path("hello-world.yaml")), parameters={"message": "hi"})
    run = engine.run(name, listener)          # to the end; listener(run, changed_nodes) after every change
    run.phase, run.message, run.nodes         # what became of it

It knows nothing of the rest of Tiphys and reads no environment: it could be a package of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.engine.artifacts import BucketStore, FolderStore
    from tiphys.engine.engine import Engine
    from tiphys.engine.errors import EngineError, JournalDamagedError, ManifestError, StateLockedError, UnknownRunError
    from tiphys.engine.images import Image, load_images
    from tiphys.engine.load import load_file, load_parameters, load_text
    from tiphys.engine.nodes import Node
    from tiphys.engine.objects import ObjectStore
    from tiphys.engine.run_state import RunState
    from tiphys.engine.unpack import Limits

_HOMES = {
    "Engine": "engine", "BucketStore": "artifacts", "FolderStore": "artifacts", "EngineError": "errors",
    "JournalDamagedError": "errors", "ManifestError": "errors", "StateLockedError": "errors", "UnknownRunError": "errors", "Image": "images",
    "load_images": "images", "load_file": "load", "load_parameters": "load", "load_text": "load", "Node": "nodes",
    "Limits": "unpack", "ObjectStore": "objects", "RunState": "run_state",
}  # fmt: skip

__all__ = [
    "BucketStore",
    "Engine",
    "EngineError",
    "FolderStore",
    "Image",
    "JournalDamagedError",
    "Limits",
    "ManifestError",
    "Node",
    "ObjectStore",
    "RunState",
    "StateLockedError",
    "UnknownRunError",
    "load_file",
    "load_images",
    "load_parameters",
    "load_text",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import tiphys.engine.objects` must not load the whole engine."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
