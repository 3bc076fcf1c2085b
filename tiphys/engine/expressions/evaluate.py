"""Evaluates parsed expressions with the semantics of expr-lang."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import syntax
from tiphys.engine.expressions.builtins import ARGO_FUNCTIONS, BUILTINS
from tiphys.engine.expressions.check import check
from tiphys.engine.expressions.environment import NOW, Environment
from tiphys.engine.expressions.loops import LOOPS, Budget, How, item_of
from tiphys.engine.expressions.methods import method
from tiphys.engine.expressions.operators import OPERATORS, fetch, negate, whole
from tiphys.engine.expressions.optimize import optimize
from tiphys.engine.expressions.parser import parse
from tiphys.engine.expressions.sprig import SPRIG
from tiphys.engine.expressions.values import Function, Items, from_bytes, is_nil, to_bytes, type_of
from tiphys.engine.gotext import go_value

FUNCTIONS: dict[str, Any] = {**ARGO_FUNCTIONS, "sprig": SPRIG}


class _NilChainError(Exception):
    """An optional link was nil: the whole chain is nil."""


def evaluate(text: str, environment: Environment, functions: Mapping[str, Any] = FUNCTIONS) -> Any:
    """The value of `text`; `functions` are known beside the builtin ones. Raises ExpressionError."""
    names = {**functions, **environment}
    try:
        return _Evaluation(names).value(compiled(text, names))
    except ExpressionError as error:
        raise error.shown_in(text) from None
    except RecursionError:
        msg = f"the expression is nested too deeply: {text[:60]!r}..."
        raise ExpressionError(msg) from None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, MemoryError) as error:
        msg = f"{error} in {text!r}"
        raise ExpressionError(msg) from error


def compiled(text: str, names: Environment) -> syntax.Node:
    """`text` parsed, checked and made ready to run. Raises ExpressionError."""
    tree = parse(text)
    return optimize(tree, check(tree, names, text))


def evaluate_bool(text: str, environment: Environment, functions: Mapping[str, Any] = FUNCTIONS) -> bool:
    """The value of `text`, which must be true or false. Raises ExpressionError."""
    result = evaluate(text, environment, functions)
    if not isinstance(result, bool):
        msg = f"unable to cast expression result '{go_value(result)}' to bool"
        raise ExpressionError(msg)
    return result


def is_function(path: str) -> bool:
    """Whether `path` names a function of Argo's environment, such as `asInt` or `sprig.upper`."""
    first, _, rest = path.partition(".")
    return path in FUNCTIONS or (first == "sprig" and rest in SPRIG)


class _Evaluation:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._locals: dict[str, Any] = {}
        self._pointers: list[tuple[Any, int, Any]] = []
        self._budget = Budget()

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
        if node.name == "$env":
            return self._environment
        return self._environment.get(node.name)

    def pointer(self, node: syntax.Pointer) -> Any:
        item, index, accumulator = self._pointers[-1]
        if node.name:
            return index if node.name == "index" else accumulator
        return item_of(item)

    def member(self, node: syntax.Member) -> Any:
        target = self.value(node.target)
        if node.optional and is_nil(target):
            raise _NilChainError
        key = self.value(node.key)
        found = method(target, key) if isinstance(key, str) else None
        return found if found is not None else fetch(target, key)

    def chain(self, node: syntax.Chain) -> Any:
        try:
            found = self.value(node.body)
        except _NilChainError:
            return None
        return None if is_nil(found) else found

    def slice(self, node: syntax.Slice) -> Any:
        target = self.value(node.target)
        if not isinstance(target, (str, list)):
            msg = f"cannot slice {type_of(target)}"
            raise ExpressionError(msg)
        data: Any = to_bytes(target) if isinstance(target, str) else target
        size = len(data)
        end = size if node.end is None else whole(self.value(node.end))
        start = 0 if node.start is None else whole(self.value(node.start))
        start = max(0, start + size if start < 0 else start)
        end = min(size, max(0, end + size if end < 0 else end))
        part = data[min(start, end) : end]
        if isinstance(target, str):
            return from_bytes(part)
        return type(target)(part) if isinstance(target, Items) else part

    def unary(self, node: syntax.Unary) -> Any:
        operand = self.value(node.operand)
        if node.operator in ("!", "not"):
            return not _bool(operand)
        return negate(operand) if node.operator == "-" else operand

    def binary(self, node: syntax.Binary) -> Any:
        operator = node.operator
        if operator in ("&&", "and"):
            return self.value(node.right) if _bool(self.value(node.left)) else False
        if operator in ("||", "or"):
            return True if _bool(self.value(node.left)) else self.value(node.right)
        if operator == "??":
            left = self.value(node.left)
            return self.value(node.right) if is_nil(left) else left
        left, right = self.value(node.left), self.value(node.right)
        if operator.endswith("exactly"):
            return _exactly(left, right) == operator.startswith("==")
        found = OPERATORS[operator](left, right)
        if operator == "..":
            self._budget.take(len(found))
        return found

    def conditional(self, node: syntax.Conditional) -> Any:
        return self.value(node.yes if _bool(self.value(node.test)) else node.no)

    def array(self, node: syntax.Array) -> Any:
        self._budget.take(len(node.items))
        return [self.value(item) for item in node.items]

    def mapping(self, node: syntax.Mapping) -> Any:
        self._budget.take(len(node.pairs))
        found: dict[str, Any] = {}
        for key_node, value_node in node.pairs:
            key, value = self.value(key_node), self.value(value_node)
            if not isinstance(key, str):
                msg = f"interface conversion: interface {{}} is {type_of(key)}, not string"
                raise ExpressionError(msg)
            found.setdefault(key, value)  # expr takes them from the last to the first: the first one stays
        return found

    def let(self, node: syntax.Let) -> Any:
        before = dict(self._locals)
        self._locals[node.name] = self.value(node.value)
        try:
            return self.value(node.body)
        finally:
            self._locals = before

    def sequence(self, node: syntax.Sequence) -> Any:
        return [self.value(part) for part in node.parts][-1]

    def predicate(self, node: syntax.Predicate) -> Any:
        return self._once(node.body)

    def _once(self, body: syntax.Node) -> Callable[..., Any]:
        def once(item: Any, index: int = 0, accumulator: Any = None) -> Any:
            self._pointers.append((item, index, accumulator))
            try:
                return self.value(body)
            finally:
                self._pointers.pop()

        return once

    def call(self, node: syntax.Call) -> Any:
        arguments = [self.value(argument) for argument in node.arguments]
        function = self.value(node.function)
        if not isinstance(function, Function):
            msg = f"invalid operation: cannot call {type_of(function)}"
            raise ExpressionError(msg)
        return function(*arguments)

    def builtin(self, node: syntax.Builtin) -> Any:
        loop = LOOPS.get(node.name)
        arguments = [self.value(argument) for argument in node.arguments]
        if node.name == "now" and not arguments and NOW in self._environment:
            return self._environment[NOW]
        if loop is None:
            found = BUILTINS[node.name](*arguments)
            if node.name in _GROWING:
                self._budget.take(len(found))
            return found
        then = node.then.body if isinstance(node.then, syntax.Predicate) else node.then
        return loop(How(self._budget, self._once(then) if then is not None else None, node.throws), *arguments)


_GROWING = {"repeat", "reverse", "concat", "flatten", "sort"}


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        msg = f"interface conversion: interface {{}} is {type_of(value)}, not bool"
        raise ExpressionError(msg)
    return value


def _exactly(left: Any, right: Any) -> bool:
    """`==` of two ints or two texts, which must be what their types say."""
    if type_of(left) != type_of(right) or left is None:
        msg = f"interface conversion: interface {{}} is {type_of(left)}, not {type_of(right)}"
        raise ExpressionError(msg)
    return bool(left == right)


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
    syntax.Sequence: _Evaluation.sequence,
    syntax.Predicate: _Evaluation.predicate,
    syntax.Call: _Evaluation.call,
    syntax.Builtin: _Evaluation.builtin,
}
