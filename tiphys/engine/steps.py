"""Executes a steps template: groups one after another, the steps of a group side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiphys.engine.agenda import Agenda, hooked
from tiphys.engine.aggregate import add_aggregates
from tiphys.engine.errors import TemplateError
from tiphys.engine.fanout import expand_step, should_expand
from tiphys.engine.nodes import ERROR, FAILED, RUNNING, SKIPPED, SUCCEEDED, Node
from tiphys.engine.operation import Operation, TimedOutError, TooDeepError, Wait
from tiphys.engine.outputs import template_outputs
from tiphys.engine.references import resolve_step
from tiphys.engine.scope import Scope
from tiphys.engine.when import should_execute

if TYPE_CHECKING:
    from tiphys.engine.execute import Call

Json = dict[str, Any]
KIND = "steps"


@dataclass
class Group:
    """One step group while it is looked at."""

    op: Operation
    node: Node
    boundary: str
    lookup: str
    on_exit: bool
    scope: Scope


def execute_steps(op: Operation, name: str, call: Call, inner_scope: str, template: Json) -> Node:
    """Bring the Steps node called `name` as far as it can go now. Raises TemplateError."""
    node = op.node(name)
    if node is None:
        node = op.executable(name, "Steps", template, call.holder, call.boundary, RUNNING, call.flags)
    elif node.phase == "Pending":
        op.mark(node, RUNNING)
    groups = template["steps"] or []
    first, before, scope = _kept(op, name, template)
    for index, steps in enumerate(groups[first:], first):
        group_node = _group_node(op, f"{name}[{index}]", node, before)
        group = Group(op, group_node, node.id, inner_scope, call.on_exit, scope)
        _execute_group(group, steps or [])
        if not group_node.fulfilled:
            return node
        if group_node.unsuccessful:
            _set_outbound(op, node, group_node)
            return op.close(node, FAILED, group_node.message)
        for step in steps or []:
            _add_step(group, step)
        before = group_node
        op.run.cache[("scope", name)] = (template, op.run.version, index + 1, before, scope)
    if before is not None:
        _set_outbound(op, node, before)
    outputs = template_outputs(template, scope)
    if outputs is not None:
        node.outputs = outputs
        op.export_outputs(outputs)
    return op.close(node, SUCCEEDED)


def _kept(op: Operation, name: str, template: Json) -> tuple[int, Node | None, Scope]:
    """Where the last pass got to: the index of the first group that has not ended, the group before it, what is known."""
    known = op.run.cache.get(("scope", name))
    if known is not None and known[0] is template and known[1] == op.run.version:
        return known[2], known[3], known[4]
    scope = Scope(template)
    scope.add_workflow_outputs(op.run.outputs)
    return 0, None, scope


def _group_node(op: Operation, name: str, steps_node: Node, before: Node | None) -> Node:
    node = op.node(name)
    if node is not None:
        return node
    node = op.initialize(name, "StepGroup", {}, steps_node.id, RUNNING, flags={})
    if before is None:
        op.add_child(steps_node, name)
    elif not before.children:
        op.add_child(before, name)
    else:
        for child in before.children:
            for last in op.outbound(child):
                op.add_child(op.run.nodes[last], name)
    return node


def _set_outbound(op: Operation, node: Node, last_group: Node) -> None:
    node.outbound = [last for child in last_group.children for last in op.outbound(child)]
    op.touch(node)


def _execute_group(group: Group, steps: list[Json]) -> None:
    op, node = group.op, group.node
    if node.fulfilled:
        return
    try:
        expanded = _expanded(group, steps)
    except TemplateError as problem:
        op.error(node, problem)
        return
    agenda, by_node = _agenda(group, expanded)
    if not agenda.look(op, lambda step: _execute_step(group, step, by_node)):
        return
    if agenda.busy and not any(map(hooked, steps)):
        return
    if not agenda.fresh and _children_done(group, by_node):
        _close(group, by_node)


def _agenda(group: Group, expanded: list[Json]) -> tuple[Agenda, dict[str, Json]]:
    """Which of the group's steps need a look, and the steps by their nodes' names; kept from pass to pass."""
    key = ("agenda", group.node.name)
    known = group.op.run.cache.get(key)
    if known is None or known[0] is not expanded:
        children = ((f"{group.node.name}.{step['name']}", step) for step in expanded)
        known = group.op.run.cache[key] = (expanded, Agenda.of(children), {})
    return known[1], known[2]


def _expanded(group: Group, steps: list[Json]) -> list[Json]:
    """The group's steps with their references filled in, once for each item."""
    op, key = group.op, ("group", group.node.name)
    known = op.run.cache.get(key)
    if known and known[0] == op.run.version:
        found: list[Json] = known[1]
        return found
    try:
        resolved = [resolve_step(op, step, group.scope, steps=True) for step in steps]
    except TemplateError as problem:
        msg = f"failed to resolve references: {problem}"
        raise TemplateError(msg) from None
    expanded: list[Json] = []
    for step in resolved:
        if not should_expand(step):
            expanded.append(step)
            continue
        items = expand_step(step, group.scope.variables(op.globals))
        name = f"{group.node.name}.{step['name']}"
        if not items and op.node(name) is None:
            op.skipped(name, step, group.boundary, SKIPPED, "Skipped, empty params")
            op.add_child(group.node, name)
        expanded += items
    op.run.cache[key] = (op.run.version, expanded)
    return expanded


def _execute_step(group: Group, step: Json, by_node: dict[str, Json]) -> bool:
    """Start or follow one step; False when the group ends here."""
    op, name = group.op, f"{group.node.name}.{step['name']}"
    if op.node(name) is None:
        try:
            proceed = should_execute(step.get("when") or "")
        except TemplateError as problem:
            op.skipped(name, step, group.boundary, ERROR, str(problem))
            op.add_child(group.node, name)
            op.error(group.node, problem)
            return False
        if not proceed:
            op.skipped(name, step, group.boundary, SKIPPED, f"when '{step['when']}' evaluated false")
            op.add_child(group.node, name)
    node = op.node(name)
    if node is not None and node.fulfilled and node.type != "Skipped" and not step.get("hooks"):
        by_node[name] = step
        return True
    if node is not None and node.type == "Skipped":
        if node.phase != SKIPPED:
            by_node[name] = step
        return True
    return _call(group, step, name, by_node)


def _call(group: Group, step: Json, name: str, by_node: dict[str, Json]) -> bool:
    from tiphys.engine.execute import Call, execute  # noqa: PLC0415

    op = group.op
    call = Call(step, step.get("arguments") or {}, group.lookup, group.boundary, KIND, group.on_exit)
    node: Node | None = None
    try:
        node = execute(op, name, call)
    except Wait:
        node = op.node(name)
    except TooDeepError:
        node = op.node(name)
    except TimedOutError as problem:
        op.mark(group.node, FAILED, str(problem))
        return False
    except TemplateError as problem:
        op.add_child(group.node, name)
        op.error(group.node, f"step group deemed errored due to child {name} error: {problem}")
        return False
    if node is not None:
        by_node[name] = step
        op.add_child(group.node, name)
    return True


def _children_done(group: Group, by_node: dict[str, Json]) -> bool:
    """Whether all children and their hooks have ended; starts hooks and exit hooks."""
    from tiphys.engine import hooks  # noqa: PLC0415

    op = group.op
    done = True
    for child in list(group.node.children):
        node = op.run.nodes[child]
        step = by_node.get(node.name)
        if step is None or not (step.get("hooks") or step.get("onExit")):
            done = done and node.fulfilled
            continue
        try:
            group.scope.set(f"{KIND}.{step['name']}.status", node.phase)
            hooks_done = hooks.run_hooks(op, step, node, group.scope, group.boundary, group.lookup, KIND)
            if node.completed and hooks_done:
                hooks_done = hooks.run_exit_hook(
                    op, hooks.exit_hook(step), node, group.scope, group.boundary, group.lookup, KIND, step["name"]
                )
        except TemplateError as problem:
            op.error(group.node, problem)
            return False
        done = done and node.fulfilled and hooks_done
    return done


def _close(group: Group, by_node: dict[str, Json]) -> None:
    op = group.op
    for child in group.node.children:
        node = op.run.nodes[child]
        continue_on = (by_node.get(node.name) or {}).get("continueOn") or {}
        if node.unsuccessful and not continue_on.get("failed" if node.phase == FAILED else "error"):
            op.mark(group.node, FAILED, f"child '{child}' failed")
            return
    op.mark(group.node, SUCCEEDED)


def _add_step(group: Group, step: Json) -> None:
    """Put what a step of an ended group gave into the scope."""
    op, name = group.op, f"{group.node.name}.{step['name']}"
    node = op.node(name)
    if node is None:
        prefix = f"{name}("
        children = [op.run.nodes[child] for child in group.node.children]
        ran = [child for child in children if child.name.startswith(prefix) and child.type != "Skipped"]
        add_aggregates(group.scope, KIND, step["name"], ran)
        group.scope.add_node(KIND, step["name"], group.node)
        return
    group.scope.add_node(KIND, step["name"], op.last_attempt(node))
    if node.outputs is None and node.phase in (SKIPPED, "Omitted"):
        _, template = op.resolve(step, group.lookup)
        group.scope.add_skipped(KIND, step["name"], node, template, artifacts=True)
