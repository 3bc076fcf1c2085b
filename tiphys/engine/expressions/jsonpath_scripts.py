"""The scripts inside of JSONPath's brackets: `?(@.x > 1 && @.y == 'a')` and `(@.length-1)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.literals import parse_float
from tiphys.engine.expressions.operators import power, quotient
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.gotext import go_value, parse_json

_OPERATORS = (
    "||",
    "&&",
    "==",
    "!=",
    "<=",
    ">=",
    "<",
    ">",
    "=~",
    "!",
    "+",
    "-",
    "**",
    "*",
    "/",
    "%",
    "not in",
    "in",
    "@",
    "$",
)
Select = Callable[[str, Any, Any], Any]
Node = tuple[Any, ...]


class Script:
    """A script, parsed once; `select` answers the paths inside of it."""

    def __init__(self, text: str, select: Select) -> None:
        """Raises ExpressionError for a path that does not parse."""
        self._text, self._select = text, select
        self._tree = _built(text, _OPERATORS)

    def value(self, root: Any, current: Any) -> Any:
        """What the script gives for `current`. Raises ExpressionError."""
        if not self._text:
            raise _fail("invalid expression. is empty")
        run = _Run(root, current, self._select)
        if self._tree is not None:
            return run.value(self._tree)
        if self._text in run.names:
            return run.names[self._text]
        for read in (run.number, run.truth):
            try:
                return read(self._text)
            except ExpressionError:
                continue
        return self._text


def _fail(message: str) -> ExpressionError:
    return ExpressionError(message)


def _outside(text: str, operator: str) -> int:
    """Where `operator` first stands outside of quotes and brackets; -1 if it does not."""
    quote, square, round_ = "", 0, 0
    for at, char in enumerate(text):
        if char in "()" and not quote and square <= 0:
            round_ += 1 if char == "(" else -1
        elif char in "[]" and not quote and round_ <= 0:
            square += 1 if char == "[" else -1
        elif char in "'\"" and quote in ("", char) and square <= 0 and round_ <= 0:
            quote = "" if quote else char
        if not quote and square <= 0 and round_ <= 0 and text.startswith(operator, at):
            return at
    return -1


def _built(text: str, operators: tuple[str, ...]) -> Node | None:
    """`text` as an operator and its arguments; None if no operator stands in it."""
    text = text.strip()
    if not text:
        return None
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
        operators = _OPERATORS
    for index, operator in enumerate(operators):
        at = _outside(text, operator)
        if at < 0:
            continue
        left, right = text[:at].strip(), text[at + len(operator) :].strip()
        if operator in "@$" and not left:
            return ("path", text)
        if operator in "@$" or not right or (not left and operator != "!") or (left and operator == "!"):
            continue
        rest = operators[index:]
        return (operator, _argument(left, rest), _argument(right, rest))
    return None


def _argument(text: str, operators: tuple[str, ...]) -> Any:
    tree = _built(text, operators)
    if tree is not None or not text:
        return tree
    if text[0] + text[-1] in ("[]", "{}"):
        try:
            return ("json", parse_json(text))
        except ValueError:
            return text
    return text


class _Run:
    def __init__(self, root: Any, current: Any, select: Select) -> None:
        self.names: dict[str, Any] = {"$": root, "@": current, "nil": None, "null": None}
        self._select = select

    def value(self, node: Node) -> Any:  # noqa: PLR0911
        operator = node[0]
        if operator == "path":
            found = self._select(node[1], self.names["$"], self.names["@"])
            quoted = isinstance(found, str) and len(found) > 1 and found[0] == found[-1] == "'"
            return f"'{found}'" if isinstance(found, str) and not quoted else found
        if operator == "json":
            return node[1]
        if operator in ("&&", "||"):
            left, right = self.truth(node[1]), self.truth(node[2])
            return (left and right) if operator == "&&" else (left or right)
        if operator == "!":
            return not self.truth(node[2])
        if operator in ("==", "!="):
            return self._equal(node[1], node[2]) == (operator == "==")
        if operator == "=~":
            return compile_regex(_bare(self.text(node[2]))).found_in(_bare(self.text(node[1])))
        if operator in ("in", "not in"):
            return self._inside(node[1], node[2]) == (operator == "in")
        return _NUMERIC[operator](self.number(node[1]), self.number(node[2]))

    def _given(self, argument: Any) -> Any:
        if isinstance(argument, tuple):
            argument = self.value(argument)
        return self.names[argument] if isinstance(argument, str) and argument in self.names else argument

    def number(self, argument: Any) -> float:
        if argument is None:
            raise _fail("invalid argument. is nil")
        try:
            return parse_float(go_value(self._given(argument)))
        except ValueError:
            raise _fail("invalid argument. expected number") from None

    def truth(self, argument: Any) -> bool:
        found = self._given(argument)
        text = "false" if found is None else go_value(found)
        if text in ("1", "t", "T", "true", "TRUE", "True"):
            return True
        if text in ("0", "f", "F", "false", "FALSE", "False"):
            return False
        raise _fail("invalid argument. expected boolean")

    def text(self, argument: Any) -> str:
        if argument is None:
            raise _fail("invalid argument. is nil")
        if isinstance(argument, tuple):
            argument = self.value(argument)
        if not isinstance(argument, str):
            return go_value(argument)
        named = argument in self.names
        found = self.names[argument] if named else argument
        if not isinstance(found, str):
            return go_value(found)
        if len(found) > 1 and found[0] == found[-1] == "'":
            return found
        if len(found) > 1 and found[0] == found[-1] == '"':
            return f"'{found[1:-1]}'"
        return f"'{found}'" if named else found

    def _equal(self, left: Any, right: Any) -> bool:
        try:
            return self.number(left) == self.number(right)
        except ExpressionError:
            return self.text(left) == self.text(right)

    def _inside(self, left: Any, right: Any) -> bool:
        item: Any = None
        for read in (self.number, self.text, self.truth):
            try:
                item = read(left)
                break
            except ExpressionError:
                continue
        found = self._given(right)
        elements = list(found.values()) if isinstance(found, dict) else found
        if not isinstance(elements, list):
            raise _fail("invalid argument. expected collection")
        return any(type(element) is type(item) and element == item for element in elements)


def _bare(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


_NUMERIC: dict[str, Callable[[float, float], Any]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": quotient,
    "%": lambda left, right: math.fmod(left, right) if right else math.nan,
    "**": power,
}
