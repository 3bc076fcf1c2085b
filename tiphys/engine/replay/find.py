"""Finds the capsule that a person means: of a run here, of a file, of a Workflow that has run."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.errors import EngineError, ManifestError, UnknownRunError
from tiphys.engine.load import load_file
from tiphys.engine.nodes import Node
from tiphys.engine.replay.capsule import Capsule, CapsuleError, checked, load
from tiphys.engine.replay.leave import folder
from tiphys.engine.replay.rebuild import node_of, rebuilt, run_of_workflow
from tiphys.engine.replay.redaction import WITHHELD
from tiphys.engine.run_state import RunState
from tiphys.engine.tree import culprit

if TYPE_CHECKING:
    from tiphys.engine.engine import Engine

Json = dict[str, Any]
_LARGEST = 64 << 20  # bytes of an exported Workflow
_LAST = 64 << 10  # bytes of a log


@dataclass
class Found:
    """A capsule, where it is from, whether that is not of this machine's own, and which images are containers."""

    capsule: Capsule
    origin: str
    foreign: bool = False
    containers: list[str] | None = None
    stored: dict[str, Path] = field(default_factory=dict)


def of_run(engine: Engine, name: str, step: str) -> Found:
    """The capsule of a step of a run here, made from the journal where the step has left none. Raises EngineError."""
    run = engine.get(name)
    node = _chosen(run, step)
    for each in [*reversed([run.nodes[child] for child in node.children if child in run.nodes]), node]:
        path = folder(engine.state, name) / f"{each.id}.tgz"
        if (each is node or each.flag("retried")) and path.exists():
            try:
                capsule = load(path)
            except CapsuleError:
                break  # damaged: the journal has what it takes
            if each.phase == "Succeeded":
                capsule.notes.append("the step has succeeded since: this is how it failed before")
            return Found(_with_withheld(capsule, engine, run, each), "its capsule", containers=run.containers)
    capsule = checked(rebuilt(run, node, engine.objects, "the journal"), "the journal")
    capsule.log = _log(engine, name, capsule.node)
    return Found(capsule, "the journal", containers=run.containers)


def _log(engine: Engine, run: str, node: str) -> str:
    path = engine.log_path(run, node)
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST))
        return log.read(_LAST).decode("utf-8", "replace")


def _with_withheld(capsule: Capsule, engine: Engine, run: RunState, node: Node) -> Capsule:
    """What is called as secrets are stands in no capsule; the run's own journal has it."""
    if not WITHHELD.search(json.dumps(capsule.template, ensure_ascii=False)):
        return capsule
    try:
        known = rebuilt(run, node, engine.objects, "the journal")
    except EngineError:
        return capsule
    capsule.template, capsule.origin, capsule.variables = known.template, known.origin, known.variables
    capsule.notes = [note for note in capsule.notes if "is withheld" not in note]
    return capsule


def _chosen(run: RunState, step: str) -> Node:
    if step:
        return node_of(run, step)
    node = culprit(run)
    if node is None:
        msg = f"run {run.name!r} has no failed step: name the one to replay"
        raise EngineError(msg)
    above = next((each for each in run.nodes.values() if node.id in each.children), node)
    return above if above.type == "Retry" else node


def of_file(engine: Engine, path: Path, step: str) -> Found:
    """The capsule that a file is, or that a Workflow in it makes. Raises EngineError."""
    if path.suffix == ".tgz":
        capsule = load(path)
        if step and step not in (capsule.node, capsule.node_name):
            msg = f"{path} is the capsule of {capsule.node_name!r} and of no other step"
            raise CapsuleError(msg)
        own = path.resolve().parent == folder(engine.state, capsule.run).resolve()
        return _own(engine, capsule) if own else Found(capsule, f"the file {path}", foreign=True)
    try:
        size = path.stat().st_size
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror}: give a capsule (.tgz), a Workflow as JSON, or a run"
        raise CapsuleError(msg) from None
    if size > _LARGEST:
        msg = f"{path} has {size:,} bytes, more than any Workflow: refused"
        raise CapsuleError(msg)
    documents = [document for document in load_file(path) if document.get("kind") == "Workflow"]
    if len(documents) != 1:
        msg = f"{path} holds {len(documents)} Workflows: give a file with one, such as `argo get NAME -o json` prints"
        raise CapsuleError(msg)
    found = of_workflow(engine, documents[0], step, f"the file {path}")
    found.foreign = True
    return found


def _own(engine: Engine, capsule: Capsule) -> Found:
    found = Found(capsule, "its capsule")
    try:
        run = engine.get(capsule.run)
    except UnknownRunError:
        return found
    found.containers = run.containers
    if capsule.node in run.nodes:
        _with_withheld(capsule, engine, run, run.nodes[capsule.node])
    return found


def of_workflow(engine: Engine, workflow: Json, step: str, origin: str) -> Found:
    """The capsule of a step of a Workflow that has run somewhere else. Raises EngineError."""
    run = run_of_workflow(workflow, engine.objects)
    try:
        capsule = rebuilt(run, _chosen(run, step), engine.objects, origin)
    except ManifestError as problem:
        msg = f"{origin}: {problem}"
        raise CapsuleError(msg) from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        msg = f"{origin} has a status of no Workflow ({type(error).__name__}: {error}): export it anew"
        raise CapsuleError(msg) from None
    return Found(checked(capsule, origin), origin)
