"""sprig's functions of lists. The `must` form of a function fails where the plain one does, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.operators import deep_equal
from tiphys.engine.expressions.sprig.numeric import to_int
from tiphys.engine.expressions.values import Chunks, Function, Items, NilItems, type_of


def empty(value: Any) -> bool:
    """Whether `value` is nothing: nil, false, 0, an empty text, list or map."""
    if type_of(value) in ("time.Time", "time.Location"):
        return False
    if hasattr(value, "ns"):
        return bool(value.ns == 0)
    return not isinstance(value, Function) and not value


def _items(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        msg = f"Cannot {what} on type {type_of(value)}"
        raise ExpressionError(msg)
    return value


def _part(what: str, pick: Callable[[list[Any]], Any], nothing: Any = None) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        taken = _items(value, what)
        return pick(list(taken)) if taken else nothing

    return apply


def _uniq(value: Any) -> list[Any]:
    found: list[Any] = []
    for item in _items(value, "find uniq"):
        if not any(deep_equal(item, other) for other in found):
            found.append(item)
    return found


def _without(value: Any, *left_out: Any) -> list[Any]:
    return [item for item in _items(value, "find without") if not any(deep_equal(item, other) for other in left_out)]


def _has(needle: Any, value: Any) -> bool:
    return value is not None and any(deep_equal(needle, item) for item in _items(value, "find has"))


def _slice(value: Any, *indices: Any) -> Any:
    taken = _items(value, "slice")
    if not taken:
        return None
    start = to_int(indices[0]) if indices else 0
    end = to_int(indices[1]) if len(indices) > 1 else len(taken)
    if not 0 <= start <= end <= len(taken):
        msg = "reflect.Value.Slice: slice index out of bounds"
        raise ExpressionError(msg)
    return type(taken)(taken[start:end]) if isinstance(taken, Items) else taken[start:end]


def _concat(*values: Any) -> list[Any]:
    found = [item for value in values for item in _items(value, "concat")]
    return found or NilItems()


def _chunk(size: int, value: Any) -> list[Any]:
    taken = list(_items(value, "chunk"))
    if size <= 0 and taken:
        msg = "runtime error: makeslice: len out of range"
        raise ExpressionError(msg)
    return Chunks(taken[at : at + size] for at in range(0, len(taken), size or 1))


def _both(name: str, parameters: str, call: Callable[..., Any]) -> list[tuple[str, Function]]:
    return [(name, Function(call, parameters)), (f"must{name[0].upper()}{name[1:]}", Function(call, parameters))]


LISTS: dict[str, Function] = dict(
    [
        ("list", Function(lambda *values: list(values), "a*")),
        ("tuple", Function(lambda *values: list(values), "a*")),
        ("concat", Function(_concat, "a*")),
        *_both("append", "aa", lambda value, item: [*_items(value, "push"), item]),
        *_both("push", "aa", lambda value, item: [*_items(value, "push"), item]),
        *_both("prepend", "aa", lambda value, item: [item, *_items(value, "prepend")]),
        *_both("first", "a", _part("find first", lambda taken: taken[0])),
        *_both("last", "a", _part("find last", lambda taken: taken[-1])),
        *_both("rest", "a", _part("find rest", lambda taken: taken[1:], NilItems())),
        *_both("initial", "a", _part("find initial", lambda taken: taken[:-1], NilItems())),
        *_both("reverse", "a", lambda value: list(_items(value, "find reverse"))[::-1]),
        *_both("compact", "a", lambda value: [item for item in _items(value, "compact") if not empty(item)]),
        *_both("uniq", "a", _uniq),
        *_both("without", "aa*", _without),
        *_both("has", "aa", _has),
        *_both("slice", "aa*", _slice),
        *_both("chunk", "ia", _chunk),
    ],
)
