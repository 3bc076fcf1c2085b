"""The numbers of the expr language, and the forms of numbers that Go's strconv reads."""

from __future__ import annotations

import re

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.lexer import Token

_DECIMAL = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UNDERSCORES = re.compile("(?<=[0-9])_(?=[0-9])")
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_NAMED = re.compile(r"[+-]?(?:inf(?:inity)?)|nan", re.IGNORECASE)
_PREFIXED = re.compile(r"([+-]?)0(?:([xX])([0-9a-fA-F_]+)|([bB])([01_]+)|([oO]?)([0-7_]+))")
_MOST_DIGITS = 400


def number(token: Token, text: str) -> int | float:
    """The value of a number's token. Raises ExpressionError."""
    digits = token.value.replace("_", "")
    lower = digits.lower()
    try:
        if lower.startswith("0x") or (lower.startswith(("0b", "0o")) and not set(".e") & set(lower)):
            return _checked(int(digits, 0))
        if set(".e") & set(lower):
            return parse_float(digits)
        return _checked(int(digits)) if len(digits) < _MOST_DIGITS else _checked(1 << 64)
    except ValueError:
        raise ExpressionError(f"invalid number literal {digits}", token.position).shown_in(text) from None


def _checked(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 63:
        msg = "value out of range"
        raise ValueError(msg)
    return value


def parse_int(text: str) -> int:
    """`text` as strconv.Atoi reads it. Raises ValueError."""
    if not _DECIMAL.fullmatch(text) or len(text) > _MOST_DIGITS:
        msg = "invalid syntax"
        raise ValueError(msg)
    return _checked(int(text))


def parse_int_any_base(text: str) -> int:
    """`text` as strconv.ParseInt with base 0 reads it: 0x, 0b, 0o and a plain leading 0. Raises ValueError."""
    found = _PREFIXED.fullmatch(text)
    if found is None:
        if text.lstrip("+-")[:1] == "0" and text.lstrip("+-") != "0":
            msg = "invalid syntax"
            raise ValueError(msg)
        return parse_int(text.replace("_", "")) if re.fullmatch(r"[+-]?[0-9]+(?:_[0-9]+)*", text) else parse_int(text)
    sign, _, hexadecimal, _, binary, _, octal = found.groups()
    digits = hexadecimal or binary or octal
    if digits.endswith("_") or "__" in digits or len(digits) > _MOST_DIGITS:
        msg = "invalid syntax"
        raise ValueError(msg)
    value = int(digits.replace("_", ""), 16 if hexadecimal else 2 if binary else 8)
    return _checked(-value if sign == "-" else value)


def parse_float(text: str) -> float:
    """`text` as strconv.ParseFloat reads it. Raises ValueError, also where it is too large."""
    text = _UNDERSCORES.sub("", text)
    if _HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    if _NAMED.fullmatch(text):
        return float(text)
    if not _FLOAT.fullmatch(text):
        msg = "invalid syntax"
        raise ValueError(msg)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        msg = "value out of range"
        raise ValueError(msg)
    return value
