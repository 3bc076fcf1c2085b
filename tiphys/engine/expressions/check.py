"""Checks types before an expression runs, as expr's compiler does: what can't be right is refused even where it is never reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import natures, syntax
from tiphys.engine.expressions.environment import Environment
from tiphys.engine.expressions.natures import BOOL, FLOAT, INT, LIST, MAP, NIL, TEXT, UNKNOWN, Nature
from tiphys.engine.expressions.parser import BUILTIN_NAMES
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.expressions.signatures import result_of

_NUMBERS = ("int", "float")
_ADDED = {
    ("time", "duration"): natures.TIME,
    ("duration", "time"): natures.TIME,
    ("duration", "duration"): natures.DURATION,
    ("string", "string"): TEXT,
}
_SUBTRACTED = {
    ("time", "time"): natures.DURATION,
    ("time", "duration"): natures.TIME,
    ("duration", "duration"): natures.DURATION,
}
_TESTS = ("all", "none", "any", "one", "filter", "count", "find", "findLast", "findIndex", "findLastIndex")


def check(tree: syntax.Node, environment: Environment, text: str) -> set[syntax.Node]:
    """The comparisons of two sides whose types are known. Raises ExpressionError, which shows the place in `text`."""
    checker = _Checker(environment, text)
    checker.visit(tree)
    return checker.exact


class _Checker:
    def __init__(self, environment: Environment, text: str) -> None:
        self._environment = environment
        self._text = text
        self._locals: list[tuple[str, Nature]] = []
        self._scopes: list[tuple[Nature, tuple[str, ...]]] = []
        self.exact: set[syntax.Node] = set()

    def visit(self, node: syntax.Node) -> Nature:
        return _VISITORS[type(node)](self, node)

    def _fail(self, message: str, node: syntax.Node) -> ExpressionError:
        return ExpressionError(message, node.at).shown_in(self._text)

    def literal(self, node: syntax.Literal) -> Nature:
        return natures.nature_of(node.value)

    def name(self, node: syntax.Name) -> Nature:
        for name, nature in reversed(self._locals):
            if name == node.name:
                return nature
        if node.name == "$env":
            return UNKNOWN
        if node.name in self._environment:
            return natures.nature_of(self._environment[node.name])
        if node.name in BUILTIN_NAMES:
            return natures.FUNCTION
        raise self._fail(f"unknown name {node.name}", node)

    def pointer(self, node: syntax.Pointer) -> Nature:
        if not self._scopes:
            raise self._fail("cannot use pointer accessor outside predicate", node)
        collection, names = self._scopes[-1]
        if node.name == "":
            return collection.elem or UNKNOWN if collection.kind == "array" else UNKNOWN
        if node.name not in names:
            raise self._fail(f"unknown pointer #{node.name}", node)
        return INT if node.name == "index" else UNKNOWN

    def member(self, node: syntax.Member) -> Nature:
        if isinstance(node.target, syntax.Name) and node.target.name == "$env":
            return self._of_environment(node)
        base, key = self.visit(node.target), self.visit(node.key)
        if base.unknown:
            return UNKNOWN
        named = node.key.value if isinstance(node.key, syntax.Literal) and isinstance(node.key.value, str) else None
        if base.kind == "nil" and named is not None:
            raise self._fail(f"type nil has no field {named}", node)
        if base.kind in ("time", "duration", "location"):
            return UNKNOWN
        if base.kind == "map":
            if not (key.unknown or key.kind == "string" or base.go_type.startswith("map[interface")):
                raise self._fail(f"cannot use {key.shown()} to get an element from {base.shown()}", node.key)
            return base.elem or UNKNOWN
        if base.kind == "array":
            if not (key.unknown or key.kind == "int"):
                raise self._fail(f"array elements can only be selected using an integer (got {key.shown()})", node.key)
            return base.elem or UNKNOWN
        what = "method" if node.called else "field"
        raise self._fail(f"type {base.shown()} has no {what} {named if named is not None else key.shown()}", node)

    def _of_environment(self, node: syntax.Member) -> Nature:
        if not (isinstance(node.key, syntax.Literal) and isinstance(node.key.value, str)):
            return UNKNOWN
        name = node.key.value
        if name in self._environment:
            return natures.nature_of(self._environment[name])
        if node.optional:
            return UNKNOWN
        raise self._fail(f"unknown name {name}", node)

    def slice(self, node: syntax.Slice) -> Nature:
        base = self.visit(node.target)
        if base.unknown:
            return UNKNOWN
        if base.kind not in ("string", "array"):
            raise self._fail(f"cannot slice {base.shown()}", node)
        for edge in (node.start, node.end):
            if edge is not None and (kind := self.visit(edge)).kind not in ("int", "unknown"):
                raise self._fail(f"non-integer slice index {kind.shown()}", edge)
        return base

    def chain(self, node: syntax.Chain) -> Nature:
        return self.visit(node.body)

    def unary(self, node: syntax.Unary) -> Nature:
        nature = self.visit(node.operand)
        if node.operator in ("!", "not") and nature.kind in ("bool", "unknown"):
            return BOOL
        if node.operator in ("+", "-") and (nature.number or nature.unknown):
            return nature
        raise self._fail(f"invalid operation: {node.operator} (mismatched type {nature.shown()})", node)

    def binary(self, node: syntax.Binary) -> Nature:
        left, right = self.visit(node.left), self.visit(node.right)
        if node.operator in ("==", "!=") and left.kind == right.kind and left.kind in ("int", "string"):
            self.exact.add(node)
        found = self._operated(node, left, right)
        if found is None:
            types = f"(mismatched types {left.shown()} and {right.shown()})"
            raise self._fail(f"invalid operation: {node.operator} {types}", node)
        return found

    def _operated(self, node: syntax.Binary, left: Nature, right: Nature) -> Nature | None:
        operator = node.operator
        if operator in ("+", "-", "*"):
            return _arithmetic(operator, left, right)
        if operator == "in":
            return self._inside(node, left, right)
        if operator == "matches" and isinstance(node.right, syntax.Literal) and isinstance(node.right.value, str):
            self._pattern(node, node.right.value)
        if operator == "??":
            return _coalesced(left, right)
        kinds, result = _SIMPLE[operator]
        if operator in ("==", "!="):
            return BOOL if natures.comparable(left, right) else None
        if operator == "matches" and left.go_type == "[]uint8" and right.kind == "string":
            return BOOL
        both = (
            left.kind in kinds and right.kind in kinds and (left.kind == right.kind or (left.number and right.number))
        )
        return result if both or natures.maybe(left, right, *kinds) else None

    def _pattern(self, node: syntax.Binary, pattern: str) -> None:
        try:
            compile_regex(pattern)
        except ExpressionError as problem:
            raise self._fail(str(problem), node) from None

    def _inside(self, node: syntax.Binary, left: Nature, right: Nature) -> Nature | None:
        if right.kind == "map":
            if not (left.unknown or left.kind == "string" or right.go_type.startswith("map[interface")):
                raise self._fail(f"cannot use {left.shown()} as type string in map key", node)
            return BOOL
        if right.kind == "array":
            if not natures.comparable(left, right.elem or UNKNOWN):
                raise self._fail(f"cannot use {left.shown()} as type {(right.elem or UNKNOWN).shown()} in array", node)
            return BOOL
        if right.kind == "time" and (left.unknown or left.kind == "string"):
            return BOOL
        return BOOL if right.unknown or (left.unknown and right.kind == "string") else None

    def conditional(self, node: syntax.Conditional) -> Nature:
        test = self.visit(node.test)
        if test.kind not in ("bool", "unknown"):
            raise self._fail(f"non-bool expression (type {test.shown()}) used as condition", node.test)
        yes, no = self.visit(node.yes), self.visit(node.no)
        if "nil" in (yes.kind, no.kind):
            return no if yes.kind == "nil" else yes
        if not natures.assignable(yes, no):
            return UNKNOWN
        if yes.kind == "array" and yes.elem != no.elem:
            return LIST
        return yes

    def array(self, node: syntax.Array) -> Nature:
        found = [self.visit(item) for item in node.items]
        if not found:
            return LIST
        same = all(one.kind == found[0].kind for one in found)
        return natures.list_of(found[-1]) if same else LIST

    def mapping(self, node: syntax.Mapping) -> Nature:
        for key, value in node.pairs:
            self.visit(key)
            self.visit(value)
        return MAP

    def let(self, node: syntax.Let) -> Nature:
        taken = (
            node.name in self._environment
            or node.name in BUILTIN_NAMES
            or any(node.name == name for name, _ in self._locals)
        )
        if taken:
            raise self._fail(f"cannot redeclare {node.name}", node)
        self._locals.append((node.name, self.visit(node.value)))
        found = self.visit(node.body)
        self._locals.pop()
        return found

    def sequence(self, node: syntax.Sequence) -> Nature:
        return [self.visit(part) for part in node.parts][-1]

    def predicate(self, node: syntax.Predicate) -> Nature:
        return self.visit(node.body)

    def call(self, node: syntax.Call) -> Nature:
        if isinstance(node.function, syntax.Name) and node.function.name == "$env":
            raise self._fail("map[string]interface {} is not callable", node)
        function = self.visit(node.function)
        if function.unknown:
            return UNKNOWN  # as expr: what is handed to an unknown function is not looked at
        if function.kind == "nil":
            raise self._fail("cannot call nil as function", node)
        if function.kind != "func":
            raise self._fail(f"{function.shown()} is not callable", node)
        name = node.function.name if isinstance(node.function, syntax.Name) else "function"
        return self._result(name, node, node.arguments)

    def builtin(self, node: syntax.Builtin) -> Nature:
        if len(node.arguments) > 1 and isinstance(node.arguments[1], syntax.Predicate):
            return self._looped(node)
        if node.name in ("count", "sum"):
            collection = self._collection(node)
            return INT if node.name == "count" else collection.elem or UNKNOWN
        return self._result(node.name, node, node.arguments)

    def _result(self, name: str, node: syntax.Node, arguments: tuple[syntax.Node, ...]) -> Nature:
        known = [self.visit(argument) for argument in arguments]
        problem = result_of(name, known)
        if isinstance(problem, str):
            raise self._fail(problem, node)
        return problem

    def _collection(self, node: syntax.Builtin) -> Nature:
        collection = self.visit(node.arguments[0])
        if collection.kind not in ("array", "unknown"):
            raise self._fail(f"builtin {node.name} takes only array (got {collection.shown()})", node.arguments[0])
        return collection

    def _looped(self, node: syntax.Builtin) -> Nature:
        collection = self._collection(node)
        self._scopes.append((collection, {"map": ("index",), "reduce": ("index", "acc")}.get(node.name, ())))
        inner = self.visit(node.arguments[1])
        self._scopes.pop()
        if inner.kind == "nil":
            raise self._fail("predicate should has one input and one output param", node.arguments[1])
        if node.name in _TESTS and inner.kind not in ("bool", "unknown"):
            raise self._fail(f"predicate should return boolean (got {inner.shown()})", node.arguments[1])
        for extra in node.arguments[2:]:
            order = self.visit(extra)
            if node.name == "sortBy" and order.kind not in ("string", "unknown"):
                raise self._fail(f"sortBy order argument must be a string (got {order.shown()})", extra)
        return _loop_result(node.name, collection, inner)


def _loop_result(name: str, collection: Nature, inner: Nature) -> Nature:  # noqa: PLR0911
    if name in ("all", "any", "none", "one"):
        return BOOL
    if name in ("count", "findIndex", "findLastIndex"):
        return INT
    if name in ("sum", "reduce"):
        return inner
    if name == "map":
        return natures.list_of(inner)
    elem = collection.elem or UNKNOWN
    if name == "groupBy":
        return Nature("map", "map[interface {}][]interface {}", LIST)
    if name == "sortBy":
        return collection
    return elem if name in ("find", "findLast") else natures.list_of(elem)


def _arithmetic(operator: str, left: Nature, right: Nature) -> Nature | None:
    if left.number and right.number:
        return natures.promoted(left, right)
    pair = (left.kind, right.kind)
    if operator == "*" and "duration" in pair and set(pair) <= {"duration", "int", "float"}:
        return natures.DURATION
    table = {"+": _ADDED, "-": _SUBTRACTED, "*": {}}[operator]
    if pair in table:
        return table[pair]
    kinds = {"+": ("string", "time", "duration"), "-": ("time", "duration"), "*": ("duration",)}[operator]
    return UNKNOWN if natures.maybe(left, right, *_NUMBERS, *kinds) else None


def _coalesced(left: Nature, right: Nature) -> Nature:
    if left.kind == "nil":
        return right if right.kind != "nil" else NIL
    if right.kind == "nil" or natures.assignable(right, left):
        return left
    return UNKNOWN


_ORDERED = (("int", "float", "string", "time", "duration"), BOOL)
_TEXTUAL = (("string",), BOOL)
_SIMPLE: dict[str, tuple[tuple[str, ...], Nature]] = {
    "==": ((), BOOL),
    "!=": ((), BOOL),
    **dict.fromkeys(("or", "||", "and", "&&"), (("bool",), BOOL)),
    **dict.fromkeys(("<", ">", "<=", ">="), _ORDERED),
    **dict.fromkeys(("/", "**", "^"), (_NUMBERS, FLOAT)),
    "%": (("int",), INT),
    **dict.fromkeys(("matches", "contains", "startsWith", "endsWith"), _TEXTUAL),
    "..": (("int",), natures.list_of(INT)),
}
_VISITORS: dict[type[syntax.Node], Callable[[_Checker, Any], Nature]] = {
    syntax.Literal: _Checker.literal,
    syntax.Name: _Checker.name,
    syntax.Pointer: _Checker.pointer,
    syntax.Member: _Checker.member,
    syntax.Slice: _Checker.slice,
    syntax.Chain: _Checker.chain,
    syntax.Unary: _Checker.unary,
    syntax.Binary: _Checker.binary,
    syntax.Conditional: _Checker.conditional,
    syntax.Array: _Checker.array,
    syntax.Mapping: _Checker.mapping,
    syntax.Let: _Checker.let,
    syntax.Sequence: _Checker.sequence,
    syntax.Predicate: _Checker.predicate,
    syntax.Call: _Checker.call,
    syntax.Builtin: _Checker.builtin,
}
