"""Cuts an expression of the expr language into tokens."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tiphys.engine.errors import ExpressionError

_NUMBER = re.compile(r"0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*)?\.?\d[\d_]*(?:[eE][+-]?\d+)?|\d[\d_]*")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*|[^\W\d]\w*")
_OPERATORS = re.compile(r"\?\.|\?\?|\*\*|\.\.|==|!=|<=|>=|&&|\|\||::|[-+*/%<>!?:|.,;#=()\[\]{}^]")
_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?", "/": "/",
}  # fmt: skip
_HEX = {"x": 2, "u": 4, "U": 8}
_WORD_OPERATORS = {"and", "or", "not", "in", "matches", "contains", "startsWith", "endsWith"}


class Token(NamedTuple):
    """One token: kind is `number`, `string`, `name`, `operator` or `end`."""

    kind: str
    value: Any
    position: int


def tokenize(text: str) -> list[Token]:
    """Cut `text` into tokens, the last one of kind `end`. Raises ExpressionError."""
    tokens: list[Token] = []
    at = 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at >= len(text):
            tokens.append(Token("end", None, at))
            return tokens
        token, at = _next(text, at, tokens)
        tokens.append(token)


def _next(text: str, at: int, before: list[Token]) -> tuple[Token, int]:
    char = text[at]
    if char in "'\"":
        value, end = _quoted(text, at)
        return Token("string", value, at), end
    if char == "`":
        return _raw(text, at)
    after_dot = bool(before) and before[-1].value in (".", "?.") and before[-1].kind == "operator"
    if char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit() and not after_dot):
        return _number(text, at)
    if (name := _NAME.match(text, at)) is not None:
        word = name.group()
        kind = "operator" if word in _WORD_OPERATORS and not after_dot else "name"
        return Token(kind, word, at), name.end()
    if (operator := _OPERATORS.match(text, at)) is not None:
        return Token("operator", operator.group(), at), operator.end()
    msg = f"unrecognized character: {char!r} at {at} in {text!r}"
    raise ExpressionError(msg)


def _number(text: str, at: int) -> tuple[Token, int]:
    match = re.compile(r"\d[\d_]*(?=\.\.)").match(text, at) or _NUMBER.match(text, at)
    if match is None:
        msg = f"bad number at {at} in {text!r}"
        raise ExpressionError(msg)
    digits = match.group().replace("_", "")
    try:
        is_int = digits[:2].lower() in ("0x", "0b", "0o") or not any(mark in digits for mark in ".eE")
        value: int | float = int(digits, 0 if digits[1:2].isalpha() else 10) if is_int else float(digits)
    except ValueError as error:
        msg = f"bad number {digits!r} in {text!r}"
        raise ExpressionError(msg) from error
    return Token("number", value, at), match.end()


def _raw(text: str, at: int) -> tuple[Token, int]:
    end = text.find("`", at + 1)
    if end < 0:
        msg = f"literal not terminated at {at} in {text!r}"
        raise ExpressionError(msg)
    return Token("string", text[at + 1 : end], at), end + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    quote, index = text[at], at + 1
    parts: list[str] = []
    while index < len(text):
        char = text[index]
        if char == quote:
            return "".join(parts), index + 1
        if char == "\\":
            part, index = _escape(text, index + 1)
            parts.append(part)
            continue
        parts.append(char)
        index += 1
    msg = f"literal not terminated at {at} in {text!r}"
    raise ExpressionError(msg)


def _escape(text: str, at: int) -> tuple[str, int]:
    letter = text[at : at + 1]
    if letter in _ESCAPES and letter:
        return _ESCAPES[letter], at + 1
    if letter in _HEX and letter:
        digits = text[at + 1 : at + 1 + _HEX[letter]]
        try:
            return chr(int(digits, 16)), at + 1 + len(digits)
        except ValueError:
            pass
    msg = f"invalid escape \\{letter} at {at} in {text!r}"
    raise ExpressionError(msg)
