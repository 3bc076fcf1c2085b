"""sprig's functions of values of any type: defaults, JSON and types."""

from __future__ import annotations

import copy
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.builtins import indented_json, to_json
from tiphys.engine.expressions.operators import deep_equal
from tiphys.engine.expressions.sprig.lists import empty
from tiphys.engine.expressions.values import Function, type_of
from tiphys.engine.gotext import go_json, parse_json

_KINDS = {
    "<nil>": "invalid",
    "time.Time": "struct",
    "time.Duration": "int64",
    "time.Month": "int",
    "time.Weekday": "int",
}


def _kind_of(value: Any) -> str:
    name = type_of(value)
    for start, kind in (("[2]", "array"), ("[", "slice"), ("map", "map"), ("func", "func"), ("*", "ptr")):
        if name.startswith(start):
            return kind
    return _KINDS.get(name, name)


def _from_json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _must_from_json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as problem:
        raise ExpressionError(str(problem)) from None


def _or_nothing(value: Any) -> str:
    try:
        return go_json(value)
    except TypeError:
        return ""


def _pretty_or_nothing(value: Any) -> str:
    try:
        return indented_json(value)
    except ExpressionError:
        return ""


def _raw(value: Any) -> str:
    text = to_json(value)
    for char in "<>&":
        text = text.replace(f"\\u{ord(char):04x}", char)
    return text


def _copied(value: Any) -> Any:
    if value is None:
        msg = "reflect: call of reflect.Value.Type on zero Value"
        raise ExpressionError(msg)
    return copy.deepcopy(value)


def _fail(message: str) -> Any:
    raise ExpressionError(message)


VALUES: dict[str, Function] = {
    name: Function(call, parameters)
    for name, parameters, call in [
        ("default", "aa*", lambda fallback, *given: given[0] if given and not empty(given[0]) else fallback),
        ("empty", "a", empty),
        ("coalesce", "a*", lambda *values: next((value for value in values if not empty(value)), None)),
        ("all", "a*", lambda *values: not any(empty(value) for value in values)),
        ("any", "a*", lambda *values: not all(empty(value) for value in values)),
        ("ternary", "aab", lambda yes, no, test: yes if test else no),
        ("fromJson", "s", _from_json),
        ("mustFromJson", "s", _must_from_json),
        ("toJson", "a", _or_nothing),
        ("mustToJson", "a", to_json),
        ("toPrettyJson", "a", _pretty_or_nothing),
        ("mustToPrettyJson", "a", indented_json),
        ("toRawJson", "a", _raw),
        ("mustToRawJson", "a", _raw),
        ("deepCopy", "a", _copied),
        ("mustDeepCopy", "a", _copied),
        ("typeOf", "a", type_of),
        ("typeIs", "sa", lambda name, value: name == type_of(value)),
        ("typeIsLike", "sa", lambda name, value: type_of(value) in (name, f"*{name}")),
        ("kindOf", "a", _kind_of),
        ("kindIs", "sa", lambda name, value: name == _kind_of(value)),
        ("deepEqual", "aa", deep_equal),
        ("fail", "s", _fail),
    ]
}
