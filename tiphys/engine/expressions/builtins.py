"""expr-lang's own functions that need no loop, and Argo's asInt, asFloat, jsonpath and toJson."""

from __future__ import annotations

import base64
import re
import time as clock
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import layouts, times
from tiphys.engine.expressions.jsonpath import query
from tiphys.engine.expressions.literals import parse_float, parse_int
from tiphys.engine.expressions.numbers import NUMERIC, compare, sort_order
from tiphys.engine.expressions.operators import element, equal, fetch, has_key, of_map, whole
from tiphys.engine.expressions.values import (
    Function,
    Items,
    NilItems,
    NilStrings,
    Pair,
    Pairs,
    Strings,
    clean,
    cut,
    from_bytes,
    is_int,
    to_bytes,
    type_of,
)
from tiphys.engine.gotext import AnyKeys, go_json, go_value, parse_json

Call = Callable[..., Any]
_MOST_REPEATS = 1_000_000
_DATE_LAYOUTS = (
    "2006-01-02", "15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00", "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 MST",
)  # fmt: skip


def _fail(message: str) -> ExpressionError:
    return ExpressionError(message)


def text(value: Any) -> str:
    """`value`, which must be a text. Raises ExpressionError."""
    if not isinstance(value, str):
        raise _fail(f"interface conversion: interface {{}} is {type_of(value)}, not string")
    return value


def items(value: Any, what: str) -> list[Any]:
    """`value`, which must be a list. Raises ExpressionError."""
    if not isinstance(value, list):
        raise _fail(f"cannot {what} {type_of(value)}")
    return value


def _mapping(value: Any, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _fail(f"cannot {what} {type_of(value)}")
    return value


def _pairs(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    if isinstance(value, AnyKeys):
        return [(key, inner) for (_, key), inner in value.items()]
    return [(key, value[key]) for key in sorted(value)]


def to_int(value: Any) -> int:
    """`int(value)`: texts must be whole decimal numbers, floats are cut."""
    if is_int(value):
        return int(value)
    if isinstance(value, float):
        return cut(value)
    if isinstance(value, str):
        try:
            return parse_int(value)
        except ValueError:
            raise _fail(f"invalid operation: int({value})") from None
    for name in ("ns", "number"):
        if hasattr(value, name):
            return int(getattr(value, name))
    raise _fail(f"invalid operation: int({type_of(value)})")


def to_float(value: Any) -> float:
    """`float(value)`."""
    if is_int(value) or isinstance(value, float):
        return float(value)
    try:
        return parse_float(text(value))
    except ValueError:
        raise _fail(f"invalid operation: float({value})") from None


def type_name(value: Any) -> str:
    """Expr's name of a value's type."""
    name = type_of(value)
    if name.startswith(("time.", "*")):
        return name.lstrip("*").replace("semver.", "github.com/Masterminds/semver/v3.")
    names = {"<nil>": "nil", "float64": "float", "int64": "int", "uint8": "uint"}
    if name in names:
        return names[name]
    if name.startswith(("[", "map", "func")):
        return "array" if name[0] == "[" else name.partition("[")[0].partition("(")[0]
    return name


def _length(value: Any) -> int:
    if isinstance(value, (str, list, dict, bytes)):
        return len(value)
    raise _fail(f"invalid argument for len (type {type_of(value)})")


def _from_json(document: Any) -> Any:
    try:
        return parse_json(text(document))
    except ValueError as error:
        raise _fail(str(error)) from None


def to_json(value: Any) -> str:
    """`value` as JSON. Raises ExpressionError."""
    try:
        return go_json(value)
    except TypeError as error:
        raise _fail(str(error)) from None


def indented_json(value: Any) -> str:
    """`value` as JSON in several lines, numbers as Go writes them."""
    lines, depth, quoted, skip = [""], 0, False, False
    compact = to_json(value)
    for at, char in enumerate(compact):
        if quoted:
            lines[-1] += char
            quoted, skip = (skip or char != '"'), char == "\\" and not skip
        elif char in "{[" and compact[at + 1] not in "}]":
            depth += 1
            lines[-1] += char
            lines.append("  " * depth)
        elif char in "}]" and compact[at - 1] not in "{[":
            depth -= 1
            lines.append("  " * depth + char)
        elif char == ",":
            lines[-1] += char
            lines.append("  " * depth)
        else:
            quoted = char == '"'
            lines[-1] += ": " if char == ":" else char
    return "\n".join(lines)


def _jsonpath(document: str, path: str) -> Any:
    return query(_from_json(document), path)


def trim_characters(value: str, characters: str) -> str:
    """Go's strings.Trim: nothing for no characters."""
    return value.strip(characters) if characters else value


def trim_space(value: str) -> str:
    """Go's strings.TrimSpace."""
    return value.strip(
        "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    )


def split(value: str, separator: str, limit: int = -1) -> list[Any]:
    """Go's strings.SplitN."""
    if limit == 0:
        return NilStrings()
    if separator == "":
        count = len(value) if limit < 0 else min(limit, len(value))
        return Strings([*value[: count - 1], value[count - 1 :]] if count else [])
    return Strings(value.split(separator, limit - 1 if limit > 0 else -1))


def _split_after(value: str, separator: str, limit: int = -1) -> list[Any]:
    parts = split(value, separator, limit)
    return type(parts)([part + separator for part in parts[:-1]] + parts[-1:])


def replace(value: str, old: str, new: str, count: int = -1) -> str:
    """Go's strings.Replace."""
    return value.replace(old, new, count) if count >= 0 else value.replace(old, new)


def repeat(value: str, times_: Any) -> str:
    """`value` again and again, up to a million bytes. Raises ExpressionError."""
    count = whole(times_)
    if count < 0:
        raise _fail(f"invalid argument for repeat (expected positive integer, got {count})")
    if count > _MOST_REPEATS or len(to_bytes(value)) * count >= _MOST_REPEATS:
        raise _fail("memory budget exceeded")
    return value * count


def _join(values: Any, glue: str = "") -> str:
    if not isinstance(values, list):
        raise _fail(f"invalid argument for join (type {type_of(values)})")
    return glue.join(text(value) for value in values)


def _byte_index(value: str, found: int) -> int:
    return found if found < 0 else len(to_bytes(value[:found]))


def base64_bytes(value: str) -> bytes:
    """What `value` says in base64; line ends in it don't count. Raises ValueError."""
    compact = value.replace("\n", "").replace("\r", "")
    if not re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", compact):
        valid = re.match(r"[A-Za-z0-9+/]*", compact)
        at = len(valid.group()) if valid else 0
        msg = f"illegal base64 data at input byte {at if at < len(compact) else at // 4 * 4}"
        raise ValueError(msg)
    return base64.b64decode(compact)


def _from_base64(value: str) -> str:
    try:
        return from_bytes(base64_bytes(value))
    except ValueError as error:
        raise _fail(str(error)) from None


def _duration(value: str) -> times.Duration:
    return times.parse_duration(value)


def _date(*arguments: Any) -> times.Time:
    location = times.UTC_LOCATION
    if isinstance(arguments[0], times.Location):
        location, arguments = arguments[0], arguments[1:]
    value = text(arguments[0])
    if len(arguments) > 1:
        if len(arguments) > 2:  # noqa: PLR2004
            location = times.load_location(text(arguments[2]))
        return layouts.parse(text(arguments[1]), value, location)
    for layout in _DATE_LAYOUTS:
        try:
            return layouts.parse(layout, value, location)
        except ValueError:
            continue
    raise _fail(f"invalid date {value}")


def _now(location: times.Location = times.UTC_LOCATION) -> times.Time:
    return times.Time(clock.time_ns(), location)


def _edge(at: int) -> Call:
    def edge(value: Any) -> Any:
        try:
            return fetch(value, at)
        except ExpressionError:
            return None

    return edge


def _get(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return of_map(value, key) if has_key(value, key) else None
    if isinstance(value, (list, str)):
        size, index = len(value) if isinstance(value, list) else len(to_bytes(value)), whole(key)
        index += size if index < 0 else 0
        return element(value, index) if 0 <= index < size else None
    return None


def _take(values: Any, count: Any) -> list[Any]:
    taken = items(values, "take from")
    if not is_int(count):
        raise _fail(f"cannot take {type_of(count)} elements")
    if count < 0:
        raise _fail("reflect.Value.Slice: slice index out of bounds")
    return _same_kind(taken, taken[:count])


def _same_kind(model: list[Any], values: list[Any]) -> list[Any]:
    return type(model)(values) if isinstance(model, Items) else values


def _from_pairs(pairs: Any) -> AnyKeys:
    found = AnyKeys()
    for pair in items(pairs, "transform from pairs"):
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004
            raise _fail(f"invalid pair {go_value(pair)}")
        found[AnyKeys.wrapped(pair[0])] = pair[1]
    return found


def unique(values: Any) -> list[Any]:
    """Each value once, by `==`."""
    found: list[Any] = []
    for value in items(values, "uniq"):
        if not any(equal(value, other) for other in found):
            found.append(value)
    return found


def _concat(*lists: Any) -> list[Any]:
    found = [value for values in lists for value in items(values, "concat")]
    return found or NilItems()


def _flatten(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in items(values, "flatten"):
        found.extend(_flatten(value) if isinstance(value, list) else [value])
    return found


def _sort(values: Any, order: Any = "asc") -> list[Any]:
    descending = sort_order(order)
    if type_of(values) not in ("[]interface {}", "[]string", "[]int"):
        return NilItems()
    taken = list(values)
    ordered: Any = cmp_to_key(compare)
    taken.sort(key=ordered, reverse=descending)
    return taken


BUILTINS: dict[str, Call] = {
    "int": to_int,
    "float": to_float,
    "string": go_value,
    "type": type_name,
    "len": _length,
    **NUMERIC,
    "trim": lambda value, characters=None: (
        trim_space(text(value)) if characters is None else trim_characters(text(value), text(characters))
    ),
    "trimPrefix": lambda value, prefix=" ": text(value).removeprefix(text(prefix)),
    "trimSuffix": lambda value, suffix=" ": text(value).removesuffix(text(suffix)),
    "upper": lambda value: go_upper(text(value)),
    "lower": lambda value: go_lower(text(value)),
    "split": lambda value, separator, limit=-1: split(text(value), text(separator), whole(limit)),
    "splitAfter": lambda value, separator, limit=-1: _split_after(text(value), text(separator), whole(limit)),
    "replace": lambda value, old, new, count=-1: replace(text(value), text(old), text(new), whole(count)),
    "repeat": lambda value, count: repeat(text(value), count),
    "join": lambda values, glue="": _join(values, text(glue)),
    "indexOf": lambda value, part: _byte_index(text(value), text(value).find(text(part))),
    "lastIndexOf": lambda value, part: _byte_index(text(value), text(value).rfind(text(part))),
    "hasPrefix": lambda value, prefix: text(value).startswith(text(prefix)),
    "hasSuffix": lambda value, suffix: text(value).endswith(text(suffix)),
    "toJSON": indented_json,
    "fromJSON": _from_json,
    "toBase64": lambda value: base64.b64encode(to_bytes(text(value))).decode(),
    "fromBase64": lambda value: _from_base64(text(value)),
    "now": _now,
    "duration": lambda value: _duration(text(value)),
    "date": _date,
    "timezone": lambda name: times.load_location(text(name)),
    "first": _edge(0),
    "last": _edge(-1),
    "get": _get,
    "take": _take,
    "keys": lambda value: [key for key, _ in _pairs(_mapping(value, "get keys from"))],
    "values": lambda value: [inner for _, inner in _pairs(_mapping(value, "get values from"))],
    "toPairs": lambda value: Pairs(Pair(pair) for pair in _pairs(_mapping(value, "transform to pairs"))),
    "fromPairs": _from_pairs,
    "sort": _sort,
    "reverse": lambda values: items(values, "reverse")[::-1],
    "uniq": unique,
    "concat": _concat,
    "flatten": _flatten,
}


def go_upper(value: str) -> str:
    """Go's strings.ToUpper: one character for each."""
    return (
        value.upper()
        if value.isascii()
        else "".join(up if len(up := char.upper()) == 1 else char for char in clean(value))
    )


def go_lower(value: str) -> str:
    """Go's strings.ToLower: one character for each."""
    return (
        value.lower()
        if value.isascii()
        else "".join(low if len(low := char.lower()) == 1 else low[0] for char in clean(value))
    )


ARGO_FUNCTIONS: dict[str, Any] = {
    "asInt": Function(to_int, "a", "func(interface {}) interface {}"),
    "asFloat": Function(to_float, "a", "func(interface {}) interface {}"),
    "jsonpath": Function(_jsonpath, "ss", "func(string, string) interface {}"),
    "toJson": Function(to_json, "a", "func(interface {}) string"),
}
