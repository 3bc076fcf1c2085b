"""What may be done to a run from outside: retry, resubmit, suspend, resume, delete.

Where an engine drives the run it is asked, through the journal; else the journal is changed here, under the same lock.
"""

from __future__ import annotations

import copy
import shutil
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tiphys.engine import again
from tiphys.engine.errors import EngineError
from tiphys.engine.field_refs import bodies
from tiphys.engine.lock import StateLock
from tiphys.engine.merge import set_parameters
from tiphys.engine.nodes import RUNNING, Node
from tiphys.engine.run_state import RunState
from tiphys.engine.selector import matches, parse_selector
from tiphys.engine.shapes import check_run_name

if TYPE_CHECKING:
    from tiphys.engine.engine import Engine

Json = dict[str, Any]
_PREVIOUS = "workflows.argoproj.io/resubmitted-from-workflow"


def retry(
    engine: Engine,
    name: str,
    parameters: Mapping[str, str] | None = None,
    chosen: str = "",
    containers: list[str] | None = None,
) -> list[str]:
    """Reset what failed in a run that has ended, and what `chosen` selects; the names of the steps that run again.

    `containers` are the patterns of images whose steps run in them; the run's own where they are None.

    Raises:
        EngineError: the run has not ended, there is nothing to run again, or a parameter may not have that value.
    """
    while True:
        run, reset = _prepared(engine, name, chosen)
        _check_parameters(run, parameters or {})
        _set_containers(engine, run, containers)
        again.apply(run, reset, time.time(), parameters)
        if engine.journal.rewrite(run, sorted(reset.gone)):  # else another process was quicker: look again
            engine.wake()
            return reset.steps


def _prepared(engine: Engine, name: str, chosen: str) -> tuple[RunState, again.Reset]:
    """The run and what a retry would reset. Raises EngineError."""
    run = engine.get(name)
    if not run.done:
        remedy = "wait for its end, or stop it" if engine.drives(name) else f"`tiphys resume {name}` goes on with it"
        msg = f"run {name!r} has not ended: {remedy}"
        raise EngineError(msg)
    clauses = parse_selector(chosen)
    wanted = [node.id for node in run.nodes.values() if clauses and matches(node, clauses)]
    if run.phase == "Succeeded" and not wanted:
        selects = f"no step matches {chosen!r}" if chosen else "it has no failed step: there is nothing to retry"
        msg = f"run {name!r} Succeeded and {selects}; --restart-successful with --node-field-selector chooses steps"
        raise EngineError(msg)
    reset = again.plan(run, wanted)
    if not reset.steps and not reset.gone:
        msg = (
            f"run {name!r} ended in {run.phase} before any step: change what it says ({run.message}), then run it anew"
        )
        raise EngineError(msg)
    return run, reset


def resubmit(  # noqa: PLR0913
    engine: Engine,
    name: str,
    parameters: Mapping[str, str] | None = None,
    *,
    memoized: bool = False,
    as_name: str = "",
    containers: list[str] | None = None,
) -> str:
    """Write down a new run of the spec that `name` had, with its labels; the new run's name.

    `containers` are the patterns of images whose steps run in them; the old run's where they are None.
    `memoized` takes over what succeeded, as steps that are Skipped. Raises EngineError.
    """
    from tiphys.engine.engine import random_name  # noqa: PLC0415  # it imports this module

    old = engine.get(name)
    if memoized and old.phase not in ("Failed", "Error"):
        msg = f"run {name!r} is {old.phase or 'Pending'}: only a Failed or Error run can be resubmitted with --memoized"
        raise EngineError(msg)
    new_name = as_name or random_name(old.generate_name or f"{name}-")
    check_run_name(new_name)
    run = _copy(old, new_name, engine)
    run.containers = old.containers
    _set_containers(engine, run, containers)
    _check_parameters(run, parameters or {})
    set_parameters(run.spec, parameters or {})
    if memoized:
        run.nodes = again.renamed(old, new_name, time.time())
        run.phase, run.started, run.outputs = RUNNING, time.time(), old.outputs
    engine.journal.create(run, engine.digest([run.spec], new_name), engine.notes(name))
    engine.wake()
    return new_name


def _set_containers(engine: Engine, run: RunState, containers: list[str] | None) -> None:
    """Let other steps be containers. Raises ManifestError for an image that would not be here then."""
    if containers is None:
        return
    table = engine.table(containers)
    for template in run.spec.get("templates") or []:
        for body in bodies(template):
            if "{{" not in body.get("image", ""):
                table.require(body.get("image", ""), template.get("name", ""))
    run.containers = containers


def _check_parameters(run: RunState, parameters: Mapping[str, str]) -> None:
    """Raises ManifestError for values that a first submission would not take."""
    from tiphys.engine.validate_arguments import check_arguments  # noqa: PLC0415  # whoever only looks at runs needs none of it

    spec = {"arguments": copy.deepcopy(run.spec.get("arguments") or {})}
    set_parameters(spec, parameters)
    check_arguments(spec.get("arguments") or {}, "spec.arguments")


def _copy(old: RunState, name: str, engine: Engine) -> RunState:
    spec = copy.deepcopy(old.spec)
    spec.pop("shutdown", None)
    return RunState(
        name=name, uid=str(uuid.uuid4()), created=time.time(), spec=spec, namespace=old.namespace,
        generate_name=old.generate_name or f"{old.name}-", labels={**old.labels, _PREVIOUS: old.name},
        annotations=dict(old.annotations), templates=old.templates, config_maps=old.config_maps,
        memo=engine.journal.memo(), suspended=bool(spec.get("suspend")),
    )  # fmt: skip


def suspend(engine: Engine, name: str) -> str:
    """Start nothing more in the run; `asked`, `suspended`, or `already` if it was. Raises EngineError."""
    run = engine.get(name)
    if run.done:
        msg = f"run {name!r} has ended ({run.phase}): only a run that goes on can be suspended"
        raise EngineError(msg)
    if run.suspended:
        return "already"
    if engine.drives(name):
        engine.ask(name, {"kind": "suspend"})
        return "asked"
    with StateLock(engine.state, f"suspend {name}", name):
        run = engine.get(name)
        run.suspended = True
        engine.journal.save(run)
    return "suspended"


def select_suspended(run: RunState, selector: str, parameters: Mapping[str, str]) -> list[Node]:
    """The steps of `run` that wait to be resumed and match; none if they were resumed before. Raises EngineError.

    Every value that such a step waits for must be among `parameters` or have a default, and it must wait for each of them.
    """
    clauses = parse_selector(selector)
    chosen = [node for node in run.nodes.values() if node.type == "Suspend" and matches(node, clauses)]
    if selector and not chosen:
        raise _no_such_step(run, selector)
    waiting = [node for node in chosen if not node.fulfilled]
    for node in waiting:
        _check_values(node, parameters)
    return waiting


def failing(run: RunState, selector: str) -> list[Node]:
    """The steps of `run` that wait to be resumed and are to fail instead. Raises EngineError if no such step ever was."""
    clauses = parse_selector(selector)
    chosen = [node for node in run.nodes.values() if node.type == "Suspend" and matches(node, clauses)]
    if not chosen:
        raise _no_such_step(run, selector)
    return [node for node in chosen if not node.fulfilled]


def _no_such_step(run: RunState, selector: str) -> EngineError:
    names = [node.display_name for node in run.nodes.values() if node.type == "Suspend" and not node.fulfilled]
    waiting = f"these wait: {', '.join(names)}" if names else "none waits"
    return EngineError(f"run {run.name!r} has no suspended step that matches {selector!r} ({waiting})")


def _check_values(node: Node, parameters: Mapping[str, str]) -> None:
    waits_for = {
        entry["name"]: entry for entry in (node.outputs or {}).get("parameters") or [] if entry.get("value") is None
    }
    for name, value in parameters.items():
        if name not in waits_for:
            known = ", ".join(waits_for) or "it takes none"
            msg = f"step {node.display_name!r} is not expecting output parameter {name!r} (it waits for: {known})"
            raise EngineError(msg)
        allowed = waits_for[name].get("enum")
        if allowed and value not in allowed:
            msg = f"step {node.display_name!r} takes for {name!r} one of {', '.join(allowed)}, not {value!r}"
            raise EngineError(msg)
    for name, entry in waits_for.items():
        if name not in parameters and (entry.get("valueFrom") or {}).get("default") is None:
            msg = (
                f"raw output parameter '{name}' has not been set and does not have a default value: "
                f"resume step {node.display_name!r} with -p {name}=VALUE"
            )
            raise EngineError(msg)


def delete(engine: Engine, name: str) -> None:
    """Forget a run, its logs, and the artifacts that artifactGC ties to it; others stay, as on Argo. Raises EngineError.

    One that goes on is ended first where an engine drives all runs; it is gone a moment later.
    """
    run = engine.get(name)
    if not run.done and engine.served():
        if engine.ask(name, {"kind": "delete"}):
            return
    elif not run.done and engine.drives(name):
        msg = f"run {name!r} is driven by an engine now: `tiphys stop {name}` first"
        raise EngineError(msg)
    forget(engine, run)


def forget(engine: Engine, run: RunState) -> None:
    """Take a run that nobody drives out of the journal; its logs go, and the artifacts that go with it."""
    from tiphys.engine.expiry import ON_COMPLETION, ON_DELETION, delete_artifacts, doomed  # noqa: PLC0415

    folder = engine.folder(run.name)
    delete_artifacts(engine.store, doomed(run, ON_COMPLETION, ON_DELETION))
    engine.journal.delete(run.name)
    shutil.rmtree(folder, ignore_errors=True)
