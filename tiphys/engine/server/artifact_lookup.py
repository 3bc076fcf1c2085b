"""Finds an artifact of a node and brings it onto this machine; what lies inside it is never followed out of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiphys.engine.artifacts import contained
from tiphys.engine.engine import Engine
from tiphys.engine.errors import TemplateError
from tiphys.engine.journal import Summary
from tiphys.engine.nodes import Node
from tiphys.engine.server.refusals import Code, Refusal, invalid

Json = dict[str, Any]
INPUTS, OUTPUTS = "inputs", "outputs"


@dataclass(frozen=True)
class Found:
    """An artifact on this machine, or a part of one; `scratch` is a folder that goes when it was sent."""

    path: Path
    name: str
    """The file's name for who downloads it."""
    scratch: Path | None = None

    def clear(self) -> None:
        """Take away what was made to send it."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def inner(self, file: str) -> Found:
        """The file or folder in it at that relative path. Raises Refusal, also for a path or link that leads out."""
        parts = [part for part in file.split("/") if part]
        if any(part in (".", "..") or "\0" in part for part in parts):
            raise invalid("a path in an artifact has no '.' or '..'")
        path = self.path.joinpath(*parts)
        try:
            contained(path, self.path)
        except TemplateError:
            raise _missing(file) from None
        if not path.exists():
            raise _missing(file)
        return replace(self, path=path, name=parts[-1] if parts else self.name)


def find_artifact(engine: Engine, summary: Summary, node_id: str, name: str, side: str) -> Found:
    """Bring the artifact here. Raises Refusal: no such node or artifact, deleted, or not in the engine's store."""
    node = engine.get(summary.name).nodes.get(node_id)
    if node is None:
        raise Refusal(Code.NOT_FOUND, f"run {summary.name!r} has no node {node_id[:200]!r}")
    artifact = _artifact(node, name, side)
    if artifact is None:
        raise Refusal(Code.NOT_FOUND, f"node {node_id!r} has no artifact {name[:200]!r} among its {side}")
    if "raw" in artifact:
        return _raw(engine, artifact)
    key = (artifact.get("s3") or {}).get("key")
    if not key:
        raise Refusal(
            Code.UNIMPLEMENTED, f"artifact {name!r} is not in the engine's own store: fetch it where its manifest says"
        )
    if artifact.get("deleted"):
        raise Refusal(Code.NOT_FOUND, f"artifact {name!r} was deleted, as its artifactGC says")
    return _fetched(engine, str(key))


def _artifact(node: Node, name: str, side: str) -> Json | None:
    entries: list[Json] = ((node.inputs if side == INPUTS else node.outputs) or {}).get("artifacts") or []
    return next((entry for entry in entries if entry.get("name") == name), None)


def _raw(engine: Engine, artifact: Json) -> Found:
    with _scratch(engine) as scratch:
        path = scratch / "raw"
        path.write_text(artifact["raw"].get("data") or "", encoding="utf-8", errors="surrogateescape")
        return Found(path, Path(artifact.get("path") or artifact["name"]).name, scratch)


def _fetched(engine: Engine, key: str) -> Found:
    name = Path(key.rstrip("/")).name
    try:
        if (path := engine.store.path(key)) is not None:
            return Found(path, name)
        with _scratch(engine) as scratch:
            target = scratch / "artifact"
            if engine.store.get(key, target):
                return Found(target, name, scratch)
            raise Refusal(Code.NOT_FOUND, f"artifact key {key!r} is not in the store any more")
    except TemplateError as error:
        raise Refusal(Code.NOT_FOUND, str(error)) from None


@contextmanager
def _scratch(engine: Engine) -> Iterator[Path]:
    """A new folder, which goes at once only if what is to be put into it fails."""
    folder = engine.state / "downloads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield made
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _missing(file: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"the artifact has no file {file[:200]!r}")
