"""sprig's functions of maps. Maps are copied, never changed in place, where Go would let an expression see the change."""

from __future__ import annotations

from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.sprig.lists import empty
from tiphys.engine.expressions.values import Function, NilMap, Strings, type_of
from tiphys.engine.gotext import go_value


def _dict(*values: Any) -> dict[str, Any]:
    return {go_value(values[at]): values[at + 1] if at + 1 < len(values) else "" for at in range(0, len(values), 2)}


def _set(target: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if _holds(value, target):
        msg = "sprig.set: a map can't hold itself"
        raise ExpressionError(msg)
    _writable(target)[key] = value
    return target


def _holds(value: Any, target: dict[str, Any]) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is target or any(_holds(item, target) for item in inner)


def _writable(target: dict[str, Any]) -> dict[str, Any]:
    if isinstance(target, NilMap):
        msg = "assignment to entry in nil map"
        raise ExpressionError(msg)
    return target


def _unset(target: dict[str, Any], key: str) -> dict[str, Any]:
    target.pop(key, None)
    return target


def _merge(target: dict[str, Any], *sources: dict[str, Any]) -> dict[str, Any]:
    for source in sources:
        _merge_one(target, source, overwrite=False)
    return target


def _merge_overwrite(target: dict[str, Any], *sources: dict[str, Any]) -> dict[str, Any]:
    for source in sources:
        _merge_one(target, source, overwrite=True)
    return target


def _merge_one(target: dict[str, Any], source: dict[str, Any], *, overwrite: bool) -> None:
    for key, value in list(source.items()):
        if _holds(value, target):
            msg = "sprig.merge: a map can't hold itself"
            raise ExpressionError(msg)
        old = target.get(key)
        if type(old) is dict and type(value) is dict:
            _merge_one(old, value, overwrite=overwrite)
        elif key not in target or (empty(old) and not empty(value)) or overwrite:
            target[key] = value


def _keys(*maps: dict[str, Any]) -> list[Any]:
    return Strings(key for one in maps for key in sorted(one))


def _dig(*arguments: Any) -> Any:
    if len(arguments) < 3 or type(arguments[-1]) is not dict:  # noqa: PLR2004
        msg = "dig needs at least three arguments, the last one a map"
        raise ExpressionError(msg)
    place: Any = arguments[-1]
    for key in arguments[:-2]:
        if not isinstance(key, str) or type(place) is not dict:
            msg = f"interface conversion: interface {{}} is {type_of(place)}, not map[string]interface {{}}"
            raise ExpressionError(msg)
        if key not in place:
            return arguments[-2]
        place = place[key]
    return place


MAPS: dict[str, Function] = {
    "dict": Function(_dict, "a*"),
    "get": Function(lambda target, key: target.get(key, ""), "ms"),
    "set": Function(_set, "msa"),
    "unset": Function(_unset, "ms"),
    "hasKey": Function(lambda target, key: key in target, "ms"),
    "pluck": Function(lambda key, *maps: [one[key] for one in maps if key in one], "sm*"),
    "keys": Function(_keys, "m*"),
    "values": Function(lambda target: [target[key] for key in sorted(target)], "m"),
    "pick": Function(lambda target, *keys: {key: target[key] for key in keys if key in target}, "ms*"),
    "omit": Function(lambda target, *keys: {key: target[key] for key in target if key not in keys}, "ms*"),
    "merge": Function(_merge, "mm*"),
    "mustMerge": Function(_merge, "mm*"),
    "mergeOverwrite": Function(_merge_overwrite, "mm*"),
    "mustMergeOverwrite": Function(_merge_overwrite, "mm*"),
    "dig": Function(_dig, "a*"),
}
