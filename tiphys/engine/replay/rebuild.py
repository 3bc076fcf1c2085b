"""Makes a capsule of a step from the run that it was in: from the journal, or from a Workflow that a cluster has given.

What such a run does not tell is said in the capsule's notes: Secrets and ConfigMaps are those of this machine.
"""

from __future__ import annotations

import re
from typing import Any

from tiphys.engine import retry
from tiphys.engine.actions import StartPod
from tiphys.engine.argo_read import run_of
from tiphys.engine.errors import EngineError, TemplateError
from tiphys.engine.execute import pod_template
from tiphys.engine.field_refs import fill_field_refs, has_field_refs
from tiphys.engine.inputs import has_location, substitute
from tiphys.engine.merge import template_type
from tiphys.engine.nodes import Node, node_id, pod_name
from tiphys.engine.objects import ObjectStore
from tiphys.engine.operation import Operation
from tiphys.engine.replay.capsule import KINDS, Capsule, CapsuleError
from tiphys.engine.replay.references import environment, references
from tiphys.engine.run_state import RunState

Json = dict[str, Any]
_ATTEMPT = re.compile(r"(.*)\((\d+)\)", re.DOTALL)
_REPLAYED = ("Pod", "HTTP", "Retry")


def run_of_workflow(workflow: Json, objects: ObjectStore) -> RunState:
    """The run that a Workflow with its status tells, and the templates that it refers to. Raises CapsuleError."""
    status = workflow.get("status")
    if workflow.get("kind", "Workflow") != "Workflow" or not isinstance(status, dict) or not status.get("nodes"):
        msg = "this is no Workflow that has run: export one with `argo get NAME -o json`, or `tiphys get NAME -o json`"
        raise CapsuleError(msg)
    try:
        run = run_of(workflow)
        stored = _stored(status.get("storedTemplates") or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"the Workflow has no status of Argo's shape ({type(error).__name__}: {error}): export it anew"
        raise CapsuleError(msg) from None
    for node in run.nodes.values():
        reference = node.template_ref or {}
        kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
        name = reference.get("name") or ""
        if name and f"{kind}/{name}" not in stored and (found := objects.get(kind, name)):
            stored[f"{kind}/{name}"] = found.get("spec") or {}
    run.templates = stored
    return run


def _stored(templates: Json) -> dict[str, Json]:
    """The templates that a cluster kept with the run, by kind and name of their resource."""
    found: dict[str, Json] = {}
    for key, template in templates.items():
        scope, _, rest = key.partition("/")
        resource, _, name = rest.partition("/")
        kind = {"namespaced": "WorkflowTemplate", "cluster": "ClusterWorkflowTemplate"}.get(scope)
        if kind and name:
            found.setdefault(f"{kind}/{resource}", {"templates": []})["templates"].append({**template, "name": name})
    return found


def rebuilt(run: RunState, node: Node, objects: ObjectStore, origin: str) -> Capsule:
    """The capsule of a node of `run`; `origin` says where the run was read. Raises CapsuleError."""
    node = _last_attempt(run, node)
    if node.type not in _REPLAYED:
        msg = f"{node.display_name} is a node of the type {node.type}: it starts no program (give a step that does)"
        raise CapsuleError(msg)
    try:
        start = start_of(run, node)
    except TemplateError as problem:
        msg = f"the step {node.display_name} can't be made again from {origin}: {problem}"
        raise CapsuleError(msg) from None
    named = references(start.template)
    outside = [f"ConfigMap {name}" for name in named.config_maps] + [f"Secret {name}" for name in named.secrets]
    notes = [f"made from {origin}: what stood in its environment then is not known"]
    if outside:
        notes.append(f"taken from this machine, because a run does not hold them: {', '.join(outside)}")
    outputs = node.outputs or {}
    return Capsule(
        run=run.name, node=node.id, node_name=node.name, pod=start.pod_name, start=max(node.attempts, 1),
        template=start.template, origin=start.origin, variables=dict(start.variables or {}),
        environment=environment(start.template, objects),
        config_maps={name: objects.data("ConfigMap", name) or {} for name in named.config_maps},
        secrets=list(named.secrets),
        inputs=[{"name": each.get("name"), "path": each.get("path")} for each in _artifacts(start.template)],
        end={
            "phase": node.phase, "message": node.message,
            **({"exitCode": outputs["exitCode"]} if outputs.get("exitCode") else {}),
        },
        notes=notes,
    )  # fmt: skip


def _artifacts(template: Json) -> list[Json]:
    return (template.get("inputs") or {}).get("artifacts") or []


def _last_attempt(run: RunState, node: Node) -> Node:
    """The attempt that counts, where a step was retried."""
    attempts = [run.nodes[child] for child in node.children if child in run.nodes and run.nodes[child].flag("retried")]
    return attempts[-1] if node.type == "Retry" and attempts else node


def start_of(run: RunState, node: Node) -> StartPod:
    """What the engine would be told to start for a node, from its inputs as the run has them. Raises TemplateError."""
    op = Operation(run, node.finished or run.finished)
    attempt = _ATTEMPT.fullmatch(node.name) if node.flag("retried") else None
    name = attempt[1] if attempt else node.name
    whole = run.nodes.get(node_id(run.name, name)) or node
    template = _template(op, run, whole)
    pod = pod_name(run.name, node.name, template.get("name") or "")
    local = {"node.name": name, "pod.name": pod, "steps.name": whole.display_name, "tasks.name": whole.display_name}
    if attempt:
        before = run.nodes.get(node_id(run.name, f"{name}({int(attempt[2]) - 1})"))
        local |= retry.attempt_variables(int(attempt[2]), before)
    inputs = _inputs(template, whole, node)
    filled = substitute({**template, "inputs": inputs} if inputs else template, op.globals, local)
    filled = pod_template(op, filled, pod)
    if has_field_refs(filled):
        filled = fill_field_refs(filled, run, op.spec, node, pod)
    return StartPod(
        node.id, node.name, filled, pod, keep_result=True, origin=template, variables={**op.globals, **local}
    )


def _template(op: Operation, run: RunState, node: Node) -> Json:
    """The template of a node with the defaults of the run. Raises TemplateError."""
    if not node.template_name and not node.template_ref:
        msg = "its template stands inline in the step, and a run's status does not keep such templates"
        raise TemplateError(msg)
    scope, around, seen = "", node, set[str]()
    while not scope and around.boundary in run.nodes and around.id not in seen:
        seen.add(around.id)
        around = run.nodes[around.boundary]
        reference = around.template_ref
        if reference:
            kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
            scope = f"{kind}/{reference.get('name')}"
    template = op.resolve({"template": node.template_name, "templateRef": node.template_ref}, scope)[1]
    if template_type(template) not in KINDS:
        msg = f"a template of the type {template_type(template)} starts no program"
        raise TemplateError(msg)
    return template


def _inputs(template: Json, *nodes: Node) -> Json:
    """The template's inputs with the values that the run has recorded for its node. Raises TemplateError."""
    inputs = dict(template.get("inputs") or {})
    recorded: Json = next((node.inputs for node in nodes if node.inputs), {})
    values = {each["name"]: each for each in recorded.get("parameters") or []}
    if inputs.get("parameters"):
        inputs["parameters"] = [_with_value(each, values.get(each["name"], {})) for each in inputs["parameters"]]
    places = {each["name"]: each for each in recorded.get("artifacts") or []}
    if inputs.get("artifacts"):
        inputs["artifacts"] = [
            each if each.get("raw") is not None or not has_location(places.get(each["name"], {})) else
            {**places[each["name"]], **{key: each[key] for key in ("path", "mode", "recurseMode", "optional") if key in each}}
            for each in inputs["artifacts"]
        ]  # fmt: skip
    return inputs


def _with_value(entry: Json, recorded: Json) -> Json:
    value = recorded.get("value", entry.get("value", entry.get("default")))
    if value is None:
        msg = f"the run does not tell the value of its input {entry['name']!r}: export it with the inputs of its nodes"
        raise TemplateError(msg)
    return {**{key: each for key, each in entry.items() if key != "valueFrom"}, "value": str(value)}


def node_of(run: RunState, wanted: str) -> Node:
    """The step that a person means: by id, name or display name. Raises EngineError that names those that there are."""
    found = [node for node in run.nodes.values() if wanted in (node.id, node.name, node.display_name)]
    found = found or [node for node in run.nodes.values() if node.name.endswith(f".{wanted}")]
    if not found:
        names = ", ".join(node.display_name for node in run.nodes.values() if node.type in _REPLAYED)
        msg = f"run {run.name!r} has no step {wanted!r} (steps: {names or 'none ran'})"
        raise EngineError(msg)
    if len(found) > 1:
        failed = [node for node in found if node.unsuccessful]
        if len(failed) != 1:
            names = ", ".join(node.name for node in found)
            msg = f"run {run.name!r} has {len(found)} steps {wanted!r}: give one's whole name ({names})"
            raise EngineError(msg)
        return failed[0]
    return found[0]


__all__ = ["node_of", "rebuilt", "run_of_workflow", "start_of"]
