"""What is known of a value's type before an expression runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiphys.engine.expressions.values import Function, Ints, Strings, type_of


@dataclass(frozen=True, slots=True)
class Nature:
    """A type: its kind, Go's name of it, and for a list that of its elements."""

    kind: str
    go_type: str = ""
    elem: Nature | None = None

    @property
    def unknown(self) -> bool:
        """Whether the type shows only at run time."""
        return self.kind == "unknown"

    @property
    def number(self) -> bool:
        """Whether it is an int or a float."""
        return self.kind in ("int", "float")

    def shown(self) -> str:
        """The type's name in messages."""
        return self.go_type or self.kind


UNKNOWN = Nature("unknown")
NIL = Nature("nil", "unknown")
BOOL = Nature("bool", "bool")
INT = Nature("int", "int")
FLOAT = Nature("float", "float64")
TEXT = Nature("string", "string")
BYTES = Nature("array", "[]uint8", INT)
TIME = Nature("time", "time.Time")
DURATION = Nature("duration", "time.Duration")
LOCATION = Nature("location", "*time.Location")
LIST = Nature("array", "[]interface {}", UNKNOWN)
TEXTS = Nature("array", "[]string", TEXT)
MAP = Nature("map", "map[string]interface {}", UNKNOWN)
ANY_MAP = Nature("map", "map[interface {}]interface {}", UNKNOWN)
FUNCTION = Nature("func", "func(interface {}) interface {}")

_BY_GO_TYPE = {
    nature.go_type: nature for nature in (BOOL, INT, FLOAT, TEXT, BYTES, TIME, DURATION, LOCATION, LIST, TEXTS, MAP)
}


def list_of(elem: Nature) -> Nature:
    """A []any whose elements are known to be `elem`."""
    return Nature("array", "[]interface {}", elem)


def nature_of(value: Any) -> Nature:  # noqa: PLR0911
    """The type of a variable's value."""
    if value is None:
        return NIL
    if isinstance(value, Function):
        return FUNCTION
    if isinstance(value, Strings):
        return TEXTS
    if isinstance(value, Ints):
        return list_of(INT)
    if isinstance(value, list):
        return LIST
    if isinstance(value, dict):
        return MAP
    return _BY_GO_TYPE.get(type_of(value), UNKNOWN)


def assignable(one: Nature, other: Nature) -> bool:
    """Whether a value of `one` can stand where `other` is asked for."""
    if one.kind == "nil":
        return other.kind in ("array", "map", "func", "location")
    return not one.unknown and not other.unknown and one.go_type == other.go_type


def comparable(one: Nature, other: Nature) -> bool:
    """Whether `==` may compare them."""
    return (
        "unknown" in (one.kind, other.kind)
        or "nil" in (one.kind, other.kind)
        or (one.number and other.number)
        or one.kind == other.kind == "array"
        or assignable(one, other)
    )


def maybe(one: Nature, other: Nature, *kinds: str) -> bool:
    """Whether both may turn out to be of one of `kinds`: at least one is unknown."""
    return (one.unknown and (other.unknown or other.kind in kinds)) or (other.unknown and one.kind in kinds)


def promoted(one: Nature, other: Nature) -> Nature:
    """The type of a sum of two numbers."""
    return FLOAT if "float" in (one.kind, other.kind) else INT
