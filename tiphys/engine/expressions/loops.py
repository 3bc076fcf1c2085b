"""expr-lang's functions that ask a predicate about each element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cmp_to_key
from typing import Any, NamedTuple

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.numbers import compare, sort_order
from tiphys.engine.expressions.operators import add
from tiphys.engine.expressions.values import Uint8, to_bytes, type_of
from tiphys.engine.gotext import AnyKeys

Predicate = Callable[..., Any]
_MOST_ELEMENTS = 1_000_000


class Budget:
    """How many elements an expression may still make."""

    def __init__(self) -> None:
        """As many as expr allows."""
        self._left = _MOST_ELEMENTS

    def take(self, count: int) -> None:
        """Count `count` new elements. Raises ExpressionError."""
        self._left -= count
        if self._left <= 0:
            msg = "memory budget exceeded"
            raise ExpressionError(msg)


class How(NamedTuple):
    """What a loop may use besides its arguments: the budget, what to make of an element that it finds, whether it must find one."""

    budget: Budget
    then: Predicate | None
    throws: bool


UNINDEXED: Any = object()


def item_of(value: Any) -> Any:
    """`value`, which an element of a map is not: expr counts a map's elements but can't take one. Raises ExpressionError."""
    if value is UNINDEXED:
        msg = "reflect: call of reflect.Value.Index on map Value"
        raise ExpressionError(msg)
    return value


def _items(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [UNINDEXED] * len(value)
    if isinstance(value, str):
        return [Uint8(byte) for byte in to_bytes(value)]
    msg = f"reflect: call of reflect.Value.Len on {type_of(value)} Value"
    raise ExpressionError(msg)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        msg = f"interface conversion: interface {{}} is {type_of(value)}, not bool"
        raise ExpressionError(msg)
    return value


def _matching(values: list[Any], predicate: Predicate, order: int = 1) -> Iterator[int]:
    for index in range(len(values))[::order]:
        if _truth(predicate(values[index], index)):
            yield index


def _all(_how: How, values: Any, predicate: Predicate) -> bool:
    return all(_truth(predicate(item, index)) for index, item in enumerate(_items(values)))


def _any(_how: How, values: Any, predicate: Predicate) -> bool:
    return next(_matching(_items(values), predicate), None) is not None


def _none(how: How, values: Any, predicate: Predicate) -> bool:
    return not _any(how, values, predicate)


def _one(_how: How, values: Any, predicate: Predicate) -> bool:
    return len(list(_matching(_items(values), predicate))) == 1


def _filter(how: How, values: Any, predicate: Predicate) -> list[Any]:
    taken = _items(values)
    found = [
        how.then(taken[index], index) if how.then else item_of(taken[index]) for index in _matching(taken, predicate)
    ]
    how.budget.take(len(found))
    return found


def _map(how: How, values: Any, function: Predicate) -> list[Any]:
    found = [function(item, index) for index, item in enumerate(_items(values))]
    how.budget.take(len(found))
    return found


def _count(_how: How, values: Any, predicate: Predicate | None = None) -> int:
    return len(list(_matching(_items(values), predicate or (lambda item, _index: item_of(item)))))


def _sum(_how: How, values: Any, function: Predicate | None = None) -> Any:
    total: Any = 0
    for index, item in enumerate(_items(values)):
        total = add(function(item, index) if function else item_of(item), total)
    return total


def _find(order: int) -> Callable[..., Any]:
    def find(how: How, values: Any, predicate: Predicate) -> Any:
        taken = _items(values)
        for index in _matching(taken, predicate, order):
            return how.then(taken[index], index) if how.then else item_of(taken[index])
        if how.throws:
            msg = "reflect: slice index out of range"
            raise ExpressionError(msg)
        return None

    return find


def _find_index(order: int) -> Callable[..., Any]:
    return lambda _how, values, predicate: next(_matching(_items(values), predicate, order), None)


def _group_by(_how: How, values: Any, function: Predicate) -> AnyKeys:
    groups = AnyKeys("map[interface {}][]interface {}")
    for index, item in enumerate(_items(values)):
        groups.setdefault(AnyKeys.wrapped(function(item, index)), []).append(item_of(item))
    return groups


def _sort_by(how: How, values: Any, function: Predicate, order: Any = "asc") -> list[Any]:
    descending = sort_order(order)
    keyed = [(function(item, index), item_of(item)) for index, item in enumerate(_items(values))]
    by_key: Any = cmp_to_key(lambda left, right: compare(left[0], right[0]))
    keyed.sort(key=by_key, reverse=descending)
    how.budget.take(len(keyed))
    return [item for _, item in keyed]


_MISSING: Any = object()


def _reduce(_how: How, values: Any, function: Predicate, start: Any = _MISSING) -> Any:
    rest = list(enumerate(_items(values)))
    if start is _MISSING:
        if not rest:
            msg = "reduce of empty array with no initial value"
            raise ExpressionError(msg)
        start = item_of(rest.pop(0)[1])
    for index, item in rest:
        start = function(item, index, start)
    return start


LOOPS: dict[str, Callable[..., Any]] = {
    "all": _all,
    "any": _any,
    "none": _none,
    "one": _one,
    "filter": _filter,
    "map": _map,
    "count": _count,
    "sum": _sum,
    "find": _find(1),
    "findLast": _find(-1),
    "findIndex": _find_index(1),
    "findLastIndex": _find_index(-1),
    "groupBy": _group_by,
    "sortBy": _sort_by,
    "reduce": _reduce,
}
