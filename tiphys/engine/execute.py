"""Executes one template for one node: inputs, locks, memoization, retries, then the template's own kind."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tiphys.engine import dag, locks, memo, retry, steps
from tiphys.engine.actions import KillPod, StartPod
from tiphys.engine.durations import seconds
from tiphys.engine.errors import TemplateError
from tiphys.engine.field_refs import fill_field_refs, has_field_refs
from tiphys.engine.inputs import process, substitute
from tiphys.engine.merge import template_type
from tiphys.engine.nodes import ERROR, FAILED, PENDING, RUNNING, SUCCEEDED, Node, pod_name
from tiphys.engine.operation import LOCAL, MAX_DEPTH, Operation, TimedOutError, TooDeepError, Wait
from tiphys.engine.substitute import fill, text_of

Json = dict[str, Any]
NODE_TYPES = {
    "container": "Pod", "script": "Pod", "containerSet": "Pod", "data": "Pod", "http": "HTTP",
    "steps": "Steps", "dag": "DAG", "suspend": "Suspend",
}  # fmt: skip
_DISPLAY_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]$")
_RESULT_OF = re.compile(
    r"""(?:steps|tasks)(?:\.([\w-]+)|\[\\*['"]([^'"\\]+)\\*['"]\])(?:\.outputs\.result|\[\\*['"]outputs)"""
)
"""Where a text asks for the result of a step or task, whose name is one of the groups."""
_DISPLAY_KEY = "workflows.argoproj.io/display-name"


_LEAVES = ("container", "script", "containerSet", "data", "http")


@dataclass(frozen=True)
class Call:
    """How a template is called: the step, task or hook, where its name is looked up, and where the node hangs.

    `kind` is `steps` or `tasks`, or empty for the entrypoint and hooks. `deadline` is inherited by attempts;
    `local` are the variables of one.
    """

    holder: Json
    arguments: Json
    scope: str = LOCAL
    boundary: str = ""
    kind: str = ""
    on_exit: bool = False
    flags: dict[str, bool] | None = None
    deadline: float = 0.0
    local: dict[str, str] | None = None


def execute(op: Operation, name: str, call: Call) -> Node | None:
    """Bring the node called `name` as far as it can go now. None if it can't be made yet (see Wait)."""
    around = op.on_exit
    op.depth, op.on_exit = op.depth + 1, call.on_exit
    try:
        return _execute(op, name, call)
    finally:
        op.depth, op.on_exit = op.depth - 1, around


def _execute(op: Operation, name: str, call: Call) -> Node:
    node = op.node(name)
    if node is not None and _settled(node) and not call.holder.get("hooks"):
        memo.save(op, node)
        locks.release(op, node)
        return node
    if op.depth >= MAX_DEPTH:
        problem = TooDeepError(
            "Maximum recursion depth exceeded. See https://argo-workflows.readthedocs.io/en/latest/scaling/#maximum-recursion-depth"
        )
        _fail(op, name, node, call, problem)
        raise problem
    try:
        inner_scope, processed = _processed(op, name, call)
        _display_name(op, node, processed)
    except TemplateError as problem:
        _fail(op, name, node, call, problem)
        raise
    if node is not None and _settled(node):
        locks.release(op, node)
        return node
    if node is not None:
        _check_timeout(op, node, processed)
    op.check_parallelism(processed, node, call.boundary)
    made = _make(op, name, node, call, inner_scope, processed)
    if node is None and _DISPLAY_KEY in (processed.get("annotations") or {}):
        op.run.restless.add(made.id)  # as on Argo, its name is looked at in the pass after the one that made it
        op.run.blocked.pop(name, None)
    return made


def _settled(node: Node) -> bool:
    """Whether there is nothing to do for a node. A daemon's Retry node is looked at again: its attempt may have died."""
    return node.fulfilled and not (node.daemoned and node.type == "Retry")


def _make(op: Operation, name: str, node: Node | None, call: Call, inner_scope: str, processed: Json) -> Node:  # noqa: PLR0913, PLR0917
    kind = NODE_TYPES.get(template_type(processed), "Pod")
    if processed.get("synchronization"):
        try:
            waiting = locks.acquire(op, op.id_of(name), processed["synchronization"])
        except TemplateError as problem:
            _fail(op, name, node, call, problem)
            raise
        if waiting:
            node = node or op.executable(name, kind, processed, call.holder, call.boundary, PENDING, call.flags)
            node.lock_waiting = waiting
            if not (processed.get("timeout") or processed.get("pendingTimeout")):
                locks.block(op, node.id, name, processed["synchronization"])
            return op.mark(node, PENDING, waiting)
        if node is not None and node.lock_waiting:
            node.lock_waiting = ""
            op.mark(node, PENDING, "")
    if processed.get("memoize") and (node is None or node.memoization is None):
        try:
            node = memo.look_up(op, name, node, call, kind, processed)
        except TemplateError as problem:
            _fail(op, name, node, call, problem)
            raise
        if node.fulfilled:
            locks.release(op, node)
            return node
    if op.retry_strategy(processed) is not None:
        return _with_retries(op, name, node, call, inner_scope, processed)
    return _run(op, name, call, inner_scope, processed)


def _processed(op: Operation, name: str, call: Call) -> tuple[str, Json]:
    """The scope and the filled-in copy of the template; kept for as long as nothing that it depends on changes."""
    key = ("processed", name)
    known = op.run.cache.get(key)
    status = op.globals["workflow.status"]
    if known and known[0] == (op.run.version, status) and (known[1] is call.arguments or known[1] == call.arguments):
        return known[2], known[4]
    inner_scope, template = op.resolve(call.holder, call.scope)
    local = {"node.name": name}
    if NODE_TYPES.get(template_type(template)) == "Pod" and op.retry_strategy(template) is None:
        local["pod.name"] = pod_name(op.run.name, name, template.get("name") or "")
    if call.kind:
        local[f"{call.kind}.name"] = call.holder.get("name") or ""
    processed = process(template, call.arguments, op.globals, local, op.run.config_maps)
    op.run.cache[key] = ((op.run.version, status), call.arguments, inner_scope, template, processed)
    op.run.cache[("boundary", op.id_of(name))] = processed
    return inner_scope, processed


def _display_name(op: Operation, node: Node | None, processed: Json) -> None:
    shown = (processed.get("annotations") or {}).get(_DISPLAY_KEY)
    if node is None or not shown:
        return
    if not _DISPLAY_NAME.fullmatch(shown):
        msg = f"displayName must match the regex {_DISPLAY_NAME.pattern}"
        raise TemplateError(msg)
    if node.display_name != shown:
        node.display_name = shown
        op.touch(node)
    op.run.restless.discard(node.id)


def _fail(op: Operation, name: str, node: Node | None, call: Call, problem: object) -> Node:
    if node is not None:
        return op.error(node, problem)
    return op.initialize(name, "Skipped", call.holder, call.boundary, ERROR, str(problem), call.flags)


def _check_timeout(op: Operation, node: Node, processed: Json) -> None:
    for field, only_pending in (("timeout", False), ("pendingTimeout", True)):
        if not processed.get(field) or (only_pending and node.phase != PENDING):
            continue
        deadline = node.started + seconds(processed[field])
        op.wake_at(deadline)
        if node.phase == PENDING and op.now >= deadline:
            _time_out(op, node)


def _time_out(op: Operation, node: Node) -> None:
    """It waited too long: for a lock, or its process for a free slot."""
    op.run.deadlines.pop(node.id, None)
    if node.id in op.run.launched and node.id not in op.run.killing:
        op.run.killing[node.id] = TIMEOUT
        op.actions.append(KillPod(node.id, 0.0))
    op.mark(node, FAILED, TIMEOUT)
    locks.release(op, node)
    raise TimedOutError(TIMEOUT)


def _with_retries(op: Operation, name: str, node: Node | None, call: Call, inner_scope: str, processed: Json) -> Node:  # noqa: PLR0913, PLR0917
    strategy = op.retry_strategy(processed) or {}
    parent = node
    if parent is None or (parent.type == "Pod" and parent.memoization is not None and parent.phase == PENDING):
        if parent is None:
            parent = op.executable(name, "Retry", processed, call.holder, call.boundary, RUNNING, call.flags)
        else:
            parent.type = "Retry"
            op.mark(parent, RUNNING)
    call = replace(call, flags={**(call.flags or {}), "retried": True})
    try:
        go_on, deadline = retry.decide(op, parent, strategy)
    except TemplateError as problem:
        op.error(parent, problem)
        raise
    attempts = op.retry_children(parent)
    if parent.fulfilled:
        _copy_outputs(op, parent, attempts)
        memo.save(op, parent)
        locks.release(op, parent)
        return parent
    if not go_on:
        return parent
    last = attempts[-1] if attempts else None
    running = last is not None and not last.fulfilled
    number = len(attempts) - 1 if running else len(attempts)
    child_name = f"{name}({number})"
    previous = attempts[number - 1] if running and number else last
    local = retry.attempt_variables(number, previous)
    if NODE_TYPES.get(template_type(processed)) == "Pod":
        local["pod.name"] = pod_name(op.run.name, child_name, processed.get("name") or "")
    call = replace(call, deadline=deadline, local=local)
    key = ("attempt", child_name, op.run.version)
    try:
        attempt = op.run.cache.get(key) or substitute(processed, op.globals, local)
    except TemplateError as problem:
        _fail(op, child_name, op.node(child_name), call, problem)
        op.add_child(parent, child_name)
        raise
    op.run.cache[key] = attempt
    op.run.cache[("boundary", op.id_of(child_name))] = attempt
    child = _run(op, child_name, call, inner_scope, attempt)
    op.add_child(parent, child_name)
    if child.fulfilled and not parent.fulfilled:
        return _with_retries(op, name, parent, call, inner_scope, processed)
    return parent


def _copy_outputs(op: Operation, parent: Node, attempts: list[Node]) -> None:
    if attempts and parent.outputs != attempts[-1].outputs:
        parent.outputs = attempts[-1].outputs
        op.touch(parent)


def _run(op: Operation, name: str, call: Call, inner_scope: str, processed: Json) -> Node:
    kind = template_type(processed)
    try:
        if kind in _LEAVES:
            node = _pod(op, name, call, processed)
        elif kind == "steps":
            node = steps.execute_steps(op, name, call, inner_scope, processed)
        elif kind == "dag":
            node = dag.execute_dag(op, name, call, inner_scope, processed)
        elif kind == "suspend":
            node = _suspend(op, name, call, processed)
        else:
            msg = f"Template '{processed.get('name')}' missing specification"
            raise TemplateError(msg)  # noqa: TRY301
    except TemplateError as problem:
        node = _fail(op, name, op.node(name), call, problem)
        policy = retry.policy(op.retry_strategy(processed) or {})
        if op.retry_strategy(processed) is None or policy not in ("Always", "OnError", "OnTransientError"):
            locks.release(op, node)
            raise
    if node.fulfilled:
        memo.save(op, node)
        locks.release(op, node)
    return node


def _pod(op: Operation, name: str, call: Call, processed: Json) -> Node:
    node = op.node(name)
    if node is None:
        kind = NODE_TYPES[template_type(processed)]
        node = op.executable(name, kind, processed, call.holder, call.boundary, PENDING, call.flags)
    if node.fulfilled or node.id in op.run.launched:
        return node
    if op.run.shutdown and not (op.run.shutdown == "Stop" and call.on_exit):
        return op.mark(node, FAILED, f"workflow shutdown with strategy: {op.run.shutdown}")
    op.run.launched.add(node.id)
    _set_deadline(op, node, call, processed)
    keep = bool(call.boundary) and _result_is_used(op, call, node)
    pod = pod_name(op.run.name, name, processed.get("name") or "")
    template = pod_template(op, processed, pod)
    if has_field_refs(template):
        template = fill_field_refs(template, op.run, op.spec, node, pod)
    op.actions.append(StartPod(node.id, name, template, pod, keep, *_origin(op, node, call, pod)))
    if processed.get("containerSet"):
        _containers(op, node, call, processed["containerSet"]["containers"])
    return node


def _origin(op: Operation, node: Node, call: Call, pod: str) -> tuple[Json | None, Mapping[str, str]]:
    """The template of a pod before its tags are filled in, and what fills them beside its inputs."""
    name = node.name.rpartition("(")[0] if node.flag("retried") else node.name
    known = op.run.cache.get(("processed", name))
    own = {"node.name": name, "pod.name": pod}
    if call.kind:
        own[f"{call.kind}.name"] = call.holder.get("name") or ""
    return known[3] if known else None, ChainMap(call.local or {}, own, op.globals)


def _containers(op: Operation, pod: Node, call: Call, containers: list[Json]) -> None:
    """A node for each container of a containerSet, below those that it depends on, else below the pod."""
    for container in containers:
        name = f"{pod.name}.{container['name']}"
        node = op.node(name)
        if node is None:
            op.initialize(name, "Container", call.holder, pod.id, PENDING, flags=call.flags)
        else:
            node.phase, node.message, node.finished = PENDING, "", 0.0
            op.touch(node)
    for container in containers:
        name = f"{pod.name}.{container['name']}"
        for dependency in container.get("dependencies") or []:
            op.add_child(op.run.nodes[op.id_of(f"{pod.name}.{dependency}")], name)
        if not container.get("dependencies"):
            op.add_child(pod, name)


def pod_template(op: Operation, processed: Json, pod: str) -> Json:
    """The template filled once more, as Argo does when it makes the pod: a path may name an input."""
    parameters = (processed.get("inputs") or {}).get("parameters") or []
    inputs = {f"inputs.parameters.{entry['name']}": entry.get("value") or "" for entry in parameters}
    volumes = [*(processed.get("volumes") or []), *(op.run.spec.get("volumes") or [])]
    with_volumes = {**processed, "volumes": volumes} if volumes else processed
    if op.run.spec.get("archiveLogs") and "archiveLogs" not in (processed.get("archiveLocation") or {}):
        with_volumes = {**with_volumes, "archiveLocation": {"archiveLogs": True}}
    shared = op.run.spec.get("securityContext")
    if shared is not None and processed.get("securityContext") is None:
        with_volumes = {**with_volumes, "securityContext": shared}
    filled: Json = fill(with_volumes, {**op.globals, **inputs, "pod.name": pod})
    return filled


TIMEOUT = "timeout"
WORKFLOW_DEADLINE = "Step exceeded its deadline"
_DEADLINE = "Pod was active on the node longer than the specified deadline"


def _set_deadline(op: Operation, node: Node, call: Call, processed: Json) -> None:
    moments: list[tuple[float, str]] = []
    if not node.flag("retried"):  # what Argo looks at is the Retry node, and that one runs
        waits = [seconds(processed[field]) for field in ("timeout", "pendingTimeout") if processed.get(field)]
        if waits:
            op.run.waits[node.id] = node.started + min(waits)
            op.wake_at(op.run.waits[node.id])
    if processed.get("timeout"):
        moments.append((node.started + seconds(processed["timeout"]), _DEADLINE))
    if processed.get("activeDeadlineSeconds") is not None:
        moments.append((op.now + seconds(processed["activeDeadlineSeconds"]), _DEADLINE))
    if call.deadline:
        moments.append((call.deadline, _DEADLINE))
    limit = op.run.spec.get("activeDeadlineSeconds")
    if limit is not None and not call.on_exit:
        moments.append((op.run.started + float(limit), WORKFLOW_DEADLINE))
    if moments:
        op.run.deadlines[node.id] = min(moments)
        op.wake_at(min(moments)[0])


def _result_is_used(op: Operation, call: Call, node: Node) -> bool:
    parent = op.run.cache.get(("boundary", call.boundary))
    if parent is None:
        return True
    key = ("result refs", call.boundary, op.run.version)
    names = op.run.cache.get(key)
    if names is None:
        text = text_of(_original(op, call.boundary) or parent)
        names = op.run.cache[key] = {found[1] or found[2] for found in _RESULT_OF.finditer(text)}
    return (call.holder.get("name") or node.display_name).partition("(")[0] in names


def _original(op: Operation, boundary: str) -> Json | None:
    node = op.run.nodes.get(boundary)
    known = op.run.cache.get(("processed", node.name)) if node else None
    return known[3] if known else None


def _suspend(op: Operation, name: str, call: Call, processed: Json) -> Node:
    node = op.node(name)
    if node is None:
        node = op.executable(name, "Suspend", processed, call.holder, call.boundary, RUNNING, call.flags)
        node.outputs = _supplied(processed)
    duration = (processed.get("suspend") or {}).get("duration")
    if duration not in (None, ""):
        deadline = node.started + seconds(duration)
        if op.now >= deadline:
            supply_defaults(node)
            return op.mark(node, SUCCEEDED)
        op.wake_at(deadline)
    limit = op.run.spec.get("activeDeadlineSeconds")
    if limit is not None and not call.on_exit:
        op.wake_at(op.run.started + float(limit))
    return op.mark(node, RUNNING)


def _supplied(processed: Json) -> Json | None:
    defaults = {
        entry["name"]: entry.get("default") for entry in (processed.get("inputs") or {}).get("parameters") or []
    }
    waiting = []
    for entry in (processed.get("outputs") or {}).get("parameters") or []:
        source = entry.get("valueFrom") or {}
        if "supplied" not in source:
            continue
        if source.get("default") is None and defaults.get(entry["name"]) is not None:
            source = {**source, "default": defaults[entry["name"]]}
        waiting.append({**entry, "valueFrom": source})
    return {"parameters": waiting} if waiting else None


def supply_defaults(node: Node) -> None:
    """Give the supplied outputs that nobody set their defaults. Raises TemplateError if one has none."""
    for entry in (node.outputs or {}).get("parameters") or []:
        if entry.get("value") is None:
            default = (entry.get("valueFrom") or {}).get("default")
            if default is None:
                message = f"raw output parameter '{entry['name']}' has not been set and does not have a default value"
                raise TemplateError(message)
            entry["value"] = default
            entry.pop("valueFrom", None)


__all__ = ["Call", "Wait", "execute", "supply_defaults"]
