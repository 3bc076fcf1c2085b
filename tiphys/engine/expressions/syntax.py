"""The nodes of a parsed expression, and the names that it needs from its environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from tiphys.engine.errors import ExpressionError


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Any part of an expression; `at` is where it stands in the text."""

    at: int = field(default=-1, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Literal(Node):
    """A number, a text, true, false or nil."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Name(Node):
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Pointer(Node):
    """`#`, `#index` or `#acc` inside a predicate; `.field` is a member of `#`."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Member(Node):
    """`target.key`, `target[key]` or `target?.key`; `called` where a bracket follows: a method."""

    target: Node
    key: Node
    optional: bool
    called: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Slice(Node):
    """`target[start:end]`."""

    target: Node
    start: Node | None
    end: Node | None


@dataclass(frozen=True, slots=True, eq=False)
class Chain(Node):
    """The whole of `a?.b.c`: nil as soon as one optional link is nil."""

    body: Node


@dataclass(frozen=True, slots=True, eq=False)
class Unary(Node):
    """`-x`, `+x`, `!x`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False)
class Conditional(Node):
    """`test ? yes : no`."""

    test: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    """`function(arguments)`; the function is a Name or a Member such as `sprig.upper`."""

    function: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Builtin(Node):
    """A call of one of expr's own functions; `then` maps what filter or find lets through."""

    name: str
    arguments: tuple[Node, ...]
    then: Node | None = None
    throws: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    """`a; b`: the value of the last one."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Predicate(Node):
    """`{# > 1}`: evaluated once for each element."""

    body: Node


@dataclass(frozen=True, slots=True, eq=False)
class Array(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mapping(Node):
    """`{key: value}`."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Let(Node):
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


def children(node: Node) -> Iterator[Node]:
    """The direct parts of `node`, left to right."""
    for part in fields(node):
        yield from _nodes_in(getattr(node, part.name))


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)


def identifiers(tree: Node) -> list[str]:
    """The variables that `tree` needs, such as `tasks.a.status`; members behind `??` and `?.` may be missing.

    Raises ExpressionError where the tree is too deep.
    """
    guarded: set[Node] = set()
    found: dict[str, None] = {}
    try:
        _collect_guarded(tree, guarded)
        _collect(tree, guarded, found)
    except RecursionError:
        msg = "the expression is nested too deeply; give parts of it names with 'let'"
        raise ExpressionError(msg) from None
    return list(found)


def _collect_guarded(node: Node, guarded: set[Node]) -> None:
    if isinstance(node, Binary) and node.operator == "??":
        guarded.update(part for part in _walk(node.left) if isinstance(part, Member))
    if isinstance(node, Member) and node.optional and isinstance(node.target, Member):
        guarded.add(node.target)
    for child in children(node):
        _collect_guarded(child, guarded)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _walk(child)


def _collect(node: Node, guarded: set[Node], found: dict[str, None]) -> None:
    for child in children(node):
        _collect(child, guarded, found)
    if node in guarded:
        return
    if isinstance(node, Name):
        found[node.name] = None
    elif isinstance(node, Member) and (path := _path(node)) is not None:
        found[path] = None


def _path(node: Member) -> str | None:
    parts: list[str] = []
    current: Node = node
    while isinstance(current, Member):
        if current.optional or not (isinstance(current.key, Literal) and isinstance(current.key.value, str)):
            return None
        parts.append(current.key.value)
        current = current.target
    return ".".join([current.name, *reversed(parts)]) if isinstance(current, Name) else None
