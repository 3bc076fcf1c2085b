"""What a WorkflowEventBinding makes of an event, as Argo's server does: pure, nothing is submitted here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from tiphys.engine.errors import EngineError, ExpressionError
from tiphys.engine.events.store import Event
from tiphys.engine.expressions import evaluate, evaluate_bool
from tiphys.engine.expressions.values import type_of
from tiphys.engine.gotext import go_json, parse_json

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
KIND = "WorkflowEventBinding"
LABEL = "workflows.argoproj.io/workflow-event-binding"
EVENT = "tiphys/event"
"""The annotation with the event's id: a run that has it was started for that event."""
_TEMPLATE = {
    "WorkflowTemplate": "workflows.argoproj.io/workflow-template",
    "ClusterWorkflowTemplate": "workflows.argoproj.io/cluster-workflow-template",
}
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 10
_LONGEST_NAME = 63
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_HTML = (("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&"))


def environment(event: Event) -> Json:
    """What the expressions of a binding see. Raises EngineError."""
    try:
        payload = parse_json(event.payload)
    except ValueError as error:
        msg = f"failed to create workflow template expression environment: {error}"
        raise EngineError(msg) from None
    return {
        "namespace": event.namespace,
        "discriminator": event.discriminator,
        "metadata": event.metadata,
        "payload": payload,
    }


def is_wanted(binding: Json, seen: Mapping[str, Any]) -> bool:
    """Whether the binding's selector holds. Raises EngineError."""
    selector = (binding["spec"].get("event") or {}).get("selector") or ""
    try:
        return evaluate_bool(selector, dict(seen), {})
    except ExpressionError as error:
        msg = f"failed to evaluate workflow template expression: {error}"
        raise EngineError(msg) from None


def workflow_for(binding: Json, event: Event, seen: Mapping[str, Any], find: Find) -> Json:
    """The Workflow that the binding submits for an event. Raises EngineError.

    Nothing of the event reaches it but the values of parameters, name, labels and annotations for which the binding asks.
    """
    submit = binding["spec"]["submit"]
    reference = submit.get("workflowTemplateRef") or {}
    kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
    template = find(kind, reference.get("name") or "")
    if template is None:
        msg = f'failed to get workflow template: {kind} "{reference.get("name")}" not found: install it'
        raise EngineError(msg)
    spec: Json = {"workflowTemplateRef": dict(reference)}
    parameters = [_parameter(each, seen) for each in (submit.get("arguments") or {}).get("parameters") or []]
    if parameters:
        spec["arguments"] = {"parameters": parameters}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": _metadata(binding, event, seen, kind, template),
        "spec": spec,
    }


def _metadata(binding: Json, event: Event, seen: Mapping[str, Any], kind: str, template: Json) -> Json:
    wanted = binding["spec"]["submit"].get("metadata") or {}
    given = (template.get("spec") or {}).get("workflowMetadata") or {}
    name = str((template.get("metadata") or {}).get("name"))
    labels = {_TEMPLATE[kind]: name, **(given.get("labels") or {})}
    for key, text in (wanted.get("labels") or {}).items():
        labels[key] = _checked_label(key, _text(text, seen, f'label "{key}"'))
    annotations = dict(given.get("annotations") or {})
    for key, text in (wanted.get("annotations") or {}).items():
        annotations[key] = _text(text, seen, f'annotation "{key}"')
    prefix = _text(wanted["generateName"], seen, "generateName") if wanted.get("generateName") else f"{name}-"
    chosen = _text(wanted["name"], seen, "name") if wanted.get("name") else ""
    return {
        "name": chosen or prefix[: _LONGEST_NAME - _SUFFIX] + _suffix(event, binding),
        "generateName": prefix,
        "namespace": event.namespace,
        "labels": {**labels, LABEL: str(binding["metadata"]["name"])},
        "annotations": {**annotations, EVENT: event.id},
    }


def _suffix(event: Event, binding: Json) -> str:
    """Letters that are the same whenever the same binding is asked about the same event."""
    metadata = binding["metadata"]
    digest = hashlib.sha256(f"{event.id}/{metadata.get('uid')}/{metadata['name']}".encode()).digest()
    number = int.from_bytes(digest, "big")
    letters = []
    for _ in range(_SUFFIX):
        number, at = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[at])
    return "".join(letters)


def _parameter(entry: Json, seen: Mapping[str, Any]) -> Json:
    name = entry.get("name")
    if entry.get("valueFrom") is None:
        msg = f'malformed workflow template parameter "{name}": valueFrom is nil'
        raise EngineError(msg)
    try:
        written = go_json(evaluate(entry["valueFrom"].get("event") or "", dict(seen), {}))
    except ExpressionError as error:
        msg = f'failed to evaluate workflow template parameter "{name}" expression: {error}'
        raise EngineError(msg) from None
    except TypeError as error:
        msg = f'failed to convert result to JSON "{name}" expression: {error}'
        raise EngineError(msg) from None
    value = written[1:-1] if written.startswith('"') else written  # what JSON escapes in a text stays so, as on Argo
    for escape, char in _HTML:
        value = value.replace(escape, char)
    return {"name": name, "value": _without_tags(value, f'parameter "{name}"')}


def _text(expression: str, seen: Mapping[str, Any], what: str) -> str:
    try:
        result = evaluate(expression, dict(seen))
    except ExpressionError as error:
        msg = f"failed to evaluate workflow {what} expression: {error}"
        raise EngineError(msg) from None
    if not isinstance(result, str):
        msg = f"workflow {what} expression must evaluate to a string, not a {type_of(result)}"
        raise EngineError(msg)
    return _without_tags(result, what)


def _without_tags(text: str, what: str) -> str:
    """Refuse what the engine would fill in: an event must not write templates."""
    if "{{" in text:
        msg = f"{what}: the event gives a value with '{{{{' in it, which would be filled in as a tag: it starts nothing"
        raise EngineError(msg)
    return text


def _checked_label(key: str, value: str) -> str:
    if not _LABEL_VALUE.fullmatch(value):
        msg = f'invalid label value "{value[:80]}" for label "{key}": write a-z, 0-9, -, _ and ., 63 characters at most'
        raise EngineError(msg)
    return value
