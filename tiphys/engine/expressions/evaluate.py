"""Evaluates parsed expressions with the semantics of expr-lang."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import syntax
from tiphys.engine.expressions.builtins import BUILTINS, LAZY
from tiphys.engine.expressions.environment import Environment
from tiphys.engine.expressions.parser import parse
from tiphys.engine.expressions.sprig import SPRIG
from tiphys.engine.gotext import AnyKeys, go_value


class _NilChainError(Exception):
    """An optional link was nil: the whole chain is nil."""


def evaluate(text: str, environment: Environment) -> Any:
    """The value of `text`. Raises ExpressionError."""
    tree = parse(text)
    compile_check(tree, environment, text)
    try:
        return _Evaluation(environment).value(tree)
    except ExpressionError as error:
        raise error.shown_in(text) from None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        msg = f"{error} in {text!r}"
        raise ExpressionError(msg) from error


def evaluate_bool(text: str, environment: Environment) -> bool:
    """The value of `text`, which must be true or false. Raises ExpressionError."""
    result = evaluate(text, environment)
    if not isinstance(result, bool):
        msg = f"unable to cast expression result '{go_value(result)}' to bool"
        raise ExpressionError(msg)
    return result


def compile_check(tree: syntax.Node, environment: Environment, text: str) -> None:
    """What expr finds before it runs: unknown names, and comparisons of plain texts with numbers."""
    _check_names(tree, environment, frozenset(), text)
    _check_types(tree, environment, text)


def _check_names(node: syntax.Node, environment: Environment, local: frozenset[str], text: str) -> None:
    if isinstance(node, syntax.Let):
        _check_names(node.value, environment, local, text)
        _check_names(node.body, environment, local | {node.name}, text)
        return
    if isinstance(node, syntax.Name):
        known = node.name in local or node.name in environment or is_function(node.name)
        if not known:
            raise ExpressionError(f"unknown name {node.name}", node.at).shown_in(text)
    for child in syntax.children(node):
        _check_names(child, environment, local, text)


def _check_types(node: syntax.Node, environment: Environment, text: str) -> None:
    if isinstance(node, syntax.Binary) and node.operator in ("==", "!=", "<", ">", "<=", ">=", "-", "*", "/", "%"):
        left, right = (_static_type(side, environment) for side in (node.left, node.right))
        if left and right and not _comparable(left, right, node.operator):
            message = f"invalid operation: {node.operator} (mismatched types {left} and {right})"
            raise ExpressionError(message, node.at).shown_in(text)
    for child in syntax.children(node):
        _check_types(child, environment, text)


def _comparable(left: str, right: str, operator: str) -> bool:
    numbers = {"int", "float64"}
    if left in numbers and right in numbers:
        return True
    return left == right and (left != "string" or operator not in "-*/%")


def _static_type(node: syntax.Node, environment: Environment) -> str | None:
    value: Any = None
    if isinstance(node, syntax.Literal):
        value = node.value
    elif isinstance(node, syntax.Name):
        value = environment.get(node.name)
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "int"
    return "float64" if isinstance(value, float) else None


def is_function(path: str) -> bool:
    """Whether `path` names a function that every expression has, such as `len` or `sprig.upper`."""
    first, _, rest = path.partition(".")
    return first in BUILTINS or first in LAZY or (first == "sprig" and (not rest or rest in SPRIG))


class _Evaluation:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._locals: dict[str, Any] = {}
        self._pointers: list[dict[str, Any]] = []

    def value(self, node: syntax.Node) -> Any:
        try:
            return _HANDLERS[type(node)](self, node)
        except ExpressionError as error:
            if error.at < 0 and node.at >= 0:
                error.at = node.at
            raise

    def literal(self, node: syntax.Literal) -> Any:
        return node.value

    def name(self, node: syntax.Name) -> Any:
        if node.name in self._locals:
            return self._locals[node.name]
        if node.name in self._environment:
            return self._environment[node.name]
        if node.name == "sprig":
            return SPRIG
        return BUILTINS.get(node.name)

    def pointer(self, node: syntax.Pointer) -> Any:
        if not self._pointers:
            msg = "cannot use # outside of a predicate"
            raise ExpressionError(msg)
        return self._pointers[-1][node.name]

    def member(self, node: syntax.Member) -> Any:
        target = self.value(node.target)
        if target is None and node.optional:
            raise _NilChainError
        key = self.value(node.key)
        return fetch(target, key)

    def chain(self, node: syntax.Chain) -> Any:
        try:
            return self.value(node.body)
        except _NilChainError:
            return None

    def slice(self, node: syntax.Slice) -> Any:
        target = self.value(node.target)
        size = len(target)
        start = 0 if node.start is None else int(self.value(node.start))
        end = size if node.end is None else int(self.value(node.end))
        start, end = (max(0, min(size, size + edge if edge < 0 else edge)) for edge in (start, end))
        return target[start:end] if start <= end else target[:0]

    def unary(self, node: syntax.Unary) -> Any:
        operand = self.value(node.operand)
        if node.operator in ("!", "not"):
            return not _bool(operand)
        if isinstance(operand, bool) or not isinstance(operand, (int, float)):
            msg = f"invalid operation: {node.operator} on {go_value(operand)}"
            raise ExpressionError(msg)
        return -operand if node.operator == "-" else operand

    def binary(self, node: syntax.Binary) -> Any:
        if node.operator in ("&&", "and"):
            return _bool(self.value(node.left)) and _bool(self.value(node.right))
        if node.operator in ("||", "or"):
            return _bool(self.value(node.left)) or _bool(self.value(node.right))
        if node.operator == "??":
            left = self.value(node.left)
            return self.value(node.right) if left is None else left
        return _OPERATORS[node.operator](self.value(node.left), self.value(node.right))

    def conditional(self, node: syntax.Conditional) -> Any:
        return self.value(node.yes if _bool(self.value(node.test)) else node.no)

    def array(self, node: syntax.Array) -> Any:
        return [self.value(item) for item in node.items]

    def mapping(self, node: syntax.Mapping) -> Any:
        return {go_value(self.value(key)): self.value(value) for key, value in node.pairs}

    def let(self, node: syntax.Let) -> Any:
        before = dict(self._locals)
        self._locals[node.name] = self.value(node.value)
        try:
            return self.value(node.body)
        finally:
            self._locals = before

    def predicate(self, node: syntax.Predicate) -> Any:
        return self.function_of(node)

    def function_of(self, node: syntax.Node) -> Callable[..., Any]:
        body = node.body if isinstance(node, syntax.Predicate) else node

        def once(element: Any, index: int = 0, accumulator: Any = None) -> Any:
            self._pointers.append({"": element, "index": index, "acc": accumulator})
            try:
                return self.value(body)
            finally:
                self._pointers.pop()

        return once

    def call(self, node: syntax.Call) -> Any:
        name = node.function.name if isinstance(node.function, syntax.Name) else ""
        arguments = [self.value(argument) for argument in node.arguments]
        function = BUILTINS.get(name) or LAZY.get(name) or self.value(node.function)
        if not callable(function):
            msg = f"unknown function {name or 'there'}"
            raise ExpressionError(msg)
        return function(*arguments)


def fetch(target: Any, key: Any) -> Any:
    """`target[key]` as expr: a missing map key is nil, an index outside a list is an error."""
    if isinstance(target, dict):
        return target.get(key if isinstance(key, str) or isinstance(target, AnyKeys) else go_value(key))
    if isinstance(target, (list, str)) and isinstance(key, (int, float)) and not isinstance(key, bool):
        index = int(key)
        if not -len(target) <= index < len(target):
            msg = f"index out of range: {index} (array length is {len(target)})"
            raise ExpressionError(msg)
        return target[index]
    msg = f"cannot fetch {go_value(key)} from {go_value(target)}"
    raise ExpressionError(msg)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        msg = f"{go_value(value)} is not a boolean"
        raise ExpressionError(msg)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _ordered(operator: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        if (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return compare(left, right)
        msg = f"invalid operation: {_type(left)} {operator} {_type(right)}"
        raise ExpressionError(msg)

    return apply


def _numeric(operator: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        if _is_number(left) and _is_number(right):
            return compute(left, right)
        msg = f"invalid operation: {_type(left)} {operator} {_type(right)}"
        raise ExpressionError(msg)

    return apply


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _numeric("+", lambda a, b: a + b)(left, right)


def _divide(left: Any, right: Any) -> float:
    if right == 0:
        return float("nan") if left == 0 else float("inf") * (1 if left > 0 else -1)
    return float(left / right)


def _modulo(left: Any, right: Any) -> Any:
    if right == 0:
        msg = "integer divide by zero"
        raise ExpressionError(msg)
    quotient = abs(int(left)) % abs(int(right))
    return quotient if left >= 0 else -quotient


def _inside(left: Any, right: Any) -> bool:
    if right is None:
        return False
    if isinstance(right, dict):
        return left in right
    if isinstance(right, list):
        return any(_equal(left, item) for item in right)
    msg = f'operator "in" not defined on {_type(right)}'
    raise ExpressionError(msg)


def _texts(operator: str, test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return test(left, right)
        msg = f"invalid operation: {_type(left)} {operator} {_type(right)}"
        raise ExpressionError(msg)

    return apply


def _range(left: Any, right: Any) -> list[int]:
    return list(range(int(left), int(right) + 1))


def _type(value: Any) -> str:
    return str(BUILTINS["type"](value))


_power = _numeric("**", lambda a, b: float(a) ** float(b))
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered("<", lambda a, b: a < b),
    ">": _ordered(">", lambda a, b: a > b),
    "<=": _ordered("<=", lambda a, b: a <= b),
    ">=": _ordered(">=", lambda a, b: a >= b),
    "+": _add,
    "-": _numeric("-", lambda a, b: a - b),
    "*": _numeric("*", lambda a, b: a * b),
    "/": _numeric("/", _divide),
    "%": _numeric("%", _modulo),
    "**": _power,
    "^": _power,
    "..": _range,
    "in": _inside,
    "matches": _texts("matches", lambda text, pattern: re.search(pattern, text) is not None),
    "contains": _texts("contains", lambda text, part: part in text),
    "startsWith": _texts("startsWith", str.startswith),
    "endsWith": _texts("endsWith", str.endswith),
}
_HANDLERS: dict[type[syntax.Node], Callable[[_Evaluation, Any], Any]] = {
    syntax.Literal: _Evaluation.literal,
    syntax.Name: _Evaluation.name,
    syntax.Pointer: _Evaluation.pointer,
    syntax.Member: _Evaluation.member,
    syntax.Chain: _Evaluation.chain,
    syntax.Slice: _Evaluation.slice,
    syntax.Unary: _Evaluation.unary,
    syntax.Binary: _Evaluation.binary,
    syntax.Conditional: _Evaluation.conditional,
    syntax.Array: _Evaluation.array,
    syntax.Mapping: _Evaluation.mapping,
    syntax.Let: _Evaluation.let,
    syntax.Predicate: _Evaluation.predicate,
    syntax.Call: _Evaluation.call,
}
