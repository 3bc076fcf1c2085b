"""The `when` condition of a step: govaluate's grammar, in which a bare word is a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.gotext import go_value

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)(?![\w.])"
    r"|(?P<text>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
    r"|(?P<bracket>\[(?:\\.|[^\]\\])*\])"
    r"|(?P<word>[^\W\d][\w.]*)"
    r"|(?P<operator>=~|!~|==|!=|>=|<=|&&|\|\||\?\?|\*\*|<<|>>|[-+*/%<>!()?:,&|^~]))"
)
_LEVELS: list[set[str]] = [
    {"||"},
    {"&&"},
    {"==", "!=", ">", "<", ">=", "<=", "=~", "!~", "in"},
    {"+", "-"},
    {"*", "/", "%"},
    {"**"},
]


def should_execute(when: str) -> bool:
    """Whether the substituted condition `when` holds; an empty one does. Raises TemplateError."""
    if not when:
        return True
    try:
        result = _Condition(when).whole()
    except _BadConditionError as problem:
        msg = f"Invalid 'when' expression '{when}': {problem}{problem.hint}"
        raise TemplateError(msg) from None
    except _FailedError as problem:
        msg = f"Failed to evaluate 'when' expresion '{when}': {problem}"
        raise TemplateError(msg) from None
    if not isinstance(result, bool):
        msg = f"Expected boolean evaluation for '{when}'. Got {go_value(result)}"
        raise TemplateError(msg)
    return result


class _BadConditionError(Exception):
    hint = ""


class _InvalidTokenError(_BadConditionError):
    hint = ' (hint: try wrapping the affected expression in quotes ("))'


class _FailedError(Exception):
    """The condition parses but can't be evaluated."""


class _Condition:
    def __init__(self, text: str) -> None:
        self._tokens = _tokenize(text)
        self._index = 0

    def whole(self) -> Any:
        result = self._level(0)()
        if self._index < len(self._tokens):
            kind, value = self._tokens[self._index]
            msg = f"Cannot transition token types from {_last_kind(self._tokens, self._index)} to {_go_kind(kind, value)} [{value}]"
            raise _BadConditionError(msg)
        return result

    def _peek(self) -> tuple[str, Any]:
        return self._tokens[self._index] if self._index < len(self._tokens) else ("end", None)

    def _level(self, level: int) -> Callable[[], Any]:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while self._peek()[0] == "operator" and self._peek()[1] in _LEVELS[level]:
            operator = self._tokens[self._index][1]
            self._index += 1
            right = self._level(level + 1)
            left = _join(operator, left, right)
        return left

    def _unary(self) -> Callable[[], Any]:
        kind, value = self._peek()
        if kind == "operator" and value in ("!", "-", "~"):
            self._index += 1
            operand = self._unary()
            return (lambda: not _boolean(operand(), "!")) if value == "!" else (lambda: -_number(operand()))
        return self._primary()

    def _primary(self) -> Callable[[], Any]:
        kind, value = self._peek()
        self._index += 1
        if kind == "value":
            return lambda: value
        if (kind, value) == ("operator", "("):
            return self._parenthesised()
        if kind == "end":
            msg = "Unexpected end of expression"
            raise _BadConditionError(msg)
        msg = f"Cannot transition token types from UNKNOWN to {_go_kind(kind, value)} [{value}]"
        raise _BadConditionError(msg)

    def _parenthesised(self) -> Callable[[], Any]:
        parts = [self._level(0)]
        while self._peek() == ("operator", ","):
            self._index += 1
            parts.append(self._level(0))
        if self._peek() != ("operator", ")"):
            msg = "Unbalanced parenthesis"
            raise _BadConditionError(msg)
        self._index += 1
        if len(parts) == 1:
            return parts[0]
        return lambda: [part() for part in parts]


def _tokenize(text: str) -> list[tuple[str, Any]]:
    tokens: list[tuple[str, Any]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            msg = f"Invalid token: '{_symbols(text[at:].strip())}'"
            raise _InvalidTokenError(msg)
        tokens.append(_token(match))
        at = match.end()
    return tokens


def _symbols(text: str) -> str:
    """The run of symbols that starts `text`."""
    found = re.match(r"[^\w\s]+|\S", text)
    return found.group() if found else text


def _token(match: re.Match[str]) -> tuple[str, Any]:
    kind, text = match.lastgroup, match.group(match.lastgroup or 0)
    if kind == "number":
        return "value", float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
    if kind == "text":
        return "value", re.sub(r"\\(.)", r"\1", text[1:-1])
    if kind == "bracket":
        return "value", re.sub(r"\\(.)", r"\1", text[1:-1])
    if kind == "word":
        return _word(text)
    return "operator", text


def _word(text: str) -> tuple[str, Any]:
    if text in ("true", "false"):
        return "value", text == "true"
    if text.lower() == "in":
        return "operator", "in"
    return "value", text


def _go_kind(kind: str, value: Any) -> str:
    if kind == "operator":
        return {"(": "CLAUSE", ")": "CLAUSE_CLOSE"}.get(value, "COMPARATOR")
    return {bool: "BOOLEAN", float: "NUMERIC"}.get(type(value), "VARIABLE")


def _last_kind(tokens: list[tuple[str, Any]], index: int) -> str:
    return _go_kind(*tokens[index - 1]) if index else "UNKNOWN"


def _boolean(value: Any, operator: str) -> bool:
    if not isinstance(value, bool):
        msg = f"Value '{go_value(value)}' cannot be used with the logical operator '{operator}', it is not a bool"
        raise _FailedError(msg)
    return value


def _number(value: Any, operator: str = "-") -> float:
    if not isinstance(value, float):
        msg = f"Value '{go_value(value)}' cannot be used with the modifier '{operator}', it is not a number"
        raise _FailedError(msg)
    return value


def _join(operator: str, left: Callable[[], Any], right: Callable[[], Any]) -> Callable[[], Any]:
    if operator == "&&":
        return lambda: _boolean(left(), "&&") and _boolean(right(), "&&")
    if operator == "||":
        return lambda: _boolean(left(), "||") or _boolean(right(), "||")
    return lambda: _apply(operator, left(), right())


def _apply(operator: str, left: Any, right: Any) -> Any:
    if operator in ("==", "!="):
        return (type(left) is type(right) and left == right) == (operator == "==")
    if operator in ("=~", "!~"):
        return (re.search(str(right), str(left)) is not None) == (operator == "=~")
    if operator == "in":
        if not isinstance(right, list):
            msg = f"Value '{go_value(right)}' cannot be used with the comparator 'in', it is not an array"
            raise _FailedError(msg)
        return left in right
    if operator == "+" and (isinstance(left, str) or isinstance(right, str)):
        return go_value(left) + go_value(right)
    if operator in (">", "<", ">=", "<=") and isinstance(left, str) and isinstance(right, str):
        return _COMPARE[operator](left, right)
    if not (isinstance(left, float) and isinstance(right, float)):
        wrong = right if isinstance(left, float) else left
        role = "comparator" if operator in _COMPARE else "modifier"
        msg = f"Value '{go_value(wrong)}' cannot be used with the {role} '{operator}', it is not a number"
        raise _FailedError(msg)
    return (_COMPARE | _COMPUTE)[operator](left, right)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else float("inf"),
    "%": lambda a, b: float(a % b),
    "**": lambda a, b: a**b,
}
