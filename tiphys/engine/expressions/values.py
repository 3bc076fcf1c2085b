"""The kinds of Go values that Python's own types can't tell apart, and the limits of an int."""

from __future__ import annotations

from typing import Any, ClassVar

from tiphys.engine.errors import ExpressionError

_BITS = 64


class Int64(int):
    """An int64, as many sprig functions give it: no int where a function asks for one."""


class Uint8(int):
    """One byte of a text."""


class NamedInt:
    """A number with a name, such as a month or a day of the week."""

    def __init__(self, go_type: str, number: int, name: str) -> None:
        """`go_type` is `time.Month` or `time.Weekday`."""
        self.go_type, self.number, self.name = go_type, number, name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedInt) and (self.go_type, self.number) == (other.go_type, other.number)

    def __hash__(self) -> int:
        return hash((self.go_type, self.number))

    def __str__(self) -> str:
        return self.name


class Items(list[Any]):
    """A list that may be more special than []any; `nil` marks Go's nil slice, which JSON shows as null."""

    go_type: ClassVar[str] = "[]interface {}"
    nil: ClassVar[bool] = False


class NilItems(Items):
    """A nil []any."""

    nil = True


class Strings(Items):
    """A []string."""

    go_type = "[]string"


class NilStrings(Strings):
    """A nil []string."""

    nil = True


class Ints(Items):
    """A []int, as a range makes it."""

    go_type = "[]int"


class Chunks(Items):
    """A [][]any."""

    go_type = "[][]interface {}"


class Pairs(Items):
    """A list of pairs, as toPairs makes it."""

    go_type = "[][2]interface {}"


class Pair(Items):
    """Two values."""

    go_type = "[2]interface {}"


class StringMap(dict[str, Any]):
    """A map[string]string."""

    go_type: ClassVar[str] = "map[string]string"


class NilMap(dict[str, Any]):
    """A nil map[string]any."""

    nil: ClassVar[bool] = True


class Function:
    """A function with the types of its parameters.

    One letter each: s text, i int, f float64, b bool, a anything, m map, t time; a final `*` repeats the last one.
    """

    def __init__(self, call: Any, parameters: str, go_type: str = "func()") -> None:
        """`call` takes Python values that fit `parameters`."""
        self._call = call
        self._repeats = parameters.endswith("*")
        self._kinds = parameters.rstrip("*")
        self.go_type = go_type

    def accepts(self, count: int) -> bool:
        """Whether it can be called with `count` arguments."""
        return count >= len(self._kinds) - 1 if self._repeats else count == len(self._kinds)

    def __call__(self, *arguments: Any) -> Any:
        """Call it as Go's reflection does. Raises ExpressionError where a type does not fit."""
        if not self.accepts(len(arguments)):
            msg = f"invalid number of arguments: expected {len(self._kinds)}, got {len(arguments)}"
            raise ExpressionError(msg)
        last = len(self._kinds) - 1
        return self._call(*(_fit(self._kinds[min(at, last)], value) for at, value in enumerate(arguments)))


_ZERO: dict[str, Any] = {"s": "", "i": 0, "f": 0.0, "b": False, "a": None}
_NAMES = {
    "s": "string",
    "i": "int",
    "f": "float64",
    "b": "bool",
    "m": "map[string]interface {}",
    "t": "time.Time",
}


def _fit(letter: str, value: Any) -> Any:
    if value is None and letter == "t":
        from tiphys.engine.expressions.times import ZERO, Time  # noqa: PLC0415

        return Time(ZERO)
    if value is None:
        return NilMap() if letter == "m" else _ZERO.get(letter)
    if letter != "a" and type_of(value) != _NAMES[letter]:
        msg = f"reflect: Call using {type_of(value)} as type {_NAMES[letter]}"
        raise ExpressionError(msg)
    return value


_PLAIN: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    bytes: "[]uint8",
    Int64: "int64",
    Uint8: "uint8",
    type(None): "<nil>",
}


def type_of(value: Any) -> str:
    """The name that Go's %T gives the type of `value`."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain
    special = getattr(value, "go_type", None)
    if special is not None:
        return str(special)
    return next((name for kind, name in _PLAIN.items() if isinstance(value, kind)), "func()")


def is_int(value: Any) -> bool:
    """Whether `value` is a whole number of Go (a bool is none)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether `value` is an int or a float."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_nil(value: Any) -> bool:
    """Whether Go sees nil: nil itself or a nil slice."""
    return value is None or (isinstance(value, Items) and value.nil)


def wrap(number: int) -> int:
    """`number` as 64 bits hold it."""
    if -(1 << 63) <= number < 1 << 63:
        return number
    number &= (1 << _BITS) - 1
    return number - (1 << _BITS) if number >> 63 else number


def cut(number: float) -> int:
    """A float as an int: cut towards zero; what does not fit is the smallest int, as on amd64."""
    if number != number or not -(2.0**63) <= number < 2.0**63:  # noqa: PLR0124
        return -(1 << 63)
    return int(number)


def to_bytes(text: str) -> bytes:
    """A text as the bytes that Go keeps; a half of a character survives as a surrogate."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def from_bytes(data: bytes) -> str:
    """The text of `data`; bytes that are no UTF-8 become surrogates."""
    return data.decode("utf-8", "surrogateescape")


def clean(text: str) -> str:
    """`text` with U+FFFD for every byte that is no UTF-8."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
