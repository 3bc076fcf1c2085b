"""Refuses arguments that nobody can take: parameters without a value, artifacts without a place, names that are none."""

from __future__ import annotations

import re
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.inputs import has_location

Json = dict[str, Any]
_NAME = re.compile(r"[-a-zA-Z0-9_]+")
_BAD_NAME = "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"
_NO_SOURCES = ("path", "jsonPath", "parameter", "expression")


def check_names(entries: list[Json], place: str) -> None:
    """Refuse names of parameters or artifacts that are missing, invalid or given twice."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        name = entry.get("name") or ""
        if not name:
            msg = f"{place}[{index}].name is required"
            raise ManifestError(msg)
        if not _NAME.fullmatch(name):
            msg = f"{place}[{index}].name: '{name}' is invalid: {_BAD_NAME}"
            raise ManifestError(msg)
        if name in seen:
            msg = f"{place}[{index}].name '{name}' is not unique"
            raise ManifestError(msg)
        seen.add(name)


def check_global_name(entry: Json, where: str) -> None:
    """Refuse an output's globalName that is no name; one with a tag is known later."""
    name = entry.get("globalName")
    if name and "{{" not in name and not _NAME.fullmatch(name):
        msg = f"{where}.globalName: {_BAD_NAME}"
        raise ManifestError(msg)


def check_arguments(arguments: Json, prefix: str, *, optional: bool = False, remedy: str = "") -> None:
    """Refuse arguments without value or place; `optional` values may come later, `{name}` in `remedy` is the parameter's."""
    for section in ("parameters", "artifacts"):
        check_names(arguments.get(section) or [], f"{prefix}.{section}")
    for parameter in arguments.get("parameters") or []:
        where = f"{prefix}.{parameter['name']}"
        if parameter.get("value") is None and parameter.get("valueFrom") is None:
            if optional:
                continue
            msg = f"{where}.value or {where}.valueFrom is required{remedy.format(name=parameter['name'])}"
            raise ManifestError(msg)
        _value_from(parameter, where)
        _enum(parameter, where, optional=optional)
    for artifact in arguments.get("artifacts") or []:
        _artifact(artifact, f"{prefix}.{artifact['name']}")


def _value_from(parameter: Json, where: str) -> None:
    source = parameter.get("valueFrom")
    if source is None:
        return
    known = source.get("configMapKeyRef") is not None or source.get("supplied") is not None
    if not known or any(source.get(field) for field in _NO_SOURCES):
        msg = f"{where}.valueFrom only allows: default, configMapKeyRef and supplied"
        raise ManifestError(msg)


def _enum(parameter: Json, where: str, *, optional: bool) -> None:
    if parameter.get("enum") is None:
        return
    if not parameter["enum"]:
        msg = f"{where}.enum should contain at least one value"
        raise ManifestError(msg)
    value = parameter.get("value")
    if value is None and not optional:
        msg = f"{where}.value is required"
        raise ManifestError(msg)
    if value is not None and value not in parameter["enum"]:
        msg = f"{where}.value should be present in {where}.enum list"
        raise ManifestError(msg)


def _artifact(artifact: Json, where: str) -> None:
    placed = (
        (artifact.get("s3") or {}).get("key")
        or (artifact.get("http") or {}).get("url")
        or artifact.get("raw") is not None
    )
    if artifact.get("from") and artifact.get("fromExpression"):
        msg = f"{where} shouldn't have both `from` and `fromExpression` in Artifact"
        raise ManifestError(msg)
    if not artifact.get("from") and not placed:
        msg = f"{where}.from, artifact location, or key is required"
        raise ManifestError(msg)


def check_supplied(called: Json, arguments: Json, path: str) -> None:
    """Refuse a call that leaves an input of the called template without value or place."""
    inputs = called.get("inputs") or {}
    given = {entry["name"] for entry in arguments.get("parameters") or []}
    for parameter in inputs.get("parameters") or []:
        has_own = any(parameter.get(field) is not None for field in ("value", "default", "valueFrom"))
        if parameter["name"] not in given and not has_own:
            msg = f"{path} inputs.parameters.{parameter['name']} was not supplied"
            raise ManifestError(msg)
    artifacts = {entry["name"] for entry in arguments.get("artifacts") or []}
    for artifact in inputs.get("artifacts") or []:
        if artifact["name"] not in artifacts and not artifact.get("optional") and not has_location(artifact):
            msg = f"{path} inputs.artifacts.{artifact['name']} was not supplied"
            raise ManifestError(msg)
