"""The functions that every expression may call: those of expr-lang, and Argo's asInt, asFloat, jsonpath, toJson."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.jsonpath import query
from tiphys.engine.gotext import AnyKeys, go_json, go_value, parse_json

Function = Callable[..., Any]


def to_int(value: Any) -> int:
    """`int(value)`: texts must be whole decimal numbers, floats are cut."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        msg = f"invalid argument for int (type {type_name(value)})"
        raise ExpressionError(msg)
    try:
        return int(value, 10) if isinstance(value, str) else int(value)
    except ValueError:
        msg = f"invalid operation: int({value})"
        raise ExpressionError(msg) from None


def to_float(value: Any) -> float:
    """`float(value)`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        msg = f"invalid argument for float (type {type_name(value)})"
        raise ExpressionError(msg)
    try:
        return float(value)
    except ValueError:
        msg = f"invalid operation: float({value})"
        raise ExpressionError(msg) from None


def type_name(value: Any) -> str:
    """Expr's name of a value's type."""
    if value is None:
        return "nil"
    for kind, name in ((bool, "bool"), (str, "string"), (int, "int"), (float, "float"), (dict, "map"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "func" if callable(value) else "unknown"


def _from_json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ExpressionError(str(error)) from None


def _to_json_indented(value: Any) -> str:
    return json.dumps(json.loads(go_json(value)), indent=2, ensure_ascii=False)


def _jsonpath(document: str, path: str) -> Any:
    return query(parse_json(document), path)


def _round(value: float) -> float:
    return float(math.floor(abs(value) + 0.5)) * (1 if value >= 0 else -1)


def _flat_numbers(arguments: tuple[Any, ...]) -> list[Any]:
    flat: list[Any] = []
    for argument in arguments:
        flat.extend(_flat_numbers(tuple(argument)) if isinstance(argument, list) else [argument])
    return flat


def _extreme(pick: Callable[[list[Any]], Any]) -> Function:
    return lambda *arguments: pick(_flat_numbers(arguments))


def _mean(*arguments: Any) -> Any:
    numbers = _flat_numbers(arguments)
    return sum(numbers) / len(numbers) if numbers else 0


def _median(*arguments: Any) -> Any:
    numbers = sorted(_flat_numbers(arguments))
    if not numbers:
        return 0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _flatten(values: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        flat.extend(_flatten(value) if isinstance(value, list) else [value])
    return flat


def _unique(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _compare(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _sort(values: list[Any], order: str = "asc") -> list[Any]:
    return sorted(values, key=cmp_to_key(_compare), reverse=order == "desc")


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if separator == "":
        return list(text)
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _length(value: Any) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    msg = f"invalid argument for len (type {type_name(value)})"
    raise ExpressionError(msg)


def _index_of(text: str, part: str) -> int:
    return int(text.find(part))


def _get(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and -len(value) <= int(key) < len(value):
        return value[int(key)]
    return None


def _keys(value: dict[str, Any]) -> list[str]:
    return sorted(value)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


BUILTINS: dict[str, Function] = {
    "asInt": to_int,
    "asFloat": to_float,
    "jsonpath": _jsonpath,
    "toJson": go_json,
    "int": to_int,
    "float": to_float,
    "string": go_value,
    "type": type_name,
    "len": _length,
    "abs": abs,
    "ceil": lambda value: float(math.ceil(value)),
    "floor": lambda value: float(math.floor(value)),
    "round": _round,
    "max": _extreme(max),
    "min": _extreme(min),
    "mean": _mean,
    "median": _median,
    "trim": lambda text, characters=None: text.strip(characters),
    "trimPrefix": lambda text, prefix=" ": text.removeprefix(prefix),
    "trimSuffix": lambda text, suffix=" ": text.removesuffix(suffix),
    "upper": str.upper,
    "lower": str.lower,
    "split": _split,
    "splitAfter": lambda text, separator: (
        [part + separator for part in text.split(separator)[:-1]] + [text.split(separator)[-1]]
    ),
    "replace": _replace,
    "repeat": lambda text, times: text * int(times),
    "join": lambda values, glue="": glue.join(values),
    "indexOf": _index_of,
    "lastIndexOf": lambda text, part: text.rfind(part),
    "hasPrefix": str.startswith,
    "hasSuffix": str.endswith,
    "toJSON": _to_json_indented,
    "fromJSON": _from_json,
    "toBase64": lambda text: base64.b64encode(text.encode()).decode(),
    "fromBase64": lambda text: base64.b64decode(text).decode(),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "get": _get,
    "take": lambda values, count: values[: int(count)],
    "keys": _keys,
    "values": lambda value: [value[key] for key in sorted(value)],
    "toPairs": lambda value: [[key, value[key]] for key in sorted(value)],
    "fromPairs": lambda pairs: {go_value(pair[0]): pair[1] for pair in pairs},
    "sort": _sort,
    "reverse": lambda values: values[::-1],
    "uniq": _unique,
    "concat": lambda *lists: [item for values in lists for item in values],
    "flatten": _flatten,
}


def _truth(function: Function, item: Any, index: int) -> bool:
    result = function(item, index)
    if not isinstance(result, bool):
        msg = f"{go_value(result)} is not a boolean"
        raise ExpressionError(msg)
    return result


def _matching(values: list[Any], function: Function) -> list[int]:
    return [index for index, item in enumerate(values) if _truth(function, item, index)]


def _group_by(values: list[Any], function: Function) -> AnyKeys:
    groups: AnyKeys = AnyKeys()
    for index, item in enumerate(values):
        groups.setdefault(function(item, index), []).append(item)
    return groups


def _sort_by(values: list[Any], function: Function, order: str = "asc") -> list[Any]:
    keyed: list[tuple[Any, Any]] = [(function(item, index), item) for index, item in enumerate(values)]
    by_key: Any = cmp_to_key(lambda left, right: _compare(left[0], right[0]))
    keyed.sort(key=by_key, reverse=order == "desc")
    return [item for _, item in keyed]


_MISSING: Any = object()


def _reduce(values: list[Any], function: Function, start: Any = _MISSING) -> Any:
    rest = list(enumerate(values))
    if start is _MISSING:
        if not rest:
            msg = "reduce of empty array with no initial value"
            raise ExpressionError(msg)
        start = rest.pop(0)[1]
    for index, item in rest:
        start = function(item, index, start)
    return start


def _pick(values: list[Any], indexes: list[int], position: int) -> Any:
    return values[indexes[position]] if indexes else None


LAZY: dict[str, Function] = {
    "all": lambda values, function: all(_truth(function, item, index) for index, item in enumerate(values)),
    "any": lambda values, function: any(_truth(function, item, index) for index, item in enumerate(values)),
    "none": lambda values, function: not _matching(values, function),
    "one": lambda values, function: len(_matching(values, function)) == 1,
    "filter": lambda values, function: [values[index] for index in _matching(values, function)],
    "map": lambda values, function: [function(item, index) for index, item in enumerate(values)],
    "count": lambda values, function=None: len(_matching(values, function or (lambda item, _index: item))),
    "sum": lambda values, function=None: sum(
        function(item, index) if function else item for index, item in enumerate(values)
    ),
    "find": lambda values, function: _pick(values, _matching(values, function), 0),
    "findIndex": lambda values, function: (_matching(values, function) or [-1])[0],
    "findLast": lambda values, function: _pick(values, _matching(values, function), -1),
    "findLastIndex": lambda values, function: (_matching(values, function) or [-1])[-1],
    "groupBy": _group_by,
    "sortBy": _sort_by,
    "reduce": _reduce,
}
