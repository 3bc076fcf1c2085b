"""The deterministic heart of the engine: `step(state, results, now)` says what to do next.

No I/O, no clock, no randomness: the same state, results and time always give the same actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.engine import hooks, locks, memo
from tiphys.engine.actions import (
    Action,
    ContainerChanged,
    KillPod,
    PodEnded,
    PodReady,
    PodStarted,
    Result,
    ResumeSuspended,
    Shutdown,
    Suspend,
)
from tiphys.engine.agenda import wake
from tiphys.engine.errors import EngineError, TemplateError
from tiphys.engine.execute import WORKFLOW_DEADLINE, Call, execute, supply_defaults
from tiphys.engine.gotext import go_json
from tiphys.engine.nodes import ERROR, FAILED, OMITTED, PENDING, RUNNING, SKIPPED, SUCCEEDED, Node, pod_name
from tiphys.engine.operation import LOCAL, Operation, TooManyNodesError, Wait, static_globals
from tiphys.engine.run_state import RunState
from tiphys.engine.scope import rfc3339

Json = dict[str, Any]
LOOPBACK = "127.0.0.1"  # all steps share this machine's network
# What a manifest that nobody thought of may raise; it must not leave the run's steps without an engine.
_DEFECTS = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, AttributeError)
_STATUS = {SKIPPED: SUCCEEDED, OMITTED: SUCCEEDED}


@dataclass(frozen=True)
class Outcome:
    """What to do now, and when to call again at the latest (None: only when something happens)."""

    actions: tuple[Action, ...]
    wake: float | None


def step(run: RunState, results: Sequence[Result], now: float) -> Outcome:
    """Take in what happened, and bring the run as far as it can go. Changes `run`; `run.dirty` names changed nodes."""
    if run.done:
        return Outcome((), None)
    outcome = _step(run, results, now)
    locks.looked(run)
    return outcome


def _step(run: RunState, results: Sequence[Result], now: float) -> Outcome:
    begins = run.started or now
    if not _knows_globals(run, now):
        run.started = begins
        return Outcome((), None)
    actions: list[Action] = []
    for result in results:
        _take_in(run, result, now, actions)
    if not _has_its_locks(run, now):
        run.started = begins if run.done else run.started
        return Outcome(tuple(actions), None)
    if not run.started:
        run.started, run.phase, run.message = now, RUNNING, ""
    # A node that ends may free others that were looked at before it (locks, parallelism): look again.
    for _ in range(1 + len(run.nodes)):
        locks.look_anew(run)
        operation = Operation(run, now)
        _operate_safely(operation)
        actions += operation.actions
        at = operation.wake
        if run.done or not (run.cache.pop("lock released", False) or operation.ended):
            break
    if not run.done:
        at = _earliest(at, _enforce_deadlines(run, now, actions))
        _refuse_to_hang(run, now, at)
    if run.done and run.cache.get("daemons"):
        actions += _end_all_daemons(run, now)
    return Outcome(tuple(actions), None if run.done else at)


def _knows_globals(run: RunState, now: float) -> bool:
    """Work out the workflow's variables, once. False if that fails: then the run has ended."""
    if "globals" not in run.cache:
        try:
            run.cache["globals"] = static_globals(run)
        except TemplateError as problem:
            _finish(run, now, FAILED, f"failed to set global parameters: {problem}")
        except _DEFECTS as defect:
            _finish(run, now, ERROR, _defect(defect))
    return not run.done


def _has_its_locks(run: RunState, now: float) -> bool:
    """Take the locks of the whole run. False if it has to wait for one, or has ended without."""
    if not run.spec.get("synchronization"):
        return True
    locks.look_anew(run)
    try:
        waiting = locks.acquire_for_run(Operation(run, now))
    except TemplateError as problem:
        _finish(run, now, FAILED, f"Failed to acquire the synchronization lock. {problem}")
        return False
    if waiting and run.shutdown == "Terminate" and not run.started:
        _finish(run, now, FAILED, "Stopped with strategy 'Terminate'")
    elif waiting:
        run.phase, run.message, run.cache["waits"] = run.phase or PENDING, waiting, True
    elif run.cache.pop("waits", False):
        run.message = ""
    return not waiting


def _end_all_daemons(run: RunState, now: float) -> list[Action]:
    """Daemons without a steps or dag template around them run until the workflow ends."""
    operation = Operation(run, now)
    for boundary in {run.nodes[identity].boundary for identity in run.cache["daemons"]}:
        operation.end_daemons(boundary)
    return operation.actions


def _earliest(*moments: float | None) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if known else None


# --- taking in results


def _take_in(run: RunState, result: Result, now: float, actions: list[Action]) -> None:
    if isinstance(result, PodStarted):
        node = run.nodes[result.node_id]
        if node.phase == PENDING and not result.daemon:
            node.phase = RUNNING
            run.waits.pop(node.id, None)
        node.attempts = max(node.attempts, result.attempt)
        run.dirty.add(node.id)
    elif isinstance(result, PodEnded):
        _pod_ended(run, result, now, actions)
    elif isinstance(result, PodReady):
        _pod_ready(run, result, now)
    elif isinstance(result, ContainerChanged):
        _container_changed(run, result, now)
    elif isinstance(result, Shutdown):
        _shut_down(run, result.strategy, now, actions)
    elif isinstance(result, Suspend):
        run.suspended = True
    elif isinstance(result, ResumeSuspended):
        _resume(run, result, now)


def _pod_ended(run: RunState, result: PodEnded, now: float, actions: list[Action]) -> None:
    node = run.nodes[result.node_id]
    run.waits.pop(node.id, None)
    if node.ended:  # a daemon that was ended with its boundary, or a pod that waited too long for its start
        run.launched.discard(node.id)
        run.killing.pop(node.id, None)
        return
    _close_containers(run, node, now)
    node.daemoned = False
    node.phase, node.message = result.phase, result.message
    reason = run.killing.pop(node.id, "")
    if reason and node.phase != SUCCEEDED:
        node.phase, node.message = FAILED, reason
    node.finished = now
    if result.outputs and reason != WORKFLOW_DEADLINE:
        node.outputs = result.outputs
    node.memoization = result.memoization or node.memoization
    run.launched.discard(node.id)
    run.deadlines.pop(node.id, None)
    run.dirty.add(node.id)
    wake(run, node.id)
    operation = Operation(run, now)
    operation.export_outputs(node.outputs)
    locks.release(operation, node)
    memo.save(operation, node)
    actions += operation.actions


def _pod_ready(run: RunState, result: PodReady, now: float) -> None:
    """A daemon becomes Running when it is ready, and nobody has to wait for it any more."""
    node = run.nodes[result.node_id]
    if node.ended:
        return
    node.phase, node.daemoned, node.pod_ip = RUNNING, True, LOOPBACK
    run.cache.setdefault("daemons", set()).add(node.id)
    if run.deadlines.get(node.id, (0.0, ""))[1] == WORKFLOW_DEADLINE:
        del run.deadlines[node.id]
    run.dirty.add(node.id)
    wake(run, node.id)
    locks.release(Operation(run, now), node)


def _container_changed(run: RunState, result: ContainerChanged, now: float) -> None:
    node = run.nodes.get(result.node_id)
    if node is None or node.ended:
        return
    node.phase, node.message = result.phase, result.message
    if node.ended:
        node.finished = now
    run.dirty.add(node.id)


def _close_containers(run: RunState, pod: Node, now: float) -> None:
    """What the launcher could say nothing about any more ends with its pod."""
    if not any(child in run.nodes and run.nodes[child].type == "Container" for child in pod.children):
        return
    reason = run.killing.get(pod.id) or "Pod Failed whilst container running"
    for node in run.nodes.values():
        if node.boundary == pod.id and node.type == "Container" and not node.ended:
            _container_changed(run, ContainerChanged(node.id, FAILED, reason), now)


def _shut_down(run: RunState, strategy: str, now: float, actions: list[Action]) -> None:
    if run.shutdown == "Terminate":
        return
    run.shutdown, run.suspended = strategy, False
    run.blocked.clear()
    for node in list(run.nodes.values()):
        if node.fulfilled or (strategy == "Stop" and node.on_exit):
            continue
        if node.id in run.launched:
            _kill(run, node, f"workflow shutdown with strategy: {strategy}", actions)
        elif node.type == "Suspend" or node.lock_waiting:
            node.phase, node.message, node.finished = FAILED, f"Stopped with strategy '{strategy}'", now
            run.dirty.add(node.id)


def _kill(run: RunState, node: Node, reason: str, actions: list[Action]) -> None:
    if node.id not in run.killing:
        run.killing[node.id] = reason
        actions.append(KillPod(node.id))


def _resume(run: RunState, result: ResumeSuspended, now: float) -> None:
    if not result.node_id:
        run.suspended = False
    for node in run.nodes.values():
        if node.type != "Suspend" or node.fulfilled or (result.node_id and node.id != result.node_id):
            continue
        given = dict(result.parameters)
        for entry in (node.outputs or {}).get("parameters") or []:
            if entry["name"] in given:
                entry["value"] = given[entry["name"]]
                entry.pop("valueFrom", None)
        if result.phase == SUCCEEDED:
            try:
                supply_defaults(node)
            except TemplateError:  # whoever resumes is told before; until all values are there the step waits
                continue
        if result.phase:
            node.phase, node.message, node.finished = result.phase, result.message, now
        elif result.message:
            node.message = result.message
        run.dirty.add(node.id)


# --- time


def _enforce_deadlines(run: RunState, now: float, actions: list[Action]) -> float | None:
    """Kill what is over its deadline; the next deadline."""
    limit = run.spec.get("activeDeadlineSeconds")
    if limit is not None and now >= run.started + float(limit):
        for node in list(run.nodes.values()):
            waits = node.phase == PENDING and node.id not in run.launched
            if not node.fulfilled and (waits or node.type == "Suspend") and not node.on_exit:
                node.phase, node.message, node.finished = FAILED, WORKFLOW_DEADLINE, now
                run.blocked.clear()
                run.dirty.add(node.id)
                run.cache["again"] = True
    following: list[float] = []
    for identity, moment in list(run.waits.items()):
        if now >= moment:
            del run.waits[identity]
            if run.nodes[identity].phase == PENDING:
                wake(run, identity)
                run.cache["again"] = True
        else:
            following.append(moment)
    for identity, (moment, reason) in list(run.deadlines.items()):
        if now >= moment:
            del run.deadlines[identity]
            _kill(run, run.nodes[identity], reason, actions)
        else:
            following.append(moment)
    if run.cache.pop("again", False):
        following.append(now)
    return min(following) if following else None


def _operate_safely(op: Operation) -> None:
    """One pass; what can't be worked out ends the run in Error, and never the engine."""
    try:
        _operate(op)
    except TemplateError as problem:
        _finish(op.run, op.now, ERROR, f"error in entry template execution: {problem}")
    except TooManyNodesError as problem:
        _give_up(op, str(problem))
    except EngineError as problem:
        _finish(op.run, op.now, ERROR, str(problem))
    except RecursionError:
        _give_up(op, "an expression or a value nests too deeply to be worked out: write it flatter")
    except _DEFECTS as defect:
        _give_up(op, _defect(defect))


def _defect(error: Exception) -> str:
    return f"defect of the engine: {type(error).__name__}: {error}"


def _give_up(op: Operation, reason: str) -> None:
    """End the run and every node of it; nothing that this pass asked for is started."""
    op.actions.clear()
    _finish(op.run, op.now, ERROR, reason)
    for node in op.run.nodes.values():
        if not node.fulfilled:
            node.phase, node.message, node.finished = ERROR, reason, op.now
            op.run.dirty.add(node.id)


# --- one pass


def _operate(op: Operation) -> None:
    run = op.run
    if run.suspended:
        return
    call = Call({"template": run.spec.get("entrypoint")}, op.spec.get("arguments") or {}, LOCAL, kind="steps")
    try:
        root = execute(op, run.name, call)
    except Wait:
        return
    if root is None:
        return
    status = SUCCEEDED if root.daemoned else _STATUS.get(root.phase, root.phase)
    op.globals["workflow.status"] = status
    if root.fulfilled or run.spec.get("hooks"):
        op.globals["workflow.failures"] = go_json(_failures(run))
    hooks_done = _workflow_hooks(op, root)
    if not hooks_done or not root.fulfilled:
        return
    exit_node = _exit_handler(op)
    if exit_node is False:
        return
    _conclude(op, root, status, exit_node if isinstance(exit_node, Node) else None)


def _failures(run: RunState) -> str:
    return go_json(
        [
            {
                "displayName": node.display_name,
                "message": node.message,
                "templateName": node.template_name,
                "phase": node.phase,
                "podName": pod_name(run.name, node.name, node.template_name),
                "finishedAt": rfc3339(node.finished) if node.finished else None,
            }
            for node in run.nodes.values()
            if node.unsuccessful
        ]
    )


def _workflow_hooks(op: Operation, root: Node) -> bool:
    from tiphys.engine.expressions import evaluate_bool, expand  # noqa: PLC0415

    started: list[Node | None] = []
    for hook_name, hook in (op.spec.get("hooks") or {}).items():
        if hook_name == hooks.EXIT:
            continue
        name = f"{op.run.name}.hooks.{hook_name}"
        try:
            fires = evaluate_bool(hook.get("expression") or "false", expand(op.globals))
            if not fires and op.node(name) is None:
                continue
            holder = {key: hook[key] for key in ("template", "templateRef") if hook.get(key)}
            call = Call(holder, hook.get("arguments") or {}, LOCAL, "", "steps", flags={"hooked": True})
            started.append(execute(op, name, call))
            op.add_child(root, name)
        except Wait:
            return False
        except TemplateError as problem:
            op.error(root, problem)
            return True
    return all(node is not None and node.fulfilled for node in started)


def _exit_handler(op: Operation) -> Node | bool:
    """The exit handler's node once it has ended, False while it runs, True if there is none to run."""
    name = f"{op.run.name}.onExit"
    hook = hooks.exit_hook(op.spec, op.spec.get("arguments"))
    if hook is None or (op.node(name) is None and op.run.shutdown == "Terminate"):
        return True
    holder = {key: hook[key] for key in ("template", "templateRef") if hook.get(key)}
    call = Call(holder, hook.get("arguments") or {}, LOCAL, "", "steps", on_exit=True, flags={"hooked": True})
    try:
        node = execute(op, name, call)
    except Wait:
        return False
    except TemplateError as problem:
        msg = f"error in exit template execution : {problem}"
        raise EngineError(msg) from None
    return node if node is not None and node.fulfilled else False


def _conclude(op: Operation, root: Node, status: str, exit_node: Node | None) -> None:
    run = op.run
    message = root.message
    if root.unsuccessful and run.shutdown:
        message = f"Stopped with strategy '{run.shutdown}'"
    if status == SUCCEEDED and exit_node is not None and exit_node.unsuccessful:
        _finish(run, op.now, exit_node.phase, exit_node.message)
    elif status == SUCCEEDED:
        _finish(run, op.now, SUCCEEDED, "")
    else:
        _finish(run, op.now, status, message)


def _finish(run: RunState, now: float, phase: str, message: str) -> None:
    run.phase, run.message, run.finished = phase, message, now
    locks.release_all(run)


def _refuse_to_hang(run: RunState, now: float, wake: float | None) -> None:
    """Where nothing runs and nothing is to come, Argo would wait for ever: end in Error and say why."""
    daemons: set[str] = run.cache.get("daemons") or set()
    if wake is not None or run.launched - daemons or run.suspended or locks.waits_for_others(run):
        return
    waiting = [node for node in run.nodes.values() if not node.fulfilled]
    if any(node.type == "Suspend" for node in waiting):
        return
    names = ", ".join(_shown(waiting)) or run.name
    _finish(
        run,
        now,
        ERROR,
        f"nothing runs and nothing is to come, but these have not ended: {names}: on Argo this would hang for ever",
    )
    for node in waiting:
        node.phase, node.finished = ERROR, now
        run.dirty.add(node.id)


def _shown(nodes: Iterable[Node]) -> list[str]:
    return [re.sub(r"\s+", " ", node.name) for node in list(nodes)[:5]]
