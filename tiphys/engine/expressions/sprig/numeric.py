"""sprig's functions of numbers: they take texts too, and give int64."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.literals import parse_float, parse_int, parse_int_any_base
from tiphys.engine.expressions.operators import quotient
from tiphys.engine.expressions.values import Function, Int64, Ints, cut, is_int, wrap
from tiphys.engine.gotext import go_value

_DECIMAL = re.compile(r"([-+]?[0-9]*)(\.[0-9]*)?")
_MOST_ELEMENTS = 100_000
_DIVISION_PLACES = Decimal("1e-16")


def to_int(value: Any) -> int:
    """Any value as a whole number; 0 for what is none."""
    if is_int(value) or isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return cut(value)
    if isinstance(value, str):
        found = _DECIMAL.fullmatch(value)
        try:
            return parse_int_any_base((found[1] or "0") if found and found[2] is not None else value) if value else 0
        except ValueError:
            return 0
    return next((int(getattr(value, name)) for name in ("ns", "number") if hasattr(value, name)), 0)


def to_float(value: Any) -> float:
    """Any value as a float; 0 for what is none."""
    if isinstance(value, str):
        try:
            return parse_float(value)
        except ValueError:
            return 0.0
    return value if isinstance(value, float) else float(to_int(value))


def _int64(value: int) -> Int64:
    return Int64(wrap(value))


def _divided(left: Any, right: Any) -> tuple[int, int]:
    one, other = to_int(left), to_int(right)
    if other == 0:
        msg = "runtime error: integer divide by zero"
        raise ExpressionError(msg)
    whole, rest = divmod(abs(one), abs(other))
    return whole if (one < 0) == (other < 0) else -whole, -rest if one < 0 else rest


def _product(first: Any, *rest: Any) -> Int64:
    result = to_int(first)
    for value in rest:
        result = wrap(result * to_int(value))
    return Int64(result)


def _sum(*values: Any) -> Int64:
    return _int64(sum(to_int(value) for value in values))


def _decimal(value: Any) -> Decimal:
    number = to_float(value)
    if not math.isfinite(number):
        msg = "cannot create a decimal from a number that is not finite"
        raise ExpressionError(msg)
    return Decimal(repr(number))


def _exact(compute: Callable[[Decimal, Decimal], Decimal]) -> Callable[..., float]:
    def apply(first: Any, *rest: Any) -> float:
        with localcontext(Context(prec=400)):
            result = _decimal(first)
            for value in rest:
                result = compute(result, _decimal(value))
            return float(result) if result else 0.0

    return apply


def _decimal_quotient(one: Decimal, other: Decimal) -> Decimal:
    if other == 0:
        msg = "decimal division by 0"
        raise ExpressionError(msg)
    return (one / other).quantize(_DIVISION_PLACES, rounding=ROUND_HALF_UP)


def _round(value: Any, places: int, on: float = 0.5, *_: float) -> float:
    scale = math.pow(10, places)
    digit = scale * to_float(value)
    if not math.isfinite(digit):
        return quotient(digit, scale)
    part = math.modf(digit)[0]
    return quotient(float(math.ceil(digit) if part >= on else math.floor(digit)), scale)


def _whole(function: Callable[[float], int]) -> Callable[[Any], float]:
    def apply(value: Any) -> float:
        number = to_float(value)
        return math.copysign(float(function(number)), number) if math.isfinite(number) else number

    return apply


def until_step(start: int, stop: int, step: int) -> list[int]:
    """The numbers from `start` to before `stop`. Raises ExpressionError where there are too many."""
    if (stop < start) != (step < 0) or step == 0:
        return Ints()
    found = range(start, stop, step)
    if len(found) > _MOST_ELEMENTS:
        msg = f"more than {_MOST_ELEMENTS} numbers; use withSequence"
        raise ExpressionError(msg)
    return Ints(found)


def _seq(*values: int) -> str:
    if not 1 <= len(values) <= 3:  # noqa: PLR2004
        return ""
    start, end = (1, values[0]) if len(values) == 1 else (values[0], values[-1])
    down = end < start
    step = values[1] if len(values) == 3 else (-1 if down else 1)  # noqa: PLR2004
    if down and len(values) == 3 and step > 0:  # noqa: PLR2004
        return ""
    return " ".join(str(number) for number in until_step(start, end + (-1 if down else 1), step))


def _parsed(parse: Callable[[str], int]) -> Callable[[Any], int]:
    def apply(value: Any) -> int:
        try:
            return parse(go_value(value))
        except ValueError:
            return 0

    return apply


def _octal(text: str) -> int:
    if not re.fullmatch("[-+]?[0-7]+", text):
        msg = "invalid syntax"
        raise ValueError(msg)
    return int(text, 8)


def _float_extreme(pick: Callable[..., float]) -> Callable[..., float]:
    def apply(*values: Any) -> float:
        numbers = [to_float(value) for value in values]
        return math.nan if any(math.isnan(number) for number in numbers) else pick(numbers)

    return apply


NUMBERS: dict[str, Function] = {
    name: Function(call, parameters)
    for name, parameters, call in [
        ("atoi", "s", _parsed(parse_int)),
        ("int64", "a", lambda value: Int64(to_int(value))),
        ("int", "a", to_int),
        ("float64", "a", to_float),
        ("toDecimal", "a", lambda value: Int64(_parsed(_octal)(value))),
        ("seq", "i*", _seq),
        ("until", "i", lambda count: until_step(0, count, -1 if count < 0 else 1)),
        ("untilStep", "iii", until_step),
        ("add1", "a", lambda value: _int64(to_int(value) + 1)),
        ("add", "a*", _sum),
        ("sub", "aa", lambda left, right: _int64(to_int(left) - to_int(right))),
        ("div", "aa", lambda left, right: _int64(_divided(left, right)[0])),
        ("mod", "aa", lambda left, right: _int64(_divided(left, right)[1])),
        ("mul", "aa*", _product),
        ("add1f", "a", lambda value: _exact(Decimal.__add__)(value, 1)),
        ("addf", "a*", lambda *values: _exact(Decimal.__add__)(0.0, *values)),
        ("subf", "aa*", _exact(Decimal.__sub__)),
        ("divf", "aa*", _exact(_decimal_quotient)),
        ("mulf", "aa*", _exact(Decimal.__mul__)),
        ("biggest", "aa*", lambda *values: Int64(max(to_int(value) for value in values))),
        ("max", "aa*", lambda *values: Int64(max(to_int(value) for value in values))),
        ("min", "aa*", lambda *values: Int64(min(to_int(value) for value in values))),
        ("maxf", "aa*", _float_extreme(max)),
        ("minf", "aa*", _float_extreme(min)),
        ("ceil", "a", _whole(math.ceil)),
        ("floor", "a", _whole(math.floor)),
        ("round", "aif*", _round),
    ]
}
