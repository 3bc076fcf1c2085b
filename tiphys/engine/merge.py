"""Makes the spec that really runs: Workflow over WorkflowTemplate, templateDefaults, arguments from outside."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.load import value_text

Json = dict[str, Any]
TEMPLATE_TYPES = (
    "container",
    "script",
    "steps",
    "dag",
    "suspend",
    "containerSet",
    "resource",
    "data",
    "http",
    "plugin",
)
# Lists that Kubernetes merges by a key instead of replacing them.
_MERGE_KEYS = {
    "parameters": "name", "artifacts": "name", "templates": "name", "volumes": "name", "env": "name",
    "volumeMounts": "mountPath", "ports": "containerPort", "sidecars": "name", "initContainers": "name",
    "volumeClaimTemplates": "name", "imagePullSecrets": "name", "hostAliases": "ip", "containers": "name",
}  # fmt: skip
# Text fields that may be written as numbers or booleans.
_ANY_TEXTS = {"value", "default", "count", "start", "end", "limit", "factor", "duration", "maxDuration", "cap"}

FindTemplate = Callable[[str, str], Json | None]


def template_type(template: Json) -> str:
    """The type of a template: `container`, `dag`, ...; empty if none is given."""
    return next((name for name in TEMPLATE_TYPES if template.get(name) is not None), "")


def strategic_merge(base: Any, over: Any) -> Any:
    """`over` on top of `base` as Kubernetes' strategic merge does it; neither is changed."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, list) and isinstance(merged.get(key), list) and key in _MERGE_KEYS:
            merged[key] = _merge_lists(merged[key], value, _MERGE_KEYS[key])
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = strategic_merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _merge_lists(base: list[Any], over: list[Any], key: str) -> list[Any]:
    by_key = {item.get(key): item for item in base if isinstance(item, dict)}
    merged = [
        strategic_merge(by_key[item[key]], item) if item.get(key) in by_key else copy.deepcopy(item) for item in over
    ]
    given = {item.get(key) for item in over}
    return merged + [copy.deepcopy(item) for item in base if item.get(key) not in given]


def effective_spec(workflow: Json, find: FindTemplate) -> Json:
    """The spec to run: the Workflow's over that of the WorkflowTemplate it refers to. Raises ManifestError."""
    spec = copy.deepcopy(workflow.get("spec") or {})
    reference = spec.get("workflowTemplateRef")
    if not reference:
        plain: Json = texts(spec)
        return plain
    if spec.get("templates"):
        msg = "Templates is invalid field in spec if workflow referred WorkflowTemplate reference"
        raise ManifestError(msg)
    kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
    stored = find(kind, reference.get("name") or "")
    if stored is None:
        msg = f"{kind} {reference.get('name')!r} is not known: put it into the same file or apply it first"
        raise ManifestError(msg)
    base = copy.deepcopy(stored.get("spec") or {})
    arguments = _merge_arguments(base.get("arguments") or {}, spec.get("arguments") or {})
    hooks = {**(base.get("hooks") or {}), **(spec.get("hooks") or {})}
    merged: Json = strategic_merge(
        base, {key: value for key, value in spec.items() if key not in ("arguments", "hooks")}
    )
    merged["arguments"] = arguments
    if hooks:
        merged["hooks"] = hooks
    effective: Json = texts(merged)
    return effective


def _merge_arguments(base: Json, over: Json) -> Json:
    """Arguments by name, each one whole from the higher of the two."""
    merged: Json = {}
    for section in ("parameters", "artifacts"):
        entries = {entry["name"]: entry for entry in [*(over.get(section) or []), *(base.get(section) or [])]}
        entries.update({entry["name"]: entry for entry in over.get(section) or []})
        if entries:
            merged[section] = list(entries.values())
    return merged


def set_parameters(spec: Json, values: Mapping[str, str]) -> None:
    """Set the workflow's arguments in `spec`, adding those that it does not list."""
    arguments = spec.setdefault("arguments", {})
    parameters = arguments.setdefault("parameters", []) if values else arguments.get("parameters") or []
    known = {entry["name"]: entry for entry in parameters}
    for name, value in values.items():
        if name in known:
            known[name].pop("valueFrom", None)
            known[name]["value"] = value
        else:
            parameters.append({"name": name, "value": value})


def texts(tree: Any) -> Any:
    """`tree` with the values of parameters as texts, which is what Argo keeps."""
    if isinstance(tree, dict):
        return {key: _text_or_tree(key, value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [texts(item) for item in tree]
    return tree


def _text_or_tree(key: str, value: Any) -> Any:
    if key in _ANY_TEXTS and isinstance(value, (bool, int, float)):
        return value_text(value)
    if key == "enum" and isinstance(value, list):
        return [value_text(item) for item in value]
    if key == "withItems":
        return value
    return texts(value)


def with_defaults(template: Json, defaults: Json | None) -> Json:
    """`template` over templateDefaults, of which only the section of the template's own type counts."""
    if not defaults:
        return template
    own = template_type(template)
    applicable = {key: value for key, value in defaults.items() if key not in TEMPLATE_TYPES or key == own}
    merged: Json = strategic_merge(applicable, template)
    return merged
