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
        msg = f"jsonpath: path must start with '$': {path!r}"
        raise ExpressionError(msg)
    found, many, at = [document], False, 1
    while at < len(path):
        match = _TOKEN.match(path, at)
        if match is None:
            msg = f"jsonpath: unexpected token at {at} in {path!r}"
            raise ExpressionError(msg)
        found, many = _apply(found, match, many=many)
        at = match.end()
    return found if many else found[0]


def _apply(found: list[Any], match: re.Match[str], *, many: bool) -> tuple[list[Any], bool]:  # noqa: PLR0911
    kind, text = match.lastgroup or "", match.group(match.lastgroup or 0)
    if kind in ("name", "quoted") and text != "*":
        return _named(found, text.strip("'\"") if kind == "quoted" else text, many=many), many
    if kind == "index":
        return _indexed(found, int(text), many=many), many
    if kind == "deep":
        return [item for value in found for item in _deep(value, text)], True
    if kind == "slice":
        edges = [int(part) if part else None for part in text.split(":")]
        return [item for value in found for item in value[slice(*edges)]], True
    if kind == "filter":
        return [item for value in found for item in _elements(value) if _passes(item, text)], True
    if kind == "union":
        keys = [part.strip().strip("'\"") for part in text.split(",")]
        return [item for value in found for item in _union(value, keys)], True
    return [item for value in found for item in _elements(value)], True


def _named(found: list[Any], name: str, *, many: bool) -> list[Any]:
    values = [value[name] for value in found if isinstance(value, dict) and name in value]
    if not values and not many:
        msg = f"key: invalid token key '{name}' not found"
        raise ExpressionError(msg)
    return values


def _indexed(found: list[Any], index: int, *, many: bool) -> list[Any]:
    values = [value[index] for value in found if isinstance(value, list) and -len(value) <= index < len(value)]
    if not values and not many:
        msg = "index: invalid token out of range"
        raise ExpressionError(msg)
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


def _passes(item: Any, condition: str) -> bool:
    from tiphys.engine.expressions.evaluate import evaluate  # noqa: PLC0415

    plain = condition.replace("@", "current")
    try:
        result = evaluate(plain, {"current": item})
    except ExpressionError:
        return False
    return result if isinstance(result, bool) else result is not None
