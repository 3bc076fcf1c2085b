"""What expr's compiler changes before it runs an expression, as far as that can be seen in results and errors."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeGuard

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import syntax
from tiphys.engine.expressions.operators import OPERATORS, negate

_FOLDED = {"+", "-", "*", "/", "**", "^"}


def optimize(node: syntax.Node, exact: set[syntax.Node]) -> syntax.Node:  # noqa: PLR0911
    """The tree that expr runs; `exact` holds the comparisons of sides whose types are known. Raises ExpressionError."""
    if isinstance(node, syntax.Binary) and node.operator == "in" and _all_texts(node.right):
        left = optimize(node.left, exact)
        return syntax.Binary(
            "in", left, syntax.Literal(dict.fromkeys(_constant(item) for item in node.right.items)), at=node.at
        )
    made = _rebuilt(node, exact)
    if isinstance(made, syntax.Unary):
        return _unary(made)
    if isinstance(made, syntax.Binary):
        if node in exact:
            return _exact(made)
        return _binary(made)
    if isinstance(made, syntax.Builtin):
        return _builtin(made)
    if isinstance(made, syntax.Member):
        return _first_or_last(made)
    return made


def _rebuilt(node: syntax.Node, exact: set[syntax.Node]) -> syntax.Node:
    changes: dict[str, Any] = {}
    for part in fields(node):
        value = getattr(node, part.name)
        changed = _part(value, exact)
        if changed is not value:
            changes[part.name] = changed
    return replace(node, **changes) if changes else node


def _part(value: Any, exact: set[syntax.Node]) -> Any:
    if isinstance(value, syntax.Node):
        return optimize(value, exact)
    if isinstance(value, tuple):
        made = tuple(_part(item, exact) for item in value)
        return value if all(one is other for one, other in zip(made, value, strict=True)) else made
    return value


def _all_texts(node: syntax.Node) -> TypeGuard[syntax.Array]:
    return (
        isinstance(node, syntax.Array)
        and bool(node.items)
        and all(isinstance(_constant(item), str) for item in node.items)
    )


def _constant(node: syntax.Node) -> Any:
    """The value of a literal number, text or bool; else None."""
    value = node.value if isinstance(node, syntax.Literal) else None
    return value if isinstance(value, (bool, int, float, str)) else None


def _unary(node: syntax.Unary) -> syntax.Node:
    value = _constant(node.operand)
    if isinstance(value, bool) and node.operator in ("!", "not"):
        return syntax.Literal(not value, at=node.at)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and node.operator in "+-":
        return syntax.Literal(negate(value) if node.operator == "-" else value, at=node.at)
    return node


def _exact(node: syntax.Binary) -> syntax.Node:
    left, right = _constant(node.left), _constant(node.right)
    if left is not None and right is not None and type(left) is type(right):
        return syntax.Literal((left == right) == (node.operator == "=="), at=node.at)
    return syntax.Binary(f"{node.operator} exactly", node.left, node.right, at=node.at)


def _binary(node: syntax.Binary) -> syntax.Node:
    left, right = _constant(node.left), _constant(node.right)
    counted = isinstance(node.left, syntax.Builtin) and node.left.name == "count" and len(node.left.arguments) > 1
    if counted and type(right) is int and (node.operator, right) in ((">", 0), (">=", 1)):
        return replace(node.left, name="any", at=node.at)  # type: ignore[call-arg]
    if node.operator in ("and", "&&", "or", "||"):
        return _logical(node, left, right)
    if left is None or right is None:
        return node
    if node.operator == "%" and right == 0:
        raise ExpressionError("integer divide by zero", node.at)
    if node.operator in _FOLDED or node.operator == "%":
        return syntax.Literal(OPERATORS[node.operator](left, right), at=node.at)
    if node.operator == "==" and isinstance(left, bool) and isinstance(right, bool):
        return syntax.Literal(left == right, at=node.at)
    return node


def _logical(node: syntax.Binary, left: Any, right: Any) -> syntax.Node:
    neutral = node.operator in ("and", "&&")
    if left is neutral:
        return node.right
    if right is neutral:
        return node.left
    if left is (not neutral) or right is (not neutral):
        return syntax.Literal(not neutral, at=node.at)
    return node


def _builtin(node: syntax.Builtin) -> syntax.Node:
    first = node.arguments[0] if node.arguments else None
    if node.name == "sum" and len(node.arguments) == 1:
        return _sum(node, first)
    if not isinstance(first, syntax.Builtin) or first.name != "filter":
        return node
    if node.name == "map" and first.then is None and not _uses_index(node.arguments[1]):
        return replace(first, then=node.arguments[1])
    if node.name in ("first", "last") and len(node.arguments) == 1:
        return replace(first, name="find" if node.name == "first" else "findLast", at=node.at)
    return node


def _sum(node: syntax.Builtin, values: syntax.Node | None) -> syntax.Node:
    """`sum([a, b])` is `a + b`, also for texts, unless all are constants; a range of constants needs no list."""
    if (
        isinstance(values, syntax.Array)
        and len(values.items) > 1
        and any(_constant(item) is None for item in values.items)
    ):
        total = values.items[-1]
        for item in reversed(values.items[:-1]):
            total = syntax.Binary("+", item, total, at=node.at)
        return total
    if isinstance(values, syntax.Binary) and values.operator == "..":
        low, high = _constant(values.left), _constant(values.right)
        if type(low) is int and type(high) is int and high >= low:
            return syntax.Literal((high - low + 1) * (low + high) // 2, at=node.at)
    return node


def _uses_index(node: syntax.Node) -> bool:
    if isinstance(node, syntax.Pointer):
        return node.name == "index"
    return any(_uses_index(child) for child in syntax.children(node))


def _first_or_last(node: syntax.Member) -> syntax.Node:
    at, target = _constant(node.key), node.target
    if not isinstance(target, syntax.Builtin) or target.name != "filter" or node.optional or type(at) is not int:
        return node
    if at not in (0, -1):
        return node
    return replace(target, name="find" if at == 0 else "findLast", throws=True, at=node.at)
