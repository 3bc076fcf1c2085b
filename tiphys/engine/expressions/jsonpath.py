"""JSONPath queries: `$.a.b[0]`, `[*]`, `..name`, slices, unions and `[?(@.x > 1)]` filters."""

from __future__ import annotations

import re
from typing import Any

from tiphys.engine.errors import ExpressionError

_TOKEN = re.compile(
    r"\.\.(?P<deep>[\w-]+|\*)|\.(?P<name>[\w-]+|\*)"
    r"|\[(?P<quoted>'[^']*'|\"[^\"]*\")\]|\[(?P<index>-?\d+)\]|\[(?P<all>\*)\]"
    r"|\[(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\]|\[\?\((?P<filter>.*?)\)\]|\[(?P<union>[^\]?]+,[^\]]+)\]"
)


def query(document: Any, path: str) -> Any:
    """The value at `path`; a list of values if the path can match many. Raises ExpressionError if nothing is there."""
    if not path.startswith("$"):
        raise ExpressionError(f"jsonpath: path must start with '$': {path!r}")
    found, many, at = [document], False, 1
    while at < len(path):
        match = _TOKEN.match(path, at)
        if match is None:
            raise ExpressionError(f"jsonpath: unexpected token at {at} in {path!r}")
        found, many = _apply(found, match, many, path)
        at = match.end()
    return found if many else found[0]


def _apply(found: list[Any], match: re.Match[str], many: bool, path: str) -> tuple[list[Any], bool]:
    kind, text = match.lastgroup or "", match.group(match.lastgroup or 0)
    if kind in ("name", "quoted") and text != "*":
        return _named(found, text.strip("'\"") if kind == "quoted" else text, many, path), many
    if kind == "index":
        return _indexed(found, int(text), many, path), many
    if kind == "deep":
        return [item for value in found for item in _deep(value, text)], True
    if kind == "slice":
        edges = [int(part) if part else None for part in text.split(":")]
        return [item for value in found for item in value[slice(*edges)]], True
    if kind == "filter":
        return [item for value in found for item in _elements(value) if _passes(item, text, path)], True
    if kind == "union":
        keys = [part.strip().strip("'\"") for part in text.split(",")]
        return [item for value in found for item in _union(value, keys)], True
    return [item for value in found for item in _elements(value)], True


def _named(found: list[Any], name: str, many: bool, path: str) -> list[Any]:
    values = [value[name] for value in found if isinstance(value, dict) and name in value]
    if not values and not many:
        raise ExpressionError(f"key: invalid token key '{name}' not found")
    return values


def _indexed(found: list[Any], index: int, many: bool, path: str) -> list[Any]:
    values = [value[index] for value in found if isinstance(value, list) and -len(value) <= index < len(value)]
    if not values and not many:
        raise ExpressionError(f"index: invalid token out of range")
    return values


def _elements(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return list(value) if isinstance(value, list) else []


def _deep(value: Any, name: str) -> list[Any]:
    found = []
    if name == "*":
        found.extend(_elements(value))
    elif isinstance(value, dict) and name in value:
        found.append(value[name])
    for element in _elements(value):
        found.extend(_deep(element, name))
    return found


def _union(value: Any, keys: list[str]) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in keys if key in value]
    return [value[int(key)] for key in keys if isinstance(value, list) and -len(value) <= int(key) < len(value)]


def _passes(item: Any, condition: str, path: str) -> bool:
    from tiphys.engine.expressions.evaluate import evaluate

    plain = condition.replace("@", "current")
    try:
        result = evaluate(plain, {"current": item})
    except ExpressionError:
        return False
    return result if isinstance(result, bool) else result is not None
