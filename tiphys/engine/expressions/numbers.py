"""expr-lang's functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.operators import less, more
from tiphys.engine.expressions.times import Duration
from tiphys.engine.expressions.values import is_int, is_number, type_of, wrap

_BITS = 64
_MASK = (1 << _BITS) - 1


def _fail(message: str) -> ExpressionError:
    return ExpressionError(message)


def _number(name: str, value: Any) -> Any:
    if not is_number(value):
        raise _fail(f"invalid argument for {name} (type {type_of(value)})")
    return value


def _rounded(name: str, function: Callable[[float], float]) -> Callable[[Any], float]:
    def apply(value: Any) -> float:
        number = float(_number(name, value))
        return function(number) if math.isfinite(number) else number

    return apply


def go_round(value: float) -> float:
    """To the nearest whole number, halves away from zero."""
    size = abs(value)
    whole = math.floor(size)
    return math.copysign(whole + (size - whole >= 0.5), value)  # noqa: PLR2004


def _flat(name: str, values: tuple[Any, ...] | list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found.extend(_flat(name, value))
        elif isinstance(value, Duration):
            found.append(value if name in ("max", "min") else value.ns)
        else:
            found.append(_number(name, value))
    return found


def _extreme(name: str, beats: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    def apply(*arguments: Any) -> Any:
        if len(arguments) == 1 and not isinstance(arguments[0], list):
            return arguments[0]
        best: Any = None
        for value in _flat(name, arguments):
            if best is None or beats(best, value):
                best = value
        return best

    return apply


def _mean(*arguments: Any) -> float:
    numbers, total = _flat("mean", arguments), 0.0
    for number in numbers:
        total += number
    return total / len(numbers) if numbers else 0.0


def _median(*arguments: Any) -> float:
    numbers = sorted(float(number) for number in _flat("median", arguments))
    if not numbers:
        return 0.0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _abs(value: Any) -> Any:
    number = _number("abs", value)
    return abs(number) if isinstance(number, float) else type(number)(wrap(abs(number)))


def _bits(name: str, compute: Callable[[int, int], int]) -> Callable[[Any, Any], int]:
    def apply(left: Any, right: Any) -> int:
        for value in (left, right):
            if not is_int(value):
                raise _fail(f"cannot use {type_of(value)} as argument (type int) to call {name}")
        if name.startswith(("bitsh", "bitush")) and right < 0:
            raise _fail(f"invalid operation: negative shift count {right} (type int)")
        return wrap(compute(int(left), int(right)))

    return apply


def _not(value: Any) -> int:
    if not is_int(value):
        raise _fail(f"cannot use {type_of(value)} as argument (type int) to call bitnot")
    return ~int(value)


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1 for the order of two values. Raises ExpressionError where they have none."""
    return -1 if less(left, right) else int(less(right, left))


def sort_order(order: Any) -> bool:
    """Whether `order` says to sort downwards. Raises ExpressionError."""
    if order not in ("asc", "desc"):
        raise _fail(f"invalid order {order}, expected asc or desc")
    return bool(order == "desc")


NUMERIC: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "ceil": _rounded("ceil", lambda value: math.copysign(math.ceil(value), value)),
    "floor": _rounded("floor", lambda value: float(math.floor(value)) if value else value),
    "round": _rounded("round", go_round),
    "max": _extreme("max", less),
    "min": _extreme("min", more),
    "mean": _mean,
    "median": _median,
    "bitand": _bits("bitand", lambda one, other: one & other),
    "bitor": _bits("bitor", lambda one, other: one | other),
    "bitxor": _bits("bitxor", lambda one, other: one ^ other),
    "bitnand": _bits("bitnand", lambda one, other: one & ~other),
    "bitshl": _bits("bitshl", lambda one, other: one << other if other < _BITS else 0),
    "bitshr": _bits("bitshr", lambda one, other: one >> min(other, _BITS)),
    "bitushr": _bits("bitushr", lambda one, other: (one & _MASK) >> other if other < _BITS else 0),
    "bitnot": _not,
}
