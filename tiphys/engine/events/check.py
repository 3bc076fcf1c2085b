"""What is wrong with a WorkflowEventBinding, before the first event comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tiphys.engine.errors import ExpressionError, ManifestError
from tiphys.engine.expressions import is_function, parse
from tiphys.engine.expressions.parser import BUILTIN_NAMES
from tiphys.engine.expressions.syntax import identifiers
from tiphys.engine.images import ImageTable
from tiphys.engine.merge import effective_spec
from tiphys.engine.validate import every_problem

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
SEEN = ("namespace", "discriminator", "metadata", "payload")
"""The variables of a binding's expressions."""


def binding_problems(binding: Json, find: Find, images: ImageTable) -> list[str]:
    """Every problem: shape, expressions, and whether the template can be started with what the binding gives it."""
    try:
        check_binding(binding.get("spec") or {})
    except ManifestError as problem:
        return [str(problem)]
    found = []
    for place, expression, functions in _expressions(binding["spec"]):
        try:
            _check_expression(expression, functions=functions)
        except ExpressionError as error:
            found.append(f"{place}: {error}")
    return found + list(_template_problems(binding["spec"].get("submit"), find, images))


def check_binding(spec: Any) -> None:
    """Refuse what has not the shape of a binding's spec. Raises ManifestError."""
    if not isinstance(spec, dict):
        msg = "WorkflowEventBinding.spec: a mapping is needed here"
        raise ManifestError(msg)
    event, submit = spec.get("event"), spec.get("submit")
    if not isinstance(event, dict) or not isinstance(event.get("selector"), str) or not event["selector"]:
        msg = 'WorkflowEventBinding.spec.event.selector: write an expression, such as discriminator == "data"'
        raise ManifestError(msg)
    if submit is None:
        return
    if not isinstance(submit, dict):
        msg = "WorkflowEventBinding.spec.submit: a mapping is needed here"
        raise ManifestError(msg)
    _check_submit(submit)
    _check_parameters((submit.get("arguments") or {}).get("parameters") or [])


def _check_submit(submit: Json) -> None:
    for field in ("workflowTemplateRef", "metadata", "arguments"):
        if not isinstance(submit.get(field) or {}, dict):
            msg = f"WorkflowEventBinding.spec.submit.{field}: a mapping is needed here"
            raise ManifestError(msg)
    if not isinstance((submit.get("workflowTemplateRef") or {}).get("name") or None, str):
        msg = "WorkflowEventBinding.spec.submit.workflowTemplateRef.name is required: name a WorkflowTemplate"
        raise ManifestError(msg)
    for field, value in (submit.get("metadata") or {}).items():
        texts = list(value.values()) if isinstance(value, dict) else [value]
        if isinstance(value, dict) != (field in ("labels", "annotations")) or not all(
            isinstance(text, str) for text in texts
        ):
            msg = f"WorkflowEventBinding.spec.submit.metadata.{field}: texts are needed here, which are expressions"
            raise ManifestError(msg)


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, list) or not all(isinstance(entry, dict) for entry in parameters):
        msg = "WorkflowEventBinding.spec.submit.arguments.parameters: a list of mappings is needed here"
        raise ManifestError(msg)
    for entry in parameters:
        source = entry.get("valueFrom")
        if (
            not isinstance(source, dict)
            or not isinstance(source.get("event"), str)
            or not isinstance(entry.get("name"), str)
        ):
            msg = (
                f'malformed workflow template parameter "{entry.get("name")}": valueFrom is nil: '
                "write valueFrom.event, such as payload.message"
            )
            raise ManifestError(msg)


def _expressions(spec: Json) -> Iterator[tuple[str, str, bool]]:
    """Each expression with its place, and whether Argo knows its own functions (sprig, toJson) there."""
    yield "spec.event.selector", spec["event"]["selector"], False
    submit = spec.get("submit") or {}
    for field, value in (submit.get("metadata") or {}).items():
        if isinstance(value, dict):
            yield from ((f"spec.submit.metadata.{field}.{key}", text, True) for key, text in value.items())
        else:
            yield f"spec.submit.metadata.{field}", value, True
    for entry in (submit.get("arguments") or {}).get("parameters") or []:
        yield f"spec.submit.arguments.parameters.{entry['name']}", entry["valueFrom"]["event"], False


def _check_expression(text: str, *, functions: bool) -> None:
    """Refuse what can't be parsed, and names that no event has. Raises ExpressionError."""
    for name in identifiers(parse(text)):
        first = name.split(".")[0]
        if first not in SEEN and first not in BUILTIN_NAMES and not (functions and is_function(name)):
            msg = f"unknown name {first}: an event has {', '.join(SEEN)}"
            raise ExpressionError(msg)


def _template_problems(submit: Json | None, find: Find, images: ImageTable) -> Iterator[str]:
    """What would end every event's run before it begins."""
    if submit is None:
        return
    given = [entry["name"] for entry in (submit.get("arguments") or {}).get("parameters") or []]
    reference = submit["workflowTemplateRef"]
    kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
    template = (find(kind, reference["name"]) or {}).get("spec") or {}
    declared = {entry.get("name"): entry for entry in (template.get("arguments") or {}).get("parameters") or []}
    values = [{"name": name, "value": _some_value(declared.get(name))} for name in given]
    try:
        spec = effective_spec(
            {"spec": {"workflowTemplateRef": dict(reference), "arguments": {"parameters": values}}}, find
        )
    except ManifestError as problem:
        yield str(problem)
        return
    yield from every_problem(spec, find, images, library=False)


def _some_value(parameter: Json | None) -> str:
    """A value that the parameter may have: an event's own is not known yet."""
    return str(((parameter or {}).get("enum") or ["value"])[0])
