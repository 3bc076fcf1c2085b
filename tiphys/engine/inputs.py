"""Gives a template its inputs: default, argument, ConfigMap; then fills in the whole template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.engine.config_maps import ConfigMaps, NotFoundError, parameter
from tiphys.engine.errors import TemplateError
from tiphys.engine.gotext import parameters_json
from tiphys.engine.scope import ABSENT
from tiphys.engine.substitute import ALL, fill

Json = dict[str, Any]
LOCATIONS = ("s3", "raw", "http", "git", "gcs", "azure", "oss", "hdfs", "artifactory", "plugin")


def process(
    template: Json, arguments: Json, globals_: Mapping[str, str], local: Mapping[str, str], config_maps: ConfigMaps
) -> Json:
    """A copy of `template` with its inputs set from `arguments` and its tags filled in. Raises TemplateError."""
    inputs = dict(template.get("inputs") or {})
    given = {entry["name"]: entry for entry in arguments.get("parameters") or []}
    if inputs.get("parameters"):
        inputs["parameters"] = [
            _parameter(entry, given.get(entry["name"]), globals_, config_maps) for entry in inputs["parameters"]
        ]
    supplied = {entry["name"]: entry for entry in arguments.get("artifacts") or []}
    if inputs.get("artifacts"):
        inputs["artifacts"] = [_artifact(entry, supplied.get(entry["name"])) for entry in inputs["artifacts"]]
    return substitute({**template, "inputs": inputs} if inputs else template, globals_, local)


def _parameter(entry: Json, argument: Json | None, globals_: Mapping[str, str], config_maps: ConfigMaps) -> Json:
    filled = dict(entry)
    if filled.get("value") is None and filled.get("default") is not None:
        filled["value"] = filled["default"]
    if argument is not None and argument.get("value") == ABSENT:
        if filled.get("value") is None and filled.get("valueFrom") is None:
            msg = (
                f"inputs.parameters.{entry['name']}: argument references an absent optional "
                "(skipped/omitted node output with no default)"
            )
            raise TemplateError(msg)
    elif argument is not None:
        _take_argument(filled, argument)
    reference = (filled.get("valueFrom") or {}).get("configMapKeyRef")
    if reference:
        filled["value"] = _config_map_value(filled, reference, globals_, config_maps)
    elif filled.get("value") is None:
        msg = f"inputs.parameters.{entry['name']} was not supplied"
        raise TemplateError(msg)
    return filled


def _take_argument(filled: Json, argument: Json) -> None:
    source = "value" if argument.get("value") is not None else "valueFrom"
    filled.pop("value", None)
    filled.pop("valueFrom", None)
    if argument.get(source) is not None:
        filled[source] = argument[source]


def _config_map_value(entry: Json, reference: Json, globals_: Mapping[str, str], config_maps: ConfigMaps) -> str:
    name, key = (fill(reference.get(part) or "", globals_, ALL) for part in ("name", "key"))
    default = entry["valueFrom"].get("default")
    try:
        return parameter(config_maps, name, key)
    except TemplateError as problem:
        if default is not None and isinstance(problem, NotFoundError):
            return str(default)
        msg = f"unable to retrieve inputs.parameters.{entry['name']} from ConfigMap: {problem}"
        raise TemplateError(msg) from None


def has_location(artifact: Json) -> bool:
    """Whether `artifact` says where its bytes are."""
    return any(artifact.get(kind) for kind in LOCATIONS)


def _artifact(entry: Json, argument: Json | None) -> Json:
    if not entry.get("optional") and not has_location(entry):
        if argument is None:
            msg = f"inputs.artifacts.{entry['name']} was not supplied"
            raise TemplateError(msg)
        if not has_location(argument):
            msg = f"inputs.artifacts.{entry['name']} missing location information"
            raise TemplateError(msg)
    if argument is None:
        return entry
    kept: Json = {key: entry[key] for key in ("path", "mode", "recurseMode") if key in entry}
    taken = {key: value for key, value in argument.items() if key not in ("path", "mode", "recurseMode")}
    return {**taken, **kept}


def substitute(template: Json, globals_: Mapping[str, str], local: Mapping[str, str]) -> Json:
    """`template` with globals and `local` filled in, then its own inputs and paths."""
    variables: dict[str, Any] = {**globals_, **local}
    first: Json = fill(template, variables)
    inputs, outputs = first.get("inputs") or {}, first.get("outputs") or {}
    for entry in inputs.get("parameters") or []:
        if entry.get("value") is not None:
            variables[f"inputs.parameters.{entry['name']}"] = entry["value"]
    variables["inputs.parameters"] = parameters_json(inputs.get("parameters") or [])
    for section, entries in (("inputs", inputs.get("artifacts")), ("outputs", outputs.get("artifacts"))):
        for artifact in entries or []:
            if artifact.get("path"):
                variables[f"{section}.artifacts.{artifact['name']}.path"] = artifact["path"]
    for entry in outputs.get("parameters") or []:
        if path := (entry.get("valueFrom") or {}).get("path"):
            variables[f"outputs.parameters.{entry['name']}.path"] = path
    second: Json = fill(first, variables)
    return second
