"""The outputs of steps and dag templates, taken from what their steps gave."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.gotext import go_value
from tiphys.engine.scope import Scope
from tiphys.engine.substitute import ALL, fill

Json = dict[str, Any]


def template_outputs(template: Json, scope: Scope) -> Json | None:
    """The outputs that the template declares, or None if it declares none. Raises TemplateError."""
    declared = template.get("outputs") or {}
    if not declared.get("parameters") and not declared.get("artifacts"):
        return None
    outputs: Json = {}
    if declared.get("parameters"):
        outputs["parameters"] = [_parameter(entry, scope) for entry in declared["parameters"]]
    if declared.get("artifacts"):
        outputs["artifacts"] = [
            found for entry in declared["artifacts"] if (found := _artifact(entry, scope)) is not None
        ]
    return outputs


def _parameter(entry: Json, scope: Scope) -> Json:
    source = entry.get("valueFrom")
    if source is None:
        msg = "output parameters must have a valueFrom specified"
        raise TemplateError(msg)
    default = source.get("default")
    try:
        value, skipped = _value(source, scope)
    except TemplateError:
        if default is None:
            raise
        value, skipped = default, False
    if skipped and default is not None:
        value = default
    if value is None:
        msg = (
            f'output parameter "{entry["name"]}": "{source.get("parameter")}" is an absent optional '
            "(skipped/omitted node output with no default)"
        )
        raise TemplateError(msg)
    kept = {key: item for key, item in entry.items() if key != "valueFrom"}
    return {**kept, "value": value if isinstance(value, str) else go_value(value)}


def _value(source: Json, scope: Scope) -> tuple[Any, bool]:
    if source.get("expression"):
        value = scope.expression(source["expression"])
        if value is None:
            msg = f'failed to evaluate expression "{source["expression"]}"'
            raise TemplateError(msg)
        return value, False
    if not source.get("parameter"):
        return "", False
    name, value = scope.resolve(source["parameter"])
    return value, scope.is_skipped(name)


def _artifact(entry: Json, scope: Scope) -> Json | None:
    try:
        found = resolve_artifact(entry, scope)
    except TemplateError as problem:
        if "Unable to resolve" in str(problem) and entry.get("optional"):
            return None
        msg = f"unable to resolve outputs from scope: {problem}"
        raise TemplateError(msg) from None
    if found is None:
        return None
    # Only leaves export artifacts: a globalName on a steps or dag template does nothing on Argo either.
    return {**{key: value for key, value in found.items() if key != "globalName"}, "name": entry["name"]}


def resolve_artifact(entry: Json, scope: Scope) -> Json | None:
    """The artifact that `from` or `fromExpression` names, with its subPath; None if it names none."""
    if entry.get("fromExpression"):
        value = scope.expression(entry["fromExpression"])
    elif entry.get("from"):
        value = scope.resolve(entry["from"])[1]
    else:
        return None
    if not isinstance(value, dict):
        msg = f"Variable {{{{{entry.get('from') or entry.get('fromExpression')}}}}} is not an artifact"
        raise TemplateError(msg)
    found = {key: item for key, item in value.items() if key != "path"}
    if entry.get("subPath"):
        found = append_to_key(
            found, fill(entry["subPath"], scope.variables(), ALL), optional=bool(found.get("optional"))
        )
    return found


def append_to_key(artifact: Json, sub_path: str, *, optional: bool = False) -> Json:
    """The artifact below `sub_path` of one that is stored as a folder."""
    if "s3" in artifact:
        key = (artifact["s3"].get("key") or "").rstrip("/") + "/" + sub_path.lstrip("/")
        return {**artifact, "s3": {**artifact["s3"], "key": key}}
    if optional:
        return artifact
    msg = f"artifact {artifact.get('name')!r} has no key to which subPath {sub_path!r} could be added"
    raise TemplateError(msg)


def resolve_argument_artifacts(arguments: Json, scope: Scope, *, steps: bool) -> Json:
    """`arguments` with each artifact's `from` replaced by the artifact itself; optional ones may be missing."""
    if not arguments.get("artifacts"):
        return arguments
    resolved = []
    for entry in arguments["artifacts"]:
        if not entry.get("from") and not entry.get("fromExpression"):
            resolved.append(entry)
            continue
        try:
            found = resolve_artifact(entry, scope)
        except TemplateError as problem:
            if entry.get("optional") and (steps or "Unable to resolve" in str(problem)):
                continue
            if steps:
                msg = f"unable to resolve references: {problem}"
                raise TemplateError(msg) from None
            raise
        resolved.append(
            {**{key: value for key, value in (found or {}).items() if key != "globalName"}, "name": entry["name"]}
        )
    return {**arguments, "artifacts": resolved}
