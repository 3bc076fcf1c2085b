"""Loops: what withItems, withParam and withSequence make of one step or task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.goformat import sprintf
from tiphys.engine.gotext import go_int, go_json, go_json_string, parse_json, parse_json_raw
from tiphys.engine.substitute import ALL, fill
from tiphys.engine.when import should_execute

Json = dict[str, Any]
MOST_ITEMS = 100_000
"""Of a withSequence; far more than the state of a workflow can hold on a cluster."""
_GO_KINDS = {dict: "object", str: "string", bool: "bool"}


def should_expand(step: Json) -> bool:
    """Whether the step is a loop."""
    return bool(step.get("withItems") or step.get("withParam") or step.get("withSequence") is not None)


def expand_step(step: Json, variables: Mapping[str, Any]) -> list[Json]:
    """One step for each item, named `name(index:item)`. Raises TemplateError."""
    items = _items(step)
    body = {key: value for key, value in step.items() if key not in ("withItems", "withParam", "withSequence")}
    return [_one(body, index, item, variables) for index, item in enumerate(items)]


def _items(step: Json) -> list[Any]:
    try:
        if step.get("withItems"):
            return list(step["withItems"])
        if step.get("withParam"):
            return _param_items(step["withParam"])
        return sequence(step["withSequence"])
    except TemplateError:
        if not _never_runs(step.get("when") or ""):
            raise
        return []


def _param_items(text: str) -> list[Any]:
    try:
        items = parse_json_raw(text)
        if items is None:
            return []
        if not isinstance(items, list):
            kind = _GO_KINDS.get(type(items), "number")
            msg = f"json: cannot unmarshal {kind} into Go value of type []v1alpha1.Item"
            raise ValueError(msg)  # noqa: TRY004, TRY301
    except ValueError as error:
        msg = f"withParam value could not be parsed as a JSON list: {text.strip()}: {error}"
        raise TemplateError(msg) from None
    return items


def _never_runs(when: str) -> bool:
    try:
        return not should_execute(when)
    except TemplateError:
        return False


def sequence(spec: Json) -> list[str]:
    """The texts of a withSequence."""
    start = _whole(spec.get("start") or "0")
    if spec.get("end") is not None:
        end = _whole(spec["end"])
    elif spec.get("count") is not None:
        count = _whole(spec["count"])
        if count == 0:
            return []
        end = start + count - 1
    else:
        msg = "neither end nor count was specified in withSequence"
        raise TemplateError(msg)
    if abs(end - start) >= MOST_ITEMS:
        msg = f"withSequence gives {abs(end - start) + 1:,} items: {MOST_ITEMS:,} at most, split the work or use steps that loop"
        raise TemplateError(msg)
    numbers = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    return [_formatted(spec.get("format") or "%d", number) for number in numbers]


def _whole(text: Any) -> int:
    try:
        return go_int(str(text))
    except ValueError as error:
        raise TemplateError(str(error)) from None


def _formatted(pattern: str, number: int) -> str:
    """The text that the format gives, which Argo reads as the inside of a JSON text."""
    try:
        return str(parse_json(f'"{sprintf(pattern, number)}"'))
    except ValueError as error:
        msg = f"withSequence.format {pattern[:40]!r} gives no text: {error}"
        raise TemplateError(msg) from None


def _one(body: Json, index: int, item: Any, variables: Mapping[str, Any]) -> Json:
    values: dict[str, Any] = {**variables, **_item_variables(item)}
    if _never_runs(body.get("when") or ""):
        values = {name: value for name, value in values.items() if value is not None}
        one = fill(body, values)
    else:
        one = fill(body, values, ALL)
    one["name"] = f"{body['name']}({index}:{_label(item)})"
    if "template" in body:
        one["template"] = body["template"]
    return dict(one)


def _item_variables(item: Any) -> dict[str, str]:
    if isinstance(item, str):
        return {"item": item}
    if isinstance(item, dict):
        fields = {f"item.{key}": _item_text(value) for key, value in item.items()}
        # An item's value as Argo holds it: JSON of texts, sorted by key.
        return {**fields, "item": go_json(item)}
    if isinstance(item, list):
        return {"item": go_json(item)}
    return {"item": _item_text(item)}


def _item_text(value: Any) -> str:
    """A value as Argo's Item prints itself: JSON, without the quotes of a text."""
    if isinstance(value, str):
        return _fixed(go_json_string(value)[1:-1])
    return _fixed(go_json(value))


def _fixed(text: str) -> str:
    return text.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")


def _label(item: Any) -> str:
    if item is None:
        # Go reads null as an empty list.
        label = "[]"
    elif isinstance(item, dict):
        label = ",".join(sorted(f"{key}:{_item_text(value)}" for key, value in item.items()))
    elif isinstance(item, list):
        label = "[" + " ".join(_item_text(value) for value in item) + "]"
    else:
        label = _item_text(item)
    return re.sub(r"[()]", "", label)
