"""Lifecycle hooks of steps, tasks and the workflow: `exit`, and those with an expression of their own."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import ManifestError, TemplateError
from tiphys.engine.execute import Call, execute
from tiphys.engine.expressions import evaluate_bool, expand
from tiphys.engine.nodes import Node
from tiphys.engine.operation import Operation, Wait
from tiphys.engine.outputs import resolve_argument_artifacts
from tiphys.engine.scope import Scope
from tiphys.engine.substitute import fill

Json = dict[str, Any]
EXIT = "exit"


def exit_hook(step: Json, arguments: Json | None = None) -> Json | None:
    """The exit hook of a step, task or spec: `hooks.exit`, or the older `onExit`."""
    hook = (step.get("hooks") or {}).get(EXIT)
    if hook is None and step.get("onExit"):
        return {"template": step["onExit"], "arguments": arguments or {}}
    if hook is not None and not hook.get("arguments") and arguments:
        return {**hook, "arguments": arguments}
    return dict(hook) if hook else None


def run_hooks(op: Operation, step: Json, node: Node, scope: Scope, boundary: str, lookup: str, kind: str) -> bool:  # noqa: PLR0913, PLR0917
    """Start the hooks whose expression holds; True once all that were started have ended. Raises TemplateError."""
    started: list[Node | None] = []
    for hook_name, hook in (step.get("hooks") or {}).items():
        if hook_name == EXIT:
            continue
        name = f"{node.name}.hooks.{hook_name}"
        if not hook.get("expression"):
            msg = f"Expression required for hook {name}"
            raise ManifestError(msg)
        fires = evaluate_bool(hook["expression"], expand(scope.variables(op.globals)))
        if not fires and op.node(name) is None:
            continue
        outputs = op.last_attempt(node).outputs
        arguments = hook.get("arguments") or {}
        if arguments and outputs is not None:
            arguments = _arguments(op, name, arguments, kind, step["name"], outputs, scope)
        started.append(_start(op, name, hook, arguments, boundary, lookup, on_exit=False))
        op.add_child(node, name)
    return all(hook_node is not None and hook_node.fulfilled for hook_node in started)


def run_exit_hook(  # noqa: PLR0913, PLR0917
    op: Operation, hook: Json | None, node: Node, scope: Scope, boundary: str, lookup: str, kind: str, step_name: str
) -> bool:
    """Start the exit hook of a node that has completed; True once nothing is left to wait for. Raises TemplateError."""
    if hook is None or op.run.shutdown == "Terminate":
        return True
    if hook.get("expression") and not evaluate_bool(hook["expression"], expand(scope.variables(op.globals))):
        return True
    name = f"{node.name}.onExit"
    arguments = hook.get("arguments") or {}
    if arguments:
        arguments = _arguments(op, name, arguments, kind, step_name, op.last_attempt(node).outputs, scope)
    hook_node = _start(op, name, hook, arguments, boundary, lookup, on_exit=True)
    op.add_child(node, name)
    return hook_node is not None and hook_node.fulfilled


def _start(  # noqa: PLR0913, PLR0917
    op: Operation, name: str, hook: Json, arguments: Json, boundary: str, lookup: str, *, on_exit: bool
) -> Node | None:
    holder = {key: hook[key] for key in ("template", "templateRef") if hook.get(key)}
    call = Call(holder, arguments, lookup, boundary, "steps", on_exit, {"hooked": True})
    try:
        return execute(op, name, call)
    except Wait:
        return op.node(name)


def _arguments(  # noqa: PLR0913, PLR0917
    op: Operation, name: str, arguments: Json, kind: str, step: str, outputs: Json | None, scope: Scope
) -> Json:
    known = op.run.cache.get(("hook arguments", name))
    if known is not None and op.node(name) is not None:
        filled: Json = known
        return filled
    for parameter in (outputs or {}).get("parameters") or []:
        scope.set(f"{kind}.{step}.outputs.parameters.{parameter['name']}", parameter.get("value") or "")
    for artifact in (outputs or {}).get("artifacts") or []:
        scope.set(f"{kind}.{step}.outputs.artifacts.{artifact['name']}", artifact)
    filled = fill(scope.mark_absent(arguments), scope.variables(op.globals))
    filled = resolve_argument_artifacts(filled, scope, steps=True)
    op.run.cache[("hook arguments", name)] = filled
    return filled


def children_hooks_ended(op: Operation, node: Node) -> bool:
    """Whether all hooks that hang below `node` have ended."""
    below = (op.run.nodes.get(child) for child in node.children)
    return all(child.fulfilled for child in below if child is not None and child.flag("hooked"))


__all__ = ["TemplateError", "children_hooks_ended", "exit_hook", "run_exit_hook", "run_hooks"]
