"""Cuts a `when` condition into tokens as govaluate does, and checks that they may follow each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tiphys.engine.expressions import layouts
from tiphys.engine.expressions.literals import parse_float
from tiphys.engine.expressions.times import SECOND
from tiphys.engine.gotext import go_value

PREFIXES = ("-", "!", "~")
COMPARATORS = ("==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in")
_KINDS = {
    **dict.fromkeys(("+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<"), "MODIFIER"),
    **dict.fromkeys(("&&", "||"), "LOGICALOP"),
    **dict.fromkeys(COMPARATORS, "COMPARATOR"),
    **dict.fromkeys(("?", ":", "??"), "TERNARY"),
}
_LAYOUTS = (
    "Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan 02 15:04:05 -0700 2006", "3:04PM",
    "2006-01-02T15:04:05Z07:00", "2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05-07:00",
    "2006-01-02T15Z0700", "2006-01-02T15:04Z0700", "2006-01-02T15:04:05Z0700",
)  # fmt: skip
_OPERANDS = {"NUMERIC", "BOOLEAN", "VARIABLE", "PATTERN", "ACCESSOR", "STRING", "TIME", "CLAUSE"}
_AFTER_VALUE = {"MODIFIER", "COMPARATOR", "LOGICALOP", "CLAUSE_CLOSE", "SEPARATOR"}
_FOLLOWS: dict[str, set[str]] = {
    "UNKNOWN": {"PREFIX"} | _OPERANDS,
    "CLAUSE": {"PREFIX", "CLAUSE_CLOSE"} | _OPERANDS,
    "CLAUSE_CLOSE": _AFTER_VALUE | (_OPERANDS - {"ACCESSOR"}) | {"TERNARY"},
    **dict.fromkeys(("NUMERIC", "BOOLEAN", "STRING", "VARIABLE"), _AFTER_VALUE | {"TERNARY"}),
    **dict.fromkeys(("TIME", "PATTERN"), _AFTER_VALUE),
    "MODIFIER": {"PREFIX", "NUMERIC", "VARIABLE", "ACCESSOR", "STRING", "BOOLEAN", "CLAUSE", "CLAUSE_CLOSE"},
    "COMPARATOR": {"PREFIX", "CLAUSE_CLOSE"} | _OPERANDS,
    "LOGICALOP": {"PREFIX", "CLAUSE_CLOSE"} | (_OPERANDS - {"PATTERN"}),
    "PREFIX": {"NUMERIC", "BOOLEAN", "VARIABLE", "ACCESSOR", "CLAUSE", "CLAUSE_CLOSE"},
    "TERNARY": {"PREFIX", "SEPARATOR"} | (_OPERANDS - {"PATTERN"}),
    "ACCESSOR": _AFTER_VALUE | {"TERNARY", "CLAUSE"},
    "SEPARATOR": {"PREFIX"} | (_OPERANDS - {"PATTERN"}),
}
_ENDS = {"CLAUSE_CLOSE", "NUMERIC", "BOOLEAN", "STRING", "TIME", "PATTERN", "VARIABLE", "ACCESSOR"}


class BadConditionError(Exception):
    """The condition does not parse."""


class InvalidTokenError(BadConditionError):
    """A run of symbols is no operator."""


class Token(NamedTuple):
    """One token of a condition."""

    kind: str
    value: Any


def tokenize(text: str) -> list[Token]:
    """Cut `text`. Raises BadConditionError."""
    return _Reader(text).all()


def check(tokens: list[Token]) -> None:
    """Refuse tokens that can't stand in this order. Raises BadConditionError."""
    balance = sum((token.kind == "CLAUSE") - (token.kind == "CLAUSE_CLOSE") for token in tokens)
    if balance:
        msg = "Unbalanced parenthesis"
        raise BadConditionError(msg)
    last = Token("UNKNOWN", None)
    for token in tokens:
        if token.kind not in _FOLLOWS[last.kind]:
            if last.kind == "VARIABLE" and token.kind == "CLAUSE":
                msg = f"Undefined function {last.value}"
                raise BadConditionError(msg)
            msg = f"Cannot transition token types from {_shown(last)} to {_shown(token)}"
            raise BadConditionError(msg)
        last = token
    if last.kind not in _ENDS:
        msg = "Unexpected end of expression"
        raise BadConditionError(msg)


def _shown(token: Token) -> str:
    value = str(ord(token.value)) if token.kind in ("CLAUSE", "CLAUSE_CLOSE") else go_value(token.value)
    return f"{token.kind} [{value}]"


def is_space(char: str) -> bool:
    """Go's unicode.IsSpace."""
    return char.isspace() and char not in "\x1c\x1d\x1e\x1f"


def _is_numeric(char: str) -> bool:
    return char.isdecimal() or char == "."


def _is_name(char: str) -> bool:
    return char.isalpha() or char.isdecimal() or char in "_."


def _is_symbol(char: str) -> bool:
    return not (char.isalpha() or char.isdecimal() or char in "()[]'\"")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._state = "UNKNOWN"

    def all(self) -> list[Token]:
        tokens: list[Token] = []
        while True:
            while self._at < len(self._text) and is_space(self._text[self._at]):
                self._at += 1
            if self._at >= len(self._text):
                return tokens
            tokens.append(self._next())
            self._state = tokens[-1].kind

    def _until(self, keep: Callable[[str], bool], *, spaces: bool) -> tuple[str, bool]:
        """Characters while `keep` says so; a backslash keeps the next one. With `spaces` they belong to it."""
        found, text = "", self._text
        while self._at < len(text):
            char = text[self._at]
            self._at += 1
            if char == "\\":
                if self._at >= len(text):
                    msg = "a backslash ends the expression"
                    raise BadConditionError(msg)
                found += text[self._at]
                self._at += 1
            elif is_space(char) and not spaces:
                if found:
                    return found, True
            elif keep(char):
                found += char
            else:
                self._at -= 1
                return found, True
        return found, False

    def _next(self) -> Token:
        char = self._text[self._at]
        if _is_numeric(char):
            return self._number()
        if char == "[":
            return Token("VARIABLE", self._enclosed(lambda inner: inner != "]", "Unclosed parameter bracket"))
        if char.isalpha():
            return self._word()
        if char in "'\"":
            value = self._enclosed(lambda inner: inner not in "'\"", "Unclosed string literal")
            moment = _moment(value)
            return Token("STRING", value) if moment is None else Token("TIME", moment)
        if char in ",()":
            self._at += 1
            return Token({",": "SEPARATOR", "(": "CLAUSE", ")": "CLAUSE_CLOSE"}[char], char)
        return self._symbol()

    def _number(self) -> Token:
        hexadecimal = re.compile(r"0x(?=.)", re.DOTALL).match(self._text, self._at)
        if hexadecimal:
            self._at = hexadecimal.end()
            digits, _ = self._until(lambda char: char.isdecimal() or char.lower() in "abcdef", spaces=False)
            if not re.fullmatch("[0-9a-fA-F]{1,16}", digits.lstrip("0") or digits[:1]):
                msg = f"Unable to parse hex value '{digits}' to uint64\n"
                raise BadConditionError(msg)
            return Token("NUMERIC", float(int(digits, 16)))
        digits, _ = self._until(_is_numeric, spaces=False)
        try:
            return Token("NUMERIC", parse_float(digits))
        except ValueError:
            msg = f"Unable to parse numeric value '{digits}' to float64\n"
            raise BadConditionError(msg) from None

    def _enclosed(self, keep: Callable[[str], bool], problem: str) -> str:
        self._at += 1
        value, closed = self._until(keep, spaces=True)
        if not closed:
            raise BadConditionError(problem)
        self._at += 1
        return value

    def _word(self) -> Token:
        word, _ = self._until(_is_name, spaces=False)
        if word in ("true", "false"):
            return Token("BOOLEAN", word == "true")
        if word in ("in", "IN"):
            return Token("COMPARATOR", "in")
        if "." not in word[1:]:
            return Token("VARIABLE", word)
        if word.endswith("."):
            msg = f"Hanging accessor on token '{word}'"
            raise BadConditionError(msg)
        parts = word.split(".")
        for part in parts[1:]:
            if part[:1] and part[0].upper() != part[0]:
                msg = f"Unable to access unexported field '{part}' in token '{word}'"
                raise BadConditionError(msg)
        return Token("ACCESSOR", parts)

    def _symbol(self) -> Token:
        symbol, _ = self._until(_is_symbol, spaces=False)
        if symbol in PREFIXES and "PREFIX" in _FOLLOWS[self._state]:
            return Token("PREFIX", symbol)
        kind = _KINDS.get(symbol)
        if kind is None:
            msg = f"Invalid token: '{symbol}'"
            raise InvalidTokenError(msg)
        return Token(kind, symbol)


def _moment(text: str) -> float | None:
    """`text` as seconds since 1970 if it is a date."""
    if not any(char.isdigit() for char in text):
        return None
    for layout in _LAYOUTS:
        try:
            return float(layouts.parse(layout, text).ns // SECOND)
        except (ValueError, OverflowError):
            continue
    return None
