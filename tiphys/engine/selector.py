"""Chooses nodes by their fields, as `--node-field-selector displayName=approve,phase!=Failed` does on Argo."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiphys.engine.errors import EngineError
from tiphys.engine.nodes import Node

_FIELDS = ("displayName", "templateName", "phase", "name", "id", "templateRef.name", "templateRef.template")
_INPUT = re.compile(r"inputs\.parameters\..+\.value")
_CLAUSE = re.compile(r"(?P<field>[^=!]+?)\s*(?P<operator>!=|==|=)\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Clause:
    """One comparison of a selector."""

    field: str
    value: str
    equal: bool


def parse_selector(text: str) -> list[Clause]:
    """The clauses of `FIELD=VALUE,FIELD!=VALUE`; a backslash keeps a comma in a value. Raises EngineError."""
    clauses = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        match = _CLAUSE.fullmatch(part.strip())
        if match is None or not (match["field"] in _FIELDS or _INPUT.fullmatch(match["field"])):
            known = ", ".join(_FIELDS)
            msg = (
                f"node field selector {part!r}: write FIELD=VALUE with a field of {known}, inputs.parameters.NAME.value"
            )
            raise EngineError(msg)
        clauses.append(Clause(match["field"], match["value"].replace("\\,", ","), match["operator"] != "!="))
    return clauses


def matches(node: Node, clauses: list[Clause]) -> bool:
    """Whether every clause holds for `node`; a field that it lacks is the empty text."""
    fields = node_fields(node)
    return all((fields.get(clause.field, "") == clause.value) == clause.equal for clause in clauses)


def node_fields(node: Node) -> dict[str, str]:
    """The fields of a node that a selector may name."""
    reference = node.template_ref or {}
    fields = {
        "displayName": node.display_name,
        "templateName": reference.get("template") or node.template_name,
        "phase": node.phase,
        "name": node.name,
        "id": node.id,
    }
    fields.update({f"templateRef.{key}": str(reference[key]) for key in ("name", "template") if key in reference})
    for entry in (node.inputs or {}).get("parameters") or []:
        fields[f"inputs.parameters.{entry['name']}.value"] = str(entry.get("value") or "")
    return fields
