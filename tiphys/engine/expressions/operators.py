"""What the operators of the expr language do with values at run time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.expressions.times import Duration, Time, minus, plus
from tiphys.engine.expressions.values import Ints, Uint8, cut, is_int, is_nil, is_number, to_bytes, type_of, wrap
from tiphys.engine.gotext import AnyKeys

Operation = Callable[[Any, Any], Any]


def _wrong(left: Any, operator: str, right: Any) -> ExpressionError:
    return ExpressionError(f"invalid operation: {type_of(left)} {operator} {type_of(right)}")


def equal(left: Any, right: Any) -> bool:
    """`==`: numbers of any kind by value, lists by their elements, the rest by type and value."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list) and _elementwise(left, right):
        return len(left) == len(right) and all(equal(one, other) for one, other in zip(left, right, strict=True))
    if is_nil(left) and is_nil(right):
        return True
    return deep_equal(left, right)


def _elementwise(left: list[Any], right: list[Any]) -> bool:
    types = {type_of(left), type_of(right)}
    return types <= {"[]interface {}", "[]string", "[]int"} and ("[]interface {}" in types or len(types) == 1)


def deep_equal(left: Any, right: Any) -> bool:
    """Go's reflect.DeepEqual: an int is no float."""
    if type_of(left) != type_of(right):
        return False
    if isinstance(left, list):
        if is_nil(left) != is_nil(right):
            return False
        return len(left) == len(right) and all(deep_equal(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(deep_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _ordered(operator: str, compare: Operation) -> Operation:
    def apply(left: Any, right: Any) -> bool:
        if is_number(left) and is_number(right):
            return bool(compare(left, right))
        if isinstance(left, str) and isinstance(right, str):
            return bool(compare(to_bytes(left), to_bytes(right)))
        for kind in (Time, Duration):
            if isinstance(left, kind) and isinstance(right, kind):
                return bool(compare(left, right))
        raise _wrong(left, operator, right)

    return apply


less = _ordered("<", lambda one, other: one < other)
more = _ordered(">", lambda one, other: one > other)


def _computed(left: Any, right: Any, compute: Operation) -> int | float:
    value = compute(left, right)
    return wrap(int(value)) if isinstance(value, int) else float(value)


def add(left: Any, right: Any) -> Any:
    """`+`."""
    if is_number(left) and is_number(right):
        return _computed(left, right, lambda one, other: one + other)
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, Time) and isinstance(right, Duration):
        return plus(left, right)
    if isinstance(left, Duration) and isinstance(right, Time):
        return plus(right, left)
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(left.ns + right.ns)
    raise _wrong(left, "+", right)


def _subtract(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _computed(left, right, lambda one, other: one - other)
    if isinstance(left, Time) and isinstance(right, Time):
        return minus(left, right)
    if isinstance(left, Time) and isinstance(right, Duration):
        return plus(left, Duration(-right.ns))
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(left.ns - right.ns)
    raise _wrong(left, "-", right)


def _multiply(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _computed(left, right, lambda one, other: one * other)
    factors = [side.ns if isinstance(side, Duration) else side for side in (left, right)]
    if (
        isinstance(left, (Duration, int, float))
        and isinstance(right, (Duration, int, float))
        and all(map(is_number, factors))
    ):
        product = factors[0] * factors[1]
        return float(product) if isinstance(product, float) else Duration(product)
    raise _wrong(left, "*", right)


def quotient(left: float, right: float) -> float:
    """A division of floats: by zero it is infinite, or no number."""
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def _divide(left: Any, right: Any) -> float:
    if is_number(left) and is_number(right):
        return quotient(float(left), float(right))
    raise _wrong(left, "/", right)


def _modulo(left: Any, right: Any) -> int:
    if not (is_int(left) and is_int(right)):
        raise _wrong(left, "%", right)
    if right == 0:
        msg = "integer divide by zero"
        raise ExpressionError(msg)
    rest = abs(int(left)) % abs(int(right))
    return -rest if left < 0 else rest


def power(left: float, right: float) -> float:
    """Go's math.Pow, to the last digit: by squaring, and with a logarithm only for the fraction of `right`."""
    if left == 0 and right < 0:
        return math.copysign(math.inf, left) if right % 2 == 1 else math.inf
    if math.isfinite(right) and abs(right) >= _LARGE and left not in (0, 1, -1):
        return 0.0 if (abs(left) < 1) == (right > 0) else math.inf
    if not (math.isfinite(left) and math.isfinite(right)) or left == 0 or abs(right) >= _LARGE or right in (0, 1):
        return math.pow(left, right) if not (left < 0 and right != math.floor(right)) else math.nan
    if right in (0.5, -0.5):
        return math.nan if left < 0 else math.sqrt(left) if right > 0 else 1 / math.sqrt(left)
    fraction, whole_part = math.modf(abs(right))
    if fraction and left < 0:
        return math.nan
    result = 1.0
    if fraction:
        if fraction > 0.5:  # noqa: PLR2004
            fraction, whole_part = fraction - 1, whole_part + 1
        result = math.exp(fraction * math.log(left))
    return _squared(left, int(whole_part), result, inverse=right < 0)


_LARGE = 2.0**63


def _squared(base: float, times: int, result: float, *, inverse: bool) -> float:
    (mantissa, exponent), scale = math.frexp(base), 0
    while times:
        if not -(1 << 12) <= exponent <= 1 << 12:
            scale += exponent
            break
        if times & 1:
            result *= mantissa
            scale += exponent
        mantissa *= mantissa
        exponent <<= 1
        if mantissa < 0.5:  # noqa: PLR2004
            mantissa += mantissa
            exponent -= 1
        times >>= 1
    if inverse:
        result, scale = 1 / result, -scale
    try:
        return math.ldexp(result, scale)
    except OverflowError:
        return math.copysign(math.inf, result)


def _exponent(left: Any, right: Any) -> float:
    if not is_number(left) or not is_number(right):
        msg = f"invalid operation: float({type_of(right if is_number(left) else left)})"
        raise ExpressionError(msg)
    return power(float(left), float(right))


def fetch(target: Any, key: Any) -> Any:
    """`target[key]`: a missing map key gives nil, an index outside a list is an error."""
    if isinstance(target, dict):
        return of_map(target, key)
    if isinstance(target, (list, str)):
        index = whole(key)
        size = len(target) if isinstance(target, list) else len(to_bytes(target))
        at = index + size if index < 0 else index
        if not 0 <= at < size:
            msg = f"index out of range: {index} (array length is {size})"
            raise ExpressionError(msg)
        return element(target, at)
    msg = f"cannot fetch {key} from {type_of(target)}"
    raise ExpressionError(msg)


def element(target: list[Any] | str, at: int) -> Any:
    """The element of a list, or the byte of a text, at `at`."""
    return target[at] if isinstance(target, list) else Uint8(to_bytes(target)[at])


def of_map(target: dict[Any, Any], key: Any) -> Any:
    """The value under `key`, or what Go gives for a missing one."""
    if not has_key(target, key):
        return (
            target.missing() if isinstance(target, AnyKeys) else "" if type_of(target) == "map[string]string" else None
        )
    return target[AnyKeys.wrapped(key) if isinstance(target, AnyKeys) else key or ""]


def has_key(target: dict[Any, Any], key: Any) -> bool:
    """Whether `key` is in the map; one of a wrong type is an error."""
    if isinstance(target, AnyKeys):
        return AnyKeys.wrapped(key) in target
    if key is not None and not isinstance(key, str):
        msg = f"reflect.Value.MapIndex: value of type {type_of(key)} is not assignable to type string"
        raise ExpressionError(msg)
    return (key or "") in target


def whole(value: Any) -> int:
    """A number as an index. Raises ExpressionError."""
    if is_int(value):
        return int(value)
    if isinstance(value, float):
        return cut(value)
    msg = f"invalid operation: int({type_of(value)})"
    raise ExpressionError(msg)


def inside(needle: Any, target: Any) -> bool:
    """`in`."""
    if target is None:
        return False
    if isinstance(target, list):
        return any(equal(item, needle) for item in target)
    if isinstance(target, dict):
        return has_key(target, needle)
    if isinstance(target, Time) and isinstance(needle, str):
        return False  # a struct without fields that can be seen
    msg = f'operator "in" not defined on {type_of(target)}'
    raise ExpressionError(msg)


def _texts(operator: str, test: Callable[[str, str], bool]) -> Operation:
    def apply(left: Any, right: Any) -> bool:
        if is_nil(left) or is_nil(right):
            return False
        if isinstance(left, bytes) and operator == "matches":
            left = left.decode("utf-8", "replace")
        if isinstance(left, str) and isinstance(right, str):
            return test(left, right)
        raise _wrong(left, operator, right)

    return apply


_MOST_ELEMENTS = 1_000_000


def _range(left: Any, right: Any) -> Ints:
    low, high = whole(left), whole(right)
    if high - low >= _MOST_ELEMENTS:
        msg = "memory budget exceeded"
        raise ExpressionError(msg)
    return Ints(range(low, high + 1))


def negate(value: Any) -> Any:
    """Unary minus."""
    if isinstance(value, float):
        return -value
    if is_int(value):
        return type(value)(wrap(-value))
    msg = f"invalid operation: - {type_of(value)}"
    raise ExpressionError(msg)


OPERATORS: dict[str, Operation] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    ">": more,
    "<=": _ordered("<=", lambda one, other: one <= other),
    ">=": _ordered(">=", lambda one, other: one >= other),
    "+": add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
    "**": _exponent,
    "^": _exponent,
    "..": _range,
    "in": inside,
    "matches": _texts("matches", lambda text, pattern: compile_regex(pattern).found_in(text)),
    "contains": _texts("contains", lambda text, part: part in text),
    "startsWith": _texts("startsWith", str.startswith),
    "endsWith": _texts("endsWith", str.endswith),
}
