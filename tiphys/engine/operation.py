"""One pass of the core over a run: the nodes it makes and marks, the globals, the actions it asks for."""

from __future__ import annotations

import re
import time
from typing import Any

from tiphys.engine import config_maps
from tiphys.engine.actions import Action, KillPod
from tiphys.engine.errors import EngineError, TemplateError
from tiphys.engine.gotext import go_json, parameters_json
from tiphys.engine.merge import template_type, with_defaults
from tiphys.engine.nodes import ERROR, FULFILLED, PENDING, RUNNING, SUCCEEDED, Node, node_id
from tiphys.engine.run_state import RunState
from tiphys.engine.scope import rfc3339
from tiphys.engine.substitute import fill

Json = dict[str, Any]
LOCAL = ""
MAX_DEPTH = 100
MAX_NODES = 100_000
"""Nodes that a run may have: ten fan-outs of ten thousand, half a gigabyte in memory. On a cluster etcd bears far fewer."""
STRFTIME = "aAbBcdDeFfGhHIjkKlLmMnNpPrRsStTuUvVwWxXyYzZ"
_RUNTIME = ("workflow.status", "workflow.duration", "workflow.failures")
_SEPARATOR = re.compile(r"^(\[\d+\])?\.")


class Wait(Exception):  # noqa: N818  # a signal, no error
    """The node can't be made now: parallelism is reached; it will be looked at again."""


class TooDeepError(TemplateError):
    """Templates call one another more than a hundred levels deep."""


class TimedOutError(TemplateError):
    """A node waited to start for longer than its template's timeout or pendingTimeout."""


class TooManyNodesError(EngineError):
    """Templates that call one another have made more nodes than a run may have."""


class Operation:
    """A run, the time, and what this pass has found out."""

    def __init__(self, run: RunState, now: float) -> None:
        """`now` is in seconds since the epoch."""
        self.run = run
        self.now = now
        self.actions: list[Action] = []
        self.wake: float | None = None
        self.depth = 0
        self.on_exit = False
        """Whether what is executed now belongs to an exit handler."""
        self.ended = False
        """Whether a node has ended in this pass."""
        self.globals = self._globals()
        self.active: dict[tuple[str | None, bool], int] = {}

    # --- the workflow's variables

    @property
    def spec(self) -> Json:
        """The spec with the workflow's variables filled in, without its templates: they are filled when they run.

        As on Argo, how the workflow goes on (status, duration) is no variable here. Raises TemplateError.
        """
        known = self.run.cache.get("spec")
        if known is None or known[0] != self.run.version:
            settled = {name: value for name, value in self.globals.items() if name not in _RUNTIME}
            plain = {key: value for key, value in self.run.spec.items() if key != "templates"}
            known = self.run.cache["spec"] = (self.run.version, fill(plain, settled))
        filled: Json = known[1]
        return filled

    def _globals(self) -> dict[str, str]:
        run = self.run
        static = run.cache.get("globals")
        if static is None:
            static = run.cache["globals"] = static_globals(run)
        values = dict(static)
        for parameter in (run.outputs or {}).get("parameters") or []:
            if parameter.get("value") is not None:
                values[f"workflow.outputs.parameters.{parameter['name']}"] = parameter["value"]
        # As on Argo, what is made in the very first pass sees no status yet.
        values["workflow.status"] = run.phase if run.nodes else ""
        values["workflow.duration"] = f"{self.now - run.started if run.started else 0:.6f}"
        return values

    def export_outputs(self, outputs: Json | None) -> None:
        """Export what has a globalName to the workflow's outputs; the last writer wins."""
        for section, prefix in (("parameters", "workflow.outputs.parameters."), ("artifacts", "")):
            for entry in (outputs or {}).get(section) or []:
                if entry.get("globalName") and (section == "artifacts" or entry.get("value") is not None):
                    self._export(section, entry)
                    if prefix:
                        self.globals[prefix + entry["globalName"]] = entry["value"]

    def _export(self, section: str, entry: Json) -> None:
        exported = {key: value for key, value in entry.items() if key not in ("globalName", "path", "valueFrom")}
        exported["name"] = entry["globalName"]
        outputs = self.run.outputs = self.run.outputs or {}
        kept = outputs.setdefault(section, [])
        for index, known in enumerate(kept):
            if known["name"] == exported["name"]:
                if known != exported:
                    kept[index] = exported
                    self.run.version += 1
                return
        kept.append(exported)
        self.run.version += 1

    # --- templates

    def resolve(self, holder: Json, scope: str) -> tuple[str, Json]:
        """The template that a step, task or hook names, and the resource in which its own names are looked up."""
        if holder.get("inline") is not None:
            return scope, self._with_defaults({"name": "", **holder["inline"]}, None)
        reference = holder.get("templateRef")
        if reference:
            kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
            scope = f"{kind}/{reference.get('name')}"
        name = (reference or holder).get("template") or ""
        return scope, self._with_defaults(self.find(scope, name), (scope, name))

    def find(self, scope: str, name: str) -> Json:
        """A template by name. Raises TemplateError."""
        index = self.run.cache.get(("templates", scope))
        if index is None:
            spec = self.run.spec if scope == LOCAL else self.run.templates.get(scope)
            if spec is None:
                msg = f"template reference {scope.partition('/')[2]}.{name} not found"
                raise TemplateError(msg)
            index = {template["name"]: template for template in spec.get("templates") or []}
            self.run.cache[("templates", scope)] = index
        if name not in index:
            msg = f"template {name} not found in {scope or 'the workflow'}"
            raise TemplateError(msg)
        found: Json = index[name]
        return found

    def _with_defaults(self, template: Json, key: tuple[str, str] | None) -> Json:
        defaults = self.run.spec.get("templateDefaults")
        if not defaults:
            return template
        if key is None:
            return with_defaults(template, defaults)
        merged: Json | None = self.run.cache.get(("defaulted", *key))
        if merged is None:
            merged = self.run.cache[("defaulted", *key)] = with_defaults(template, defaults)
        return merged

    def retry_strategy(self, template: Json) -> Json | None:
        """The retryStrategy of a template, else that of the spec."""
        own = template.get("retryStrategy")
        return own if own is not None else self.spec.get("retryStrategy")

    # --- nodes

    def id_of(self, name: str) -> str:
        """The id of the node called `name`."""
        return node_id(self.run.name, name)

    def node(self, name: str) -> Node | None:
        """The node called `name`, if it has been made."""
        return self.run.nodes.get(node_id(self.run.name, name))

    def initialize(  # noqa: PLR0913, PLR0917
        self,
        name: str,
        kind: str,
        holder: Json,
        boundary: str,
        phase: str,
        message: str = "",
        flags: Json | None = None,
    ) -> Node:
        """Make a node; `holder` is the step, task or hook that names its template. Raises TooManyNodesError."""
        if len(self.run.nodes) >= MAX_NODES:
            msg = (
                f"a run may have {MAX_NODES:,} nodes and {name.rpartition('.')[2]!r} would be one more: "
                "make smaller loops, or end the recursion with a `when`"
            )
            raise TooManyNodesError(msg)
        above = self.run.nodes.get(boundary)
        shown = _SEPARATOR.sub("", name.removeprefix(above.name)) if above else name
        node = Node(
            id=self.id_of(name), name=name, display_name=shown, type=kind, phase=phase, boundary=boundary,
            template_name=holder.get("template") or "", template_ref=holder.get("templateRef"), message=message,
            started=self.now, finished=self.now if phase in FULFILLED else 0.0, flags=flags, on_exit=self.on_exit,
        )  # fmt: skip
        self.run.nodes[node.id] = node
        self.run.dirty.add(node.id)
        self.ended = self.ended or node.fulfilled
        self._count(node)
        return node

    def skipped(  # noqa: PLR0913, PLR0917
        self, name: str, holder: Json, boundary: str, phase: str, message: str, flags: Json | None = None
    ) -> Node:
        """A node that stands for something that never ran: Skipped, Omitted, or an Error before its start."""
        return self.initialize(name, "Skipped", holder, boundary, phase, message, {} if flags is None else flags)

    def executable(  # noqa: PLR0913, PLR0917
        self, name: str, kind: str, template: Json, holder: Json, boundary: str, phase: str, flags: Json | None
    ) -> Node:
        """A node with the inputs of its template."""
        node = self.initialize(name, kind, holder, boundary, phase, flags=flags)
        inputs = template.get("inputs") or {}
        if inputs.get("parameters") or inputs.get("artifacts"):
            node.inputs = inputs
        return node

    def mark(self, node: Node, phase: str, message: str | None = None) -> Node:
        """Set a node's phase, and its end when that is one."""
        if node.phase != phase or (message is not None and node.message != message):
            if phase in FULFILLED and not node.fulfilled:
                self.ended = True
            node.phase = phase
            self.active.clear()
            node.message = node.message if message is None else message
            self.touch(node)
        if node.ended and not node.finished:
            node.finished = self.now
            self.touch(node)
        return node

    def close(self, node: Node, phase: str, message: str | None = None) -> Node:
        """End a steps or dag node, and the daemons that ran for it."""
        if self.run.cache.get("daemons"):
            self.end_daemons(node.id)
        return self.mark(node, phase, message)

    def end_daemons(self, boundary: str) -> None:
        """Kill the daemons directly below `boundary`; they count as Succeeded at once."""
        for identity in list(self.run.cache.get("daemons", ())):
            node = self.run.nodes[identity]
            if node.boundary != boundary:
                continue
            self.run.cache["daemons"].discard(identity)
            if node.daemoned:
                node.daemoned = False
                self.mark(node, SUCCEEDED)
                self.run.deadlines.pop(identity, None)
                if identity in self.run.launched:
                    self.actions.append(KillPod(identity))

    def error(self, node: Node, problem: object) -> Node:
        """End a node in Error."""
        return self.mark(node, ERROR, str(problem))

    def _count(self, node: Node) -> None:
        """Add a new node to the counts that are known."""
        for boundary, pods_only in self.active:
            self.active[boundary, pods_only] += _is_active(node, boundary, pods_only)

    def touch(self, node: Node) -> None:
        """Note that the node changed, so that the journal keeps it."""
        self.run.dirty.add(node.id)

    def add_child(self, parent: Node, child_name: str) -> None:
        """Draw the edge from `parent` to the node called `child_name`."""
        child = self.id_of(child_name)
        known = self.run.cache.get(("children", parent.id))
        if known is None:
            known = self.run.cache[("children", parent.id)] = set(parent.children)
        if child not in known:
            known.add(child)
            parent.children.append(child)
            self.touch(parent)

    def outbound(self, node_id_: str) -> list[str]:
        """The last nodes of what `node_id_` stands for: whoever comes next hangs below them."""
        node = self.run.nodes[node_id_]
        if node.type in ("Skipped", "Suspend", "HTTP") or (node.type == "Pod" and not self._is_group(node)):
            return [node.id]
        if node.type in ("Pod", "Container"):
            return self._outbound_containers(node)
        if node.type == "Retry" and node.children:
            return [node.children[-1]]
        empty_group = node.type == "TaskGroup" and not node.children
        if empty_group or (node.type in ("Steps", "DAG") and (node.memoization or {}).get("hit")):
            return [node.id]
        below = node.children if node.type == "TaskGroup" else node.outbound
        return [last for child in below for last in self.outbound(child)]

    def _is_group(self, pod: Node) -> bool:
        """Whether a pod's node has the nodes of a containerSet below it."""
        below = (self.run.nodes.get(child) for child in pod.children)  # an edge may lead to a task that still waits
        return any(child is not None and child.type == "Container" for child in below)

    def _outbound_containers(self, node: Node) -> list[str]:
        """The last containers of a containerSet; what already hangs below one of them is no part of it."""
        if not node.children:
            return [node.id]
        found: list[str] = []
        for child in node.children:
            leaves = node.type == "Container" and self.run.nodes[child].boundary != node.boundary
            found += [node.id] if leaves else self.outbound(child)
        return found

    def retry_children(self, node: Node) -> list[Node]:
        """The attempts of a Retry node, in order."""
        return [self.run.nodes[child] for child in node.children if self.run.nodes[child].flag("retried")]

    def last_attempt(self, node: Node) -> Node:
        """The node whose outputs count: the last attempt of a Retry node, else the node itself."""
        if node.type == "Retry" and not (node.memoization or {}).get("hit"):
            for child in reversed(node.children):
                if not self.run.nodes[child].flag("hooked"):
                    return self.run.nodes[child]
        return node

    def wake_at(self, moment: float) -> None:
        """Ask to be called again at `moment` at the latest."""
        self.wake = moment if self.wake is None else min(self.wake, moment)

    # --- parallelism

    def active_below(self, boundary: str | None, *, pods_only: bool) -> int:
        """How many nodes are pending or running: all pods of the run, or what lies directly below a boundary."""
        key = boundary, pods_only
        if key not in self.active:
            self.active[key] = sum(1 for node in self.run.nodes.values() if _is_active(node, boundary, pods_only))
        return self.active[key]

    def check_parallelism(self, template: Json, node: Node | None, boundary: str) -> None:
        """Raise Wait when one more node would be too many."""
        limit = self.run.spec.get("parallelism")
        if limit is not None and self.active_below(None, pods_only=True) >= limit:
            raise Wait
        if node is not None and template_type(template) in ("steps", "dag"):
            self._check_fail_fast(template, node)
            if template.get("parallelism") and self.active_below(node.id, pods_only=True) >= template["parallelism"]:
                raise Wait
        if boundary and (node is None or node.phase not in (PENDING, RUNNING)):
            above = self.run.nodes[boundary]
            owner: Json = self.run.cache.get(("boundary", boundary)) or {}
            self._check_fail_fast(owner, above)
            if owner.get("parallelism") and self.active_below(boundary, pods_only=False) >= owner["parallelism"]:
                raise Wait

    def _check_fail_fast(self, template: Json, node: Node) -> None:
        if not template.get("failFast"):
            return
        below = [other for other in self.run.nodes.values() if other.boundary == node.id]
        if not any(other.unsuccessful for other in below):
            return
        if self.active_below(node.id, pods_only=True) == 0:
            message = "template has failed or errored children and failFast enabled"
            groups = [other for other in below if other.type == "StepGroup" and not other.fulfilled]
            for group in groups[-1:]:
                self.mark(group, "Failed", message)
            self.mark(node, "Failed", message)
        raise Wait


def _is_active(node: Node, boundary: str | None, pods_only: bool) -> bool:  # noqa: FBT001
    if node.phase not in (PENDING, RUNNING) or node.lock_waiting:
        return False
    if boundary is None:
        return node.type == "Pod"
    if node.boundary != boundary:
        return False
    return node.type == "Pod" if pods_only else node.type in ("Pod", "Steps", "DAG")


def static_globals(run: RunState) -> dict[str, str]:
    """The `workflow.*` variables that never change during a run."""
    spec = run.spec
    moment = time.gmtime(run.created)
    values = {
        "workflow.name": run.name,
        "workflow.namespace": run.namespace,
        "workflow.mainEntrypoint": spec.get("entrypoint") or "",
        "workflow.serviceAccountName": spec.get("serviceAccountName") or "default",
        "workflow.uid": run.uid,
        "workflow.creationTimestamp": rfc3339(run.created),
        "workflow.creationTimestamp.s": str(int(run.created)),
        "workflow.creationTimestamp.RFC3339": rfc3339(run.created),
    }
    values.update(
        {f"workflow.creationTimestamp.{char}": time.strftime(f"%{char}", moment) for char in STRFTIME if char != "s"}
    )
    if spec.get("priority") is not None:
        values["workflow.priority"] = str(spec["priority"])
    if scheduled := run.annotations.get("workflows.argoproj.io/scheduled-time"):
        values["workflow.scheduledTime"] = scheduled
    parameters = (spec.get("arguments") or {}).get("parameters") or []
    values["workflow.parameters"] = values["workflow.parameters.json"] = parameters_json(parameters)
    for parameter in parameters:
        values[f"workflow.parameters.{parameter['name']}"] = _argument(parameter, run.config_maps)
    metadata = spec.get("workflowMetadata") or {}
    for section, own in (("labels", run.labels), ("annotations", run.annotations)):
        values[f"workflow.{section}"] = values[f"workflow.{section}.json"] = go_json(own)
        for key, value in {**(metadata.get(section) or {}), **own}.items():
            values[f"workflow.{section}.{key}"] = value
    return values


def _argument(parameter: Json, known: config_maps.ConfigMaps) -> str:
    if parameter.get("value") is not None:
        return str(parameter["value"])
    source = parameter.get("valueFrom") or {}
    reference = source.get("configMapKeyRef")
    default = source.get("default") if source.get("default") is not None else parameter.get("default")
    if not reference and default is None:
        msg = f"failed to set global parameter {parameter['name']}: it has no value: give it with -p"
        raise TemplateError(msg)
    name, key = ((reference or {}).get(field) or "" for field in ("name", "key"))
    try:
        return config_maps.parameter(known, name, key)
    except TemplateError as problem:
        if default is not None:
            return str(default)
        msg = f"failed to set global parameter {parameter['name']} from configmap with name {name} and key {key}: {problem}"
        raise TemplateError(msg) from None
