"""Executes a dag template: each task when its `depends` holds, then the phase of the whole."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiphys.engine import depends
from tiphys.engine.agenda import Agenda, hooked, sleeps_on
from tiphys.engine.aggregate import add_aggregates
from tiphys.engine.errors import TemplateError
from tiphys.engine.fanout import expand_step, should_expand
from tiphys.engine.nodes import ERROR, FAILED, OMITTED, RUNNING, SKIPPED, SUCCEEDED, UNSUCCESSFUL, Node
from tiphys.engine.operation import Operation, TimedOutError, TooDeepError, Wait
from tiphys.engine.outputs import template_outputs
from tiphys.engine.references import resolve_step
from tiphys.engine.scope import Scope
from tiphys.engine.substitute import text_of
from tiphys.engine.when import should_execute

if TYPE_CHECKING:
    from tiphys.engine.execute import Call

Json = dict[str, Any]
KIND = "tasks"


@dataclass
class Kept:
    """What is worth keeping from pass to pass."""

    template: Json
    graph: depends.Dependencies
    targets: list[str]
    order: dict[str, int]
    """All tasks that the targets need, each after those it waits for."""
    agenda: Agenda
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Dag:
    """One DAG node while it is looked at."""

    op: Operation
    node: Node
    template: Json
    lookup: str
    on_exit: bool
    kept: Kept

    @property
    def graph(self) -> depends.Dependencies:
        """Who waits for whom."""
        return self.kept.graph

    def name_of(self, task: str) -> str:
        """The node name of a task."""
        return f"{self.node.name}.{task}"

    def task_node(self, task: str) -> Node | None:
        """The node of a task, or of one item of it, if it has been made."""
        identity = self.kept.ids.get(task)
        if identity is None:
            identity = self.kept.ids[task] = self.op.id_of(self.name_of(task))
        return self.op.run.nodes.get(identity)


def execute_dag(op: Operation, name: str, call: Call, inner_scope: str, template: Json) -> Node:
    """Bring the DAG node called `name` as far as it can go now. Raises TemplateError."""
    node = op.node(name)
    if node is None:
        node = op.executable(name, "DAG", template, call.holder, call.boundary, RUNNING, call.flags)
    elif node.phase == "Pending":
        op.mark(node, RUNNING)
    dag = Dag(op, node, template, inner_scope, call.on_exit, _kept(op, name, template))
    targets = dag.kept.targets
    _look(dag)
    stopped = (
        bool(op.run.shutdown)
        and not call.on_exit
        and all(_exit_node_done(dag, task) for task in targets)
        and _nothing_runs(dag)
    )
    phase = FAILED if stopped else _phase(dag, targets)
    if phase == RUNNING:
        return node
    if phase in UNSUCCESSFUL:
        _set_outbound(dag, targets)
        return op.close(node, phase)
    outputs = _outputs(dag)
    if outputs is not None:
        node.outputs = outputs
    _set_outbound(dag, targets)
    return op.close(node, SUCCEEDED)


def _kept(op: Operation, name: str, template: Json) -> Kept:
    key = ("graph", name)
    known: Kept | None = op.run.cache.get(key)
    if known is None or known.template is not template:
        graph = depends.Dependencies(template["dag"].get("tasks") or [])
        target = template["dag"].get("target")
        targets = target.split() if target else graph.leaves()
        needed = dict.fromkeys(task for leaf in targets for task in (*graph.ancestors(leaf), leaf))
        order = {task: index for index, task in enumerate(needed)}
        agenda = Agenda(deque(), {task: graph.tasks[task] for task in order})
        known = op.run.cache[key] = Kept(template, graph, targets, order, agenda)
    return known


def _look(dag: Dag) -> None:
    """Look at the tasks that could go on, in order; one that ends lets those that wait for it go on in the same pass."""
    order, awake = dag.kept.order, dag.kept.agenda.awake
    queue = [order[task] for task in awake]
    heapq.heapify(queue)
    names = list(order)
    while queue:
        name = names[heapq.heappop(queue)]
        if name not in awake:
            continue
        task = dag.graph.tasks[name]
        _execute_task(dag, task)
        node = dag.task_node(name)
        if node is None:
            if _is_blocked(dag, name):
                del awake[name]
            continue
        _settle(dag, name, task, node)
        if node.fulfilled and (name not in awake or node.daemoned):
            for waiting in dag.graph.dependents(name):
                if waiting in order and waiting not in awake and dag.task_node(waiting) is None:
                    awake[waiting] = dag.graph.tasks[waiting]
                    heapq.heappush(queue, order[waiting])
        if node.type == "Skipped" and node.phase == ERROR and name in dag.kept.targets:
            _check_scope(dag, name)


def _settle(dag: Dag, name: str, task: Json, node: Node) -> None:
    agenda = dag.kept.agenda
    if node.daemoned and node.type == "Retry":
        return  # its attempt may die, and another one has to follow
    if node.fulfilled and not hooked(task):
        del agenda.awake[name]
    elif pod := sleeps_on(dag.op.run, node, task):
        del agenda.awake[name]
        agenda.asleep.add(pod)
        dag.op.run.sleepers[pod] = (agenda, name, task)


def _is_blocked(dag: Dag, name: str) -> bool:
    """Whether a task without a node waits for the end of another one, which will wake it."""
    waits = False
    for dependency in dag.graph.of(name):
        if hooked(dag.graph.tasks[dependency]):
            return False
        other = dag.task_node(dependency)
        waits = waits or other is None or not other.fulfilled
    return waits


def _check_scope(dag: Dag, target: str) -> None:
    """A target that could not be made because what it may refer to is broken breaks the whole DAG."""
    task_scope(dag, target)


def _nothing_runs(dag: Dag) -> bool:
    return all(node is None or node.fulfilled for node in (dag.task_node(task) for task in dag.graph.tasks))


def _exit_node_done(dag: Dag, task: str) -> bool:
    node = dag.task_node(task)
    exit_node = dag.op.node(f"{node.name}.onExit") if node is not None and node.completed else None
    return exit_node is None or exit_node.fulfilled


def _execute_task(dag: Dag, task: Json) -> None:
    op, node = dag.op, dag.task_node(task["name"])
    if node is not None and node.phase != "Pending" and not _run_task_hooks(dag, task, node):
        return
    if node is not None and node.fulfilled and not (node.daemoned and node.type == "Retry"):
        return
    if not _ready(dag, task, node):
        return
    try:
        expanded = _expanded(dag, task)
    except TemplateError as problem:
        if node is None:
            _skip(dag, task, task["name"], ERROR, str(problem))
        else:
            op.error(node, problem)
        return
    if should_expand(task):
        _execute_group(dag, task, expanded)
    else:
        _execute_one(dag, task, expanded[0], None)


def _run_task_hooks(dag: Dag, task: Json, node: Node) -> bool:
    """Run hooks and the exit hook of a task; False while one keeps the task from going on."""
    if not task.get("hooks") and not task.get("onExit"):
        return True
    from tiphys.engine import hooks  # noqa: PLC0415

    op = dag.op
    try:
        scope = task_scope(dag, task["name"])
        scope.set(f"{KIND}.{task['name']}.status", node.phase)
        if not hooks.run_hooks(op, task, node, scope, dag.node.id, dag.lookup, KIND):
            return False
        if node.completed:
            exit_hook = hooks.exit_hook(task)
            hooks.run_exit_hook(op, exit_hook, node, scope, dag.node.id, dag.lookup, KIND, task["name"])
    except TooDeepError:
        raise
    except TemplateError as problem:
        op.error(node, problem)
    return True


def _ready(dag: Dag, task: Json, node: Node | None) -> bool:  # noqa: PLR0911
    """Whether the task's dependencies let it run now; otherwise it may become Omitted, or Error."""
    from tiphys.engine.hooks import children_hooks_ended  # noqa: PLC0415

    if node is not None:
        return not _waits_for_revived(dag, task)
    name = task["name"]
    logic = dag.graph.logic(name)
    if not logic:
        return True
    results: dict[str, dict[str, bool]] = {}
    if any(dag.task_node(dependency) is None for dependency in dag.graph.of(name)):
        return False
    for dependency in dag.graph.of(name):
        other = dag.task_node(dependency)
        if other is None or not other.fulfilled or not children_hooks_ended(dag.op, other):
            return False
        results[dependency] = _results(dag, other)
    try:
        if dag.graph.holds(name, results):
            return True
    except TemplateError as problem:
        _skip(dag, task, name, ERROR, str(problem))
        return False
    _skip(dag, task, name, OMITTED, "omitted: depends condition not met")
    return False


def _waits_for_revived(dag: Dag, task: Json) -> bool:
    """Whether a daemon before this task was ended with the last engine and is not ready again."""
    reviving = dag.op.run.cache.get("reviving")
    if not reviving:
        return False
    before = [dag.task_node(name) for name in dag.graph.ancestors(task["name"])]
    return any(node is not None and node.id in reviving and not node.fulfilled for node in before)


def _results(dag: Dag, node: Node) -> dict[str, bool]:
    phases = [dag.op.run.nodes[child].phase for child in node.children] if node.type == "TaskGroup" else []
    return {
        "Succeeded": node.phase == SUCCEEDED,
        "Failed": node.phase == FAILED,
        "Errored": node.phase == ERROR,
        "Skipped": node.phase == SKIPPED,
        "Omitted": node.phase == OMITTED,
        "Daemoned": node.daemoned and node.phase != "Pending",
        "AnySucceeded": SUCCEEDED in phases,
        "AllFailed": bool(phases) and all(phase == FAILED for phase in phases),
    }


def _skip(dag: Dag, task: Json, name: str, phase: str, message: str) -> Node:
    node = dag.op.skipped(dag.name_of(name), task, dag.node.id, phase, message)
    _connect(dag, task["name"], node.name)
    return node


def _connect(dag: Dag, task: str, node_name: str) -> None:
    """Hang the node below the ends of the task's dependencies, or below the DAG."""
    group = dag.task_node(task)
    dependencies = dag.graph.of(task)
    if group is not None and group.type == "TaskGroup" and group.name != node_name:
        dag.op.add_child(group, node_name)
    elif not dependencies:
        dag.op.add_child(dag.node, node_name)
    else:
        for dependency in dependencies:
            other = dag.task_node(dependency)
            for last in dag.op.outbound(other.id) if other else []:
                dag.op.add_child(dag.op.run.nodes[last], node_name)


def _expanded(dag: Dag, task: Json) -> list[Json]:
    """The task with its references filled in, once for each item; kept while nothing that it depends on changes."""
    op = dag.op
    key = ("task", dag.name_of(task["name"]))
    known = op.run.cache.get(key)
    if known and known[0] == op.run.version:
        found: list[Json] = known[1]
        return found
    scope = task_scope(dag, task["name"])
    filled = resolve_step(op, task, scope, steps=False)
    expanded = expand_step(filled, scope.variables(op.globals)) if should_expand(filled) else [filled]
    op.run.cache[key] = (op.run.version, expanded)
    return expanded


def _execute_group(dag: Dag, task: Json, expanded: list[Json]) -> None:
    op, group = dag.op, dag.task_node(task["name"])
    if not expanded:
        _skip(dag, task, task["name"], SKIPPED, "Skipped, empty params")
        return
    if group is None:
        name = dag.name_of(task["name"])
        _connect(dag, task["name"], name)
        group = op.initialize(name, "TaskGroup", task, dag.node.id, RUNNING, flags={})
    agenda = _items(dag, group, expanded)
    if not agenda.look(op, lambda one: _execute_one(dag, task, one, group)):
        return
    if agenda.busy and not hooked(task):
        return
    phase = SUCCEEDED
    for one in expanded:
        node = dag.task_node(one["name"])
        if node is None or not node.fulfilled:
            return
        if node.unsuccessful:
            phase = node.phase
    op.mark(group, phase)


def _items(dag: Dag, group: Node, expanded: list[Json]) -> Agenda:
    """Which items of a task need a look; kept from pass to pass."""
    key = ("agenda", group.name)
    known = dag.op.run.cache.get(key)
    if known is None or known[0] is not expanded:
        known = dag.op.run.cache[key] = (expanded, Agenda.of((dag.name_of(one["name"]), one) for one in expanded))
    agenda: Agenda = known[1]
    return agenda


def _execute_one(dag: Dag, task: Json, one: Json, group: Node | None) -> bool:
    """Execute one task or one item of it; False if the others of its group have to wait."""
    op, name = dag.op, dag.name_of(one["name"])
    node = op.node(name)
    if node is None:
        _connect(dag, task["name"], name)
        try:
            proceed = should_execute(one.get("when") or "")
        except TemplateError as problem:
            op.skipped(name, task, dag.node.id, ERROR, str(problem))
            return True
        if not proceed:
            op.skipped(name, task, dag.node.id, SKIPPED, f"when '{one['when']}' evaluated false")
            return True
    return _call(dag, task, one, name, group)


def _call(dag: Dag, task: Json, one: Json, name: str, group: Node | None) -> bool:
    from tiphys.engine.execute import Call, execute  # noqa: PLC0415

    op = dag.op
    call = Call(one, one["arguments"], dag.lookup, dag.node.id, KIND, dag.on_exit)
    try:
        node = execute(op, name, call)
    except Wait:
        return False
    except TooDeepError:
        return True
    except TimedOutError:
        return False
    except TemplateError as problem:
        made = op.node(name)
        if made is not None:
            op.error(made, f"task '{name}' errored: {problem}")
        return False
    if (node is not None and node.completed and group is None) or (
        node is not None and node.completed and (task.get("hooks") or task.get("onExit"))
    ):
        _run_task_hooks(dag, task, node)
    return True


def task_scope(dag: Dag, task: str) -> Scope:
    """What task `task` may refer to: inputs, workflow outputs, and all its ancestors. Raises TemplateError."""
    op = dag.op
    scope = Scope(dag.template)
    scope.add_workflow_outputs(op.run.outputs)
    text = text_of(dag.graph.tasks[task])
    for ancestor in dag.graph.ancestors(task):
        node = dag.task_node(ancestor)
        if node is None:
            msg = f"Ancestor task node {ancestor} not found"
            raise TemplateError(msg)
        # Adding all of a thousand ancestors to each of a thousand tasks would take long: only those that are named.
        if node.type == "TaskGroup" or ancestor in text:
            _add_task(dag, scope, ancestor, node)
    return scope


def _add_task(dag: Dag, scope: Scope, task: str, node: Node) -> None:
    op = dag.op
    if node.type == "TaskGroup":
        if dag.graph.tasks[task].get("inline") is not None:
            msg = "failed to get a template"
            raise TemplateError(msg)
        prefix = f"{node.name}("
        children = [op.run.nodes[child] for child in node.children if op.run.nodes[child].name.startswith(prefix)]
        add_aggregates(scope, KIND, task, children)
    scope.add_node(KIND, task, op.last_attempt(node))
    if node.outputs is None and node.phase in (SKIPPED, OMITTED):
        _, template = op.resolve(dag.graph.tasks[task], dag.lookup)
        scope.add_skipped(KIND, task, node, template, artifacts=False)


def _outputs(dag: Dag) -> Json | None:
    op = dag.op
    scope = Scope(dag.template)
    for task in dag.graph.tasks:
        node = dag.task_node(task)
        if node is not None:
            _add_task(dag, scope, task, node)
            op.export_outputs(node.outputs)
    return template_outputs(dag.template, scope)


def _set_outbound(dag: Dag, targets: list[str]) -> None:
    nodes = [dag.task_node(task) for task in targets]
    dag.node.outbound = [last for node in nodes if node is not None for last in dag.op.outbound(node.id)]
    dag.op.touch(dag.node)


def _phase(dag: Dag, targets: list[str]) -> str:
    """The phase of the DAG: that of its targets, where an omitted one inherits the phase of its branch."""
    if _something_runs(dag):
        return RUNNING
    nodes = dag.op.run.nodes
    target_ids = {dag.op.id_of(dag.name_of(task)) for task in targets}
    phases: dict[str, str] = {}
    queue = [(child, SUCCEEDED) for child in dag.node.children]
    seen = set(queue)
    while queue:
        current, branch = queue.pop(0)
        node = nodes.get(current)
        if node is None:
            return RUNNING
        if not node.fulfilled:
            group_phase = _group_phase(dag, node)
            if not group_phase:
                return RUNNING
            dag.op.mark(node, group_phase)
            branch = group_phase
        elif node.completed:
            branch = node.phase
        if current in target_ids and phases.get(current) not in UNSUCCESSFUL:
            phases[current] = branch
        for child in _continuations(dag, node):
            if (child, branch) not in seen:
                seen.add((child, branch))
                queue.append((child, branch))
    return _verdict(dag, targets, phases)


def _something_runs(dag: Dag) -> bool:
    """A quick answer for most passes: some task has been made and has not ended."""
    if dag.kept.agenda.asleep:
        return True
    for task in dag.kept.agenda.awake:
        node = dag.task_node(task)
        if node is not None and not node.fulfilled and node.type != "TaskGroup":
            return True
    return False


def _group_phase(dag: Dag, node: Node) -> str:
    """The phase that a TaskGroup left running should have, once all its children have ended."""
    if node.type != "TaskGroup" or not node.children:
        return ""
    known = dag.op.run.cache.get(("agenda", node.name))
    if known is not None and (known[1].fresh or known[1].asleep):
        return ""
    children = [dag.op.run.nodes.get(child) for child in node.children]
    if any(child is None or not child.fulfilled for child in children):
        return ""
    expanded = dag.op.run.cache.get(("task", node.name))
    if expanded and len(expanded[1]) > len([child for child in children if child and not child.flag("hooked")]):
        return ""
    failed = [child.phase for child in children if child is not None and child.unsuccessful]
    return failed[-1] if failed else SUCCEEDED


def _continuations(dag: Dag, node: Node) -> list[str]:
    if node.type != "Retry":
        return node.children
    found: list[str] = []
    for child in reversed(node.children):
        below = dag.op.run.nodes[child]
        found += [child] if below.flag("hooked") else below.children
    return found


def _verdict(dag: Dag, targets: list[str], phases: dict[str, str]) -> str:
    fail_fast = dag.template["dag"].get("failFast") is not False
    result = SUCCEEDED
    for task in targets:
        phase = phases.get(dag.op.id_of(dag.name_of(task)), "")
        if not phase:
            result = RUNNING
            if not fail_fast:
                break
        elif phase in UNSUCCESSFUL:
            continue_on = dag.graph.tasks[task].get("continueOn") or {}
            if continue_on.get("failed" if phase == FAILED else "error"):
                continue
            result = phase
            if fail_fast:
                break
    return result
