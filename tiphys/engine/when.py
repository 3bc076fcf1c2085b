"""The `when` condition of a step: govaluate's grammar, in which a bare word is a text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError, TemplateError
from tiphys.engine.expressions.operators import power, quotient
from tiphys.engine.expressions.regex import Regex, compile_regex
from tiphys.engine.expressions.values import cut, to_bytes
from tiphys.engine.gotext import go_value
from tiphys.engine.when_tokens import COMPARATORS, BadConditionError, InvalidTokenError, Token, check, tokenize

_HINT = ' (hint: try wrapping the affected expression in quotes ("))'
_LEVELS: list[tuple[str, tuple[str, ...]]] = [
    ("SEPARATOR", (",",)),
    ("TERNARY", ("?", ":", "??")),
    ("LOGICALOP", ("||",)),
    ("LOGICALOP", ("&&",)),
    ("COMPARATOR", COMPARATORS),
    ("MODIFIER", ("^", "&", "|")),
    ("MODIFIER", (">>", "<<")),
    ("MODIFIER", ("+", "-")),
    ("MODIFIER", ("*", "/", "%")),
    ("MODIFIER", ("**",)),
]
_RANK = {symbol: rank for rank, (_, symbols) in enumerate(_LEVELS) for symbol in symbols}


def should_execute(when: str) -> bool:
    """Whether the substituted condition `when` holds; an empty one does. Raises TemplateError."""
    if not when:
        return True
    try:
        result = _planned(when).value()
    except InvalidTokenError as problem:
        msg = f"Invalid 'when' expression '{when}': {problem}{_HINT}"
        raise TemplateError(msg) from None
    except BadConditionError as problem:
        msg = f"Invalid 'when' expression '{when}': {problem}"
        raise TemplateError(msg) from None
    except (_FailedError, ExpressionError) as problem:
        msg = f"Failed to evaluate 'when' expresion '{when}': {problem}"
        raise TemplateError(msg) from None
    except RecursionError:
        msg = f"Invalid 'when' expression '{when[:60]}...': it is nested too deeply"
        raise TemplateError(msg) from None
    if not isinstance(result, bool):
        msg = f"Expected boolean evaluation for '{when}'. Got {go_value(result)}"
        raise TemplateError(msg)
    return result


class _FailedError(Exception):
    """The condition parses but can't be evaluated."""


class _Stage:
    """One operator with its two sides, or a value."""

    def __init__(
        self, symbol: str, left: _Stage | None = None, right: _Stage | None = None, literal: Any = None
    ) -> None:
        self.symbol = symbol
        self.left, self.right = left, right
        self.literal = literal

    def value(self) -> Any:
        if self.symbol == "value":
            return self.literal
        if self.symbol == "accessor":
            if self.right is not None:
                self.right.value()
            msg = f"No parameter '{self.literal[0]}' found."
            raise _FailedError(msg)
        left = self.left.value() if self.left is not None else None
        if self.symbol in _SHORT and left is _SHORT[self.symbol]:
            return left
        if self.symbol == "??" and left is not None:
            return left
        skipped = (self.symbol == "?" and left is False) or (self.symbol == ":" and left is not None)
        right = self.right.value() if self.right is not None and not skipped else None
        return _apply(self.symbol, left, right)


_SHORT = {"&&": False, "||": True}


def _planned(text: str) -> _Stage:
    tokens = tokenize(text)
    check(tokens)
    _compile_patterns(tokens)
    tokens = [Token("STRING", token.value) if token.kind == "VARIABLE" else token for token in tokens]
    check(tokens)
    _compile_patterns(tokens)
    stage = _Plan(tokens).level(0)
    if stage is None:
        msg = "Unexpected end of expression"
        raise BadConditionError(msg)
    _reorder(stage)
    return stage


def _compile_patterns(tokens: list[Token]) -> None:
    """A text after `=~` or `!~` becomes a pattern. Raises BadConditionError."""
    for index, before in enumerate(tokens[:-1]):
        if before.kind == "COMPARATOR" and before.value in ("=~", "!~") and tokens[index + 1].kind == "STRING":
            try:
                tokens[index + 1] = Token("PATTERN", compile_regex(tokens[index + 1].value))
            except ExpressionError as problem:
                raise BadConditionError(str(problem)) from None


class _Plan:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def level(self, rank: int) -> _Stage | None:
        """The stage of the operators from `rank` on; a chain of equal ones leans to the right until reordered."""
        if rank == len(_LEVELS):
            return self._operand()
        left = self.level(rank + 1)
        kind, symbols = _LEVELS[rank]
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == kind and token.value in symbols:
                self._at += 1
                return _Stage(token.value, left, self.level(rank))
        return left

    def _operand(self) -> _Stage | None:
        if self._at >= len(self._tokens):
            return None
        token = self._tokens[self._at]
        if token.kind == "CLAUSE_CLOSE":
            return None
        self._at += 1
        if token.kind == "CLAUSE":
            inner = self.level(0)
            self._at += 1
            return _Stage("()", None, inner)
        if token.kind == "PREFIX":
            return _Stage(f"prefix {token.value}", None, self._operand())
        if token.kind == "ACCESSOR":
            called = self._at < len(self._tokens) and self._tokens[self._at].kind == "CLAUSE"
            return _Stage("accessor", None, self.level(0) if called else None, token.value)
        if token.kind not in ("STRING", "NUMERIC", "BOOLEAN", "TIME", "PATTERN"):
            msg = f"Unable to plan token kind: '{token.kind}', value: '{go_value(token.value)}'"
            raise BadConditionError(msg)
        return _Stage("value", literal=token.value)


def _rank(stage: _Stage) -> str:
    if stage.symbol in ("||", "&&"):
        return stage.symbol
    if stage.symbol in _RANK:
        return str(_RANK[stage.symbol])
    return "prefix" if stage.symbol.startswith("prefix") else stage.symbol


def _reorder(root: _Stage) -> None:
    """Turn chains of operators of one rank, `a - b - c`, so that the left one comes first."""
    chain: list[_Stage] = []
    current: _Stage | None = root
    rank = _rank(root)
    while current is not None:
        following = current.right
        if current.left is not None:
            _reorder(current.left)
        if _rank(current) != rank:
            _mirror(chain)
            chain, rank = [], _rank(current)
        chain.append(current)
        current = following
    _mirror(chain)


def _mirror(chain: list[_Stage]) -> None:
    """`chain` runs from the root down the right sides; afterwards it means the same read from the left."""
    size = len(chain)
    if size < 2:  # noqa: PLR2004
        return
    for stage in chain:
        stage.left, stage.right = stage.right, stage.left
    root, last = chain[0], chain[-1]
    last.left, root.right = root.right, last.left
    for index in range((size - 2) // 2 + 1):
        one, other = chain[index + 1], chain[size - index - 1]
        one.right, other.right = other.right, one.right
    for index in range(size // 2):
        one, other = chain[index], chain[size - index - 1]
        one.symbol, other.symbol = other.symbol, one.symbol
        one.literal, other.literal = other.literal, one.literal


def _need(value: Any, kind: type, symbol: str) -> Any:
    if isinstance(value, kind):
        return value
    what = "comparator" if symbol in COMPARATORS else "modifier"
    forms = {
        bool: f"Value '{go_value(value)}' cannot be used with the logical operator '{symbol}', it is not a bool",
        list: f"Value '{go_value(value)}' cannot be used with the comparator '{symbol}', it is not a number",
        str: f"Value '{go_value(value)}' cannot be used with the comparator '{symbol}', it is not a number",
        float: f"Value '{go_value(value)}' cannot be used with the {what} '{symbol}', it is not a number",
    }
    raise _FailedError(forms[kind])


def _apply(symbol: str, left: Any, right: Any) -> Any:  # noqa: PLR0911
    if symbol in _PLAIN:
        return _PLAIN[symbol](left, right)
    if symbol in ("&&", "||"):
        _need(left, bool, symbol)
        return _need(right, bool, symbol)
    if symbol.startswith("prefix"):
        return _prefixed(symbol[-1], right)
    if symbol == "in":
        return any(_same(left, item) for item in _need(right, list, symbol))
    if symbol in ("=~", "!~"):
        pattern = right if isinstance(right, Regex) else compile_regex(_need(right, str, symbol))
        return pattern.found_in(_need(left, str, symbol)) == (symbol == "=~")
    if symbol == "?":
        return right if _need(left, bool, symbol) else None
    if symbol in _COMPARE:
        if isinstance(left, str) and isinstance(right, str):
            return _COMPARE[symbol](to_bytes(left), to_bytes(right))
        return _COMPARE[symbol](*_numbers(symbol, left, right))
    if symbol == "+" and (isinstance(left, str) or isinstance(right, str)):
        return go_value(left) + go_value(right)
    return _COMPUTE[symbol](*_numbers(symbol, left, right))


def _numbers(symbol: str, left: Any, right: Any) -> tuple[float, float]:
    first = left if not (isinstance(left, float) and symbol in _COMPARE) else right
    _need(first, float, symbol)
    return _need(left, float, symbol), _need(right, float, symbol)


def _prefixed(symbol: str, value: Any) -> Any:
    kind = bool if symbol == "!" else float
    if not isinstance(value, kind):
        msg = f"Value '{go_value(value)}' cannot be used with the prefix '{symbol}'"
        raise _FailedError(msg)
    if symbol == "!":
        return not value
    return -value if symbol == "-" else float(~cut(value))


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        msg = "runtime error: comparing uncomparable type []interface {}"
        raise _FailedError(msg)
    return type(left) is type(right) and bool(left == right)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_equal(one, other) for one, other in zip(left, right, strict=True))
    return _same(left, right)


def _separated(left: Any, right: Any) -> list[Any]:
    return [*left, right] if isinstance(left, list) else [left, right]


def _bits(compute: Callable[[int, int], int]) -> Callable[[float, float], float]:
    return lambda left, right: float(compute(cut(left), cut(right)))


def _shift_left(left: int, right: int) -> int:
    return (left << right) & ((1 << 64) - 1) if 0 <= right < 64 else 0  # noqa: PLR2004


def _remainder(left: float, right: float) -> float:
    return math.fmod(left, right) if right and math.isfinite(left) else math.nan


_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "()": lambda _left, right: right,
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    ",": _separated,
    ":": lambda left, right: left if left is not None else right,
    "??": lambda left, right: left if left is not None else right,
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}
_COMPUTE: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": quotient,
    "%": _remainder,
    "**": power,
    "&": _bits(lambda a, b: a & b),
    "|": _bits(lambda a, b: a | b),
    "^": _bits(lambda a, b: a ^ b),
    "<<": _bits(_shift_left),
    ">>": _bits(lambda a, b: a >> min(max(b, 0), 64)),
}
