"""What a loop gives as a whole: JSON lists of its children's results and parameters, in the order of the items."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.gotext import go_json, parse_json, parse_json_raw
from tiphys.engine.nodes import SUCCEEDED, Node
from tiphys.engine.scope import Scope


def loop_index(name: str) -> int:
    """The index in a loop child's name, `step(3:item)`."""
    label = name.rsplit("(", 1)[-1]
    return int(label.split(":", 1)[0])


def add_aggregates(scope: Scope, kind: str, name: str, children: list[Node]) -> None:
    """Set `kind`.`name`.outputs.* from the loop's children. Raises TemplateError for a result that is no JSON."""
    if not children:
        return
    plain = [node for node in children if not node.flag("hooked") and not node.flag("retried")]
    plain.sort(key=lambda node: loop_index(node.name))
    succeeded = [node for node in plain if node.phase == SUCCEEDED and node.outputs is not None]
    maps: list[dict[str, str]] = []
    lists: dict[str, list[str]] = {}
    results: list[str] = []
    for node in succeeded:
        _collect(node, maps, lists, results)
    scope.set(f"{kind}.{name}.outputs.result", "[" + ",".join(results) + "]")
    scope.set(f"{kind}.{name}.outputs.parameters", go_json(maps))
    for parameter, values in lists.items():
        scope.set(f"{kind}.{name}.outputs.parameters.{parameter}", _json_list(values))


def _collect(node: Node, maps: list[dict[str, str]], lists: dict[str, list[str]], results: list[str]) -> None:
    outputs = node.outputs or {}
    values = {entry["name"]: entry.get("value") or "" for entry in outputs.get("parameters") or []}
    if values:
        maps.append(values)
    for parameter, value in values.items():
        lists.setdefault(parameter, []).append(value)
    if outputs.get("result") is not None:
        results.append(_compact(outputs["result"]))


def _compact(text: str) -> str:
    try:
        return go_json(parse_json_raw(text))
    except ValueError as error:
        raise TemplateError(str(error)) from None


def _json_list(values: list[str]) -> str:
    try:
        parsed: list[Any] = [parse_json(value) for value in values]
    except ValueError:
        return go_json(values)
    structured = all(isinstance(value, (dict, list)) for value in parsed)
    return go_json(parsed if structured else values)
