"""Refuses a template that is wrong by itself: its type, times, mounts, inputs and outputs."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.gotext import go_int
from tiphys.engine.merge import TEMPLATE_TYPES, template_type
from tiphys.engine.retry import POLICIES
from tiphys.engine.validate_arguments import check_global_name, check_names
from tiphys.engine.validate_tasks import bad_name

Json = dict[str, Any]
_WITH_POD = ("container", "script", "containerSet")
_TYPE_NAMES = {
    "steps": "Steps", "dag": "DAG", "suspend": "Suspend", "container": "Container", "script": "Script",
    "containerSet": "ContainerSet",
}  # fmt: skip
_NO_LEAVES = ("steps", "dag", "suspend")
_TYPES = "choose one of: container, containerSet, steps, script, dag, suspend, http, data"
_SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")


def check_template_name(template: Json, index: int, names: set[str]) -> None:
    """Refuse a template's name that is none, or among `names`, to which it is added."""
    name, where = template.get("name") or "", f"spec.templates[{index}].name"
    if not name:
        msg = f"{where} is required"
        raise ManifestError(msg)
    if problem := bad_name(name):
        msg = f"{where}: '{name}' is invalid: {problem}"
        raise ManifestError(msg)
    if name in names:
        msg = f"{where} '{name}' is not unique"
        raise ManifestError(msg)
    names.add(name)


def check_template(template: Json, place: str) -> str:
    """The template's type. Raises ManifestError for what is wrong with it, whoever calls it."""
    kind = _type(template, place)
    if template.get("parallelism") is not None and kind not in ("steps", "dag"):
        msg = f"{place}.parallelism is only valid for steps and dag templates"
        raise ManifestError(msg)
    policy = (template.get("retryStrategy") or {}).get("retryPolicy")
    if policy and "{{" not in policy and policy not in POLICIES:
        msg = f"{place} {policy} is not a valid RetryPolicy (valid: {', '.join(POLICIES)})"
        raise ManifestError(msg)
    _times(template, kind, place)
    _inputs(template.get("inputs") or {}, kind, place)
    _mounts(template, kind, place)
    _outputs(template.get("outputs") or {}, kind, place)
    return kind


def _type(template: Json, place: str) -> str:
    kinds = [kind for kind in TEMPLATE_TYPES if template.get(kind) is not None]
    if not kinds:
        msg = f"{place}: template '{template.get('name')}' type is unknown, template type unspecified. {_TYPES}"
        raise ManifestError(msg)
    if len(kinds) > 1:
        msg = f"{place} multiple template types specified ({' and '.join(kinds)}). {_TYPES}"
        raise ManifestError(msg)
    return template_type(template)


def _times(template: Json, kind: str, place: str) -> None:
    for field in ("timeout", "pendingTimeout"):
        if template.get(field) and kind in _NO_LEAVES:
            msg = f"{place}.{field}: {_TYPE_NAMES[kind]} template doesn't support {field} field"
            raise ManifestError(msg)
    if _is_whole(str(template.get("timeout") or "")):
        msg = (
            f"{place}.timeout: {template.get('name')} has invalid duration format in timeout: give a unit, such as 30s"
        )
        raise ManifestError(msg)
    limit = template.get("activeDeadlineSeconds")
    if limit is None:
        return
    if kind in ("steps", "dag"):
        msg = f"{place}.activeDeadlineSeconds is only valid for leaf templates"
        raise ManifestError(msg)
    text = str(limit)
    if (not _is_whole(text) or text.startswith("-")) and not (text.startswith("{{") and text.endswith("}}")):
        msg = f"{place}.activeDeadlineSeconds must be a positive integer > 0 or an argo variable"
        raise ManifestError(msg)


def _is_whole(text: str) -> bool:
    try:
        go_int(text)
    except ValueError:
        return False
    return True


def _mounts(template: Json, kind: str, place: str) -> None:
    """Refuse two things at one path: two volumes, or a volume and an artifact of a container."""
    body = template.get(kind)
    mounted: dict[str, str] = {}
    for index, mount in enumerate((body.get("volumeMounts") if isinstance(body, dict) else None) or []):
        path = mount.get("mountPath")
        if path in mounted:
            where = f"{place}.{kind}.volumeMounts[{index}].mountPath"
            msg = f"{where} '{path}' already mounted in {mounted[path]}"
            raise ManifestError(msg)
        if path:
            mounted[path] = f"{kind}.volumeMounts.{mount.get('name')}"
    if kind != "container":
        mounted = {}
    for index, artifact in enumerate((template.get("inputs") or {}).get("artifacts") or []):
        path = artifact.get("path")
        if path in mounted:
            msg = f"{place}.inputs.artifacts[{index}].path '{path}' already mounted in {mounted[path]}"
            raise ManifestError(msg)
        if path:
            mounted[path] = f"inputs.artifacts.{artifact['name']}"


def check_volumes(template: Json, declared: set[str], place: str) -> None:
    """Refuse the mount of a volume that neither the template nor the workflow (`declared`) has."""
    known = declared | {str(volume.get("name")) for volume in template.get("volumes") or []}
    group = template.get("containerSet") or {}
    holders = [
        *((field, template[field]) for field in ("container", "script", "containerSet") if template.get(field)),
        *((f"containerSet.containers.{each['name']}", each) for each in group.get("containers") or []),
        *((f"{field}.{each['name']}", each) for field in ("sidecars", "initContainers") for each in template.get(field) or []),
    ]  # fmt: skip
    for name, holder in holders:
        for index, mount in enumerate(holder.get("volumeMounts") or []):
            if mount.get("name") not in known:
                where = f"{place}.{name}.volumeMounts[{index}].name"
                msg = f'{where}: Not found: "{mount.get("name")}": declare it under volumes (there: {", ".join(sorted(known)) or "none"})'
                raise ManifestError(msg)


def _inputs(inputs: Json, kind: str, place: str) -> None:
    for section in ("parameters", "artifacts"):
        check_names(inputs.get(section) or [], f"{place}.inputs.{section}")
    for artifact in inputs.get("artifacts") or []:
        where = f"{place}.inputs.artifacts.{artifact['name']}"
        _artifact_path(artifact, kind, where)
        if artifact.get("from"):
            msg = f"{where}.from not valid in inputs"
            raise ManifestError(msg)


def _artifact_path(artifact: Json, kind: str, where: str) -> None:
    if kind in _NO_LEAVES and artifact.get("path"):
        msg = f"{where}.path only valid in container/script templates"
        raise ManifestError(msg)
    if kind not in _NO_LEAVES and not artifact.get("path"):
        msg = f"error in {where}: Artifact '{artifact['name']}' did not specify a path"
        raise ManifestError(msg)


def _outputs(outputs: Json, kind: str, place: str) -> None:
    for section in ("parameters", "artifacts"):
        check_names(outputs.get(section) or [], f"{place}.outputs.{section}")
    for entry in outputs.get("artifacts") or []:
        where = f"{place}.outputs.artifacts.{entry['name']}"
        _artifact_path(entry, kind, where)
        check_global_name(entry, where)
        if kind in ("steps", "dag") and not entry.get("from") and not entry.get("fromExpression"):
            msg = f"{where}.from or {where}.fromExpression must be specified for {kind} templates"
            raise ManifestError(msg)
    for entry in outputs.get("parameters") or []:
        where = f"{place}.outputs.parameters.{entry['name']}"
        _output_parameter(entry, kind, where)
        check_global_name(entry, where)


def _output_parameter(entry: Json, kind: str, where: str) -> None:
    source, value = entry.get("valueFrom"), entry.get("value")
    if source is None:
        if value is None:
            msg = f"{where} does not have valueFrom or value specified"
            raise ManifestError(msg)
        return
    if value is not None:
        msg = f"{where} has both valueFrom and value specified, choose one"
        raise ManifestError(msg)
    given = [field for field in _SOURCES if source.get(field)]
    given += ["supplied"] if source.get("supplied") is not None else []
    if not given:
        msg = f"{where}: valueFrom type unspecified. choose one of: path, parameter, expression, supplied"
        raise ManifestError(msg)
    if len(given) > 1:
        msg = f"{where}: multiple valueFrom types specified ({' and '.join(given)}). choose one"
        raise ManifestError(msg)
    if kind in _WITH_POD and not source.get("path"):
        msg = f"{where}.path must be specified for {_TYPE_NAMES[kind]} templates"
        raise ManifestError(msg)
    if kind in ("steps", "dag") and not source.get("parameter") and not source.get("expression"):
        msg = f"{where}.parameter or expression must be specified for {_TYPE_NAMES[kind]} templates"
        raise ManifestError(msg)
