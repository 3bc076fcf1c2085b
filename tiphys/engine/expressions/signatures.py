"""Which arguments expr's own functions take, and what they give, as far as it is known before they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tiphys.engine.expressions import natures
from tiphys.engine.expressions.natures import BOOL, FLOAT, INT, LIST, TEXT, TEXTS, UNKNOWN, Nature

Known = Sequence[Nature]
Outcome = Nature | str
_LETTERS = {"s": "string", "i": "int", "l": "array", "S": "[]string", "a": ""}


def result_of(name: str, known: Known) -> Outcome:
    """The type of a call's result, or what is wrong with its arguments."""
    if name in _OVERLOADS:
        overloads, result = _OVERLOADS[name]
        problems = [_mismatch(name, letters, known) for letters in overloads]
        return result if None in problems else str(problems[-1])
    return _VALIDATED[name](name, known) if name in _VALIDATED else UNKNOWN


def _mismatch(name: str, letters: str, known: Known) -> str | None:
    if len(known) != len(letters):
        return f"{'too many' if len(known) > len(letters) else 'not enough'} arguments to call {name}"
    for letter, nature in zip(letters, known, strict=True):
        if letter == "a" or nature.unknown:
            continue
        wanted = _LETTERS[letter]
        if nature.kind == "nil":
            return f"cannot use nil as argument (type {wanted}) to call {name}"
        if letter == "l" and nature.go_type == "[]interface {}":
            continue
        if nature.go_type != wanted:
            return f"cannot use {nature.shown()} as argument (type {wanted}) to call {name} "
    return None


def _one(result: Nature | None, *kinds: str) -> Callable[[str, Known], Outcome]:
    """A function of one argument of one of `kinds`; `result` None means the argument's own type."""

    def check(name: str, known: Known) -> Outcome:
        if len(known) != 1:
            return f"invalid number of arguments (expected 1, got {len(known)})"
        if known[0].unknown or known[0].kind in kinds:
            return result or known[0]
        return f"invalid argument for {name} (type {known[0].shown()})"

    return check


def _edge(name: str, known: Known) -> Outcome:
    checked = _one(UNKNOWN, "array")(name, known)
    return TEXT if isinstance(checked, Nature) and known[0].go_type == "[]string" else checked


def _aggregate(name: str, known: Known) -> Outcome:
    if not known:
        return f"not enough arguments to call {name}"
    for nature in known:
        if nature.unknown or nature.kind == "array":
            return UNKNOWN
        if not nature.number and nature.kind != "duration":
            return f"invalid argument for {name} (type {nature.shown()})"
        if nature.kind == "duration":
            continue
    return known[0]


def _take(name: str, known: Known) -> Outcome:
    if len(known) != 2:  # noqa: PLR2004
        return f"invalid number of arguments (expected 2, got {len(known)})"
    if known[0].kind not in ("array", "unknown") or known[1].kind not in ("int", "unknown", "duration"):
        return f"cannot {name} {known[1].shown()} elements from {known[0].shown()}"
    return known[0] if known[0].go_type != "[]interface {}" else LIST


def _concat(name: str, known: Known) -> Outcome:
    if not known:
        return "invalid number of arguments (expected at least 1, got 0)"
    wrong = [nature.shown() for nature in known if nature.kind not in ("array", "unknown")]
    return f"cannot {name} {wrong[0]}" if wrong else LIST


def _get(_name: str, known: Known) -> Outcome:
    if len(known) != 2:  # noqa: PLR2004
        return f"invalid number of arguments (expected 2, got {len(known)})"
    base, key = known
    if base.unknown:
        return UNKNOWN
    if base.kind == "array":
        return (base.elem or UNKNOWN) if key.kind in ("int", "unknown") else f"non-integer slice index {key.shown()}"
    if base.kind == "map":
        fits = key.kind in ("string", "unknown") or base.go_type.startswith("map[interface")
        return (base.elem or UNKNOWN) if fits else f"cannot use {key.shown()} to get an element from {base.shown()}"
    return f"type {base.shown()} does not support indexing"


def _now(_name: str, known: Known) -> Outcome:
    fine = not known or (len(known) == 1 and known[0].kind == "location")
    return natures.TIME if fine else f"invalid number of arguments (expected 0, got {len(known)})"


def _date(_name: str, known: Known) -> Outcome:
    if not known:
        return "invalid number of arguments (expected at least 1, got 0)"
    rest = known[1:] if known[0].kind == "location" else known
    return natures.TIME if len(rest) <= 3 else f"invalid number of arguments (expected at most 3, got {len(rest)})"  # noqa: PLR2004


_NUMERIC = ("int", "float", "duration")
_VALIDATED: dict[str, Callable[[str, Known], Outcome]] = {
    "len": _one(INT, "array", "map", "string"),
    "abs": _one(None, *_NUMERIC),
    "ceil": _one(FLOAT, *_NUMERIC),
    "floor": _one(FLOAT, *_NUMERIC),
    "round": _one(FLOAT, *_NUMERIC),
    "int": _one(INT, "string", *_NUMERIC),
    "float": _one(FLOAT, "string", *_NUMERIC),
    "first": _edge,
    "last": _edge,
    "keys": _one(LIST, "map"),
    "values": _one(LIST, "map"),
    "toPairs": _one(LIST, "map"),
    "fromPairs": _one(natures.ANY_MAP, "array"),
    "reverse": _one(LIST, "array"),
    "uniq": _one(LIST, "array"),
    "flatten": _one(LIST, "array"),
    **dict.fromkeys(("max", "min", "mean", "median"), _aggregate),
    "take": _take,
    "concat": _concat,
    "get": _get,
    "now": _now,
    "date": _date,
}
_OVERLOADS: dict[str, tuple[tuple[str, ...], Nature]] = {
    "type": (("a",), TEXT),
    "string": (("a",), TEXT),
    "trim": (("s", "ss"), TEXT),
    "trimPrefix": (("ss", "s"), TEXT),
    "trimSuffix": (("ss", "s"), TEXT),
    "upper": (("s",), TEXT),
    "lower": (("s",), TEXT),
    "split": (("ss", "ssi"), TEXTS),
    "splitAfter": (("ss", "ssi"), TEXTS),
    "replace": (("sssi", "sss"), TEXT),
    "repeat": (("si",), TEXT),
    "join": (("Ss", "ls", "l", "S"), TEXT),
    "indexOf": (("ss",), INT),
    "lastIndexOf": (("ss",), INT),
    "hasPrefix": (("ss",), BOOL),
    "hasSuffix": (("ss",), BOOL),
    "toJSON": (("a",), TEXT),
    "fromJSON": (("s",), UNKNOWN),
    "toBase64": (("s",), TEXT),
    "fromBase64": (("s",), TEXT),
    "duration": (("s",), natures.DURATION),
    "timezone": (("s",), natures.LOCATION),
    "sort": (("ls", "Ss", "l", "S"), LIST),
    **dict.fromkeys(("bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr"), (("ii",), INT)),
    "bitnot": (("i",), INT),
    "asInt": (("a",), UNKNOWN),
    "asFloat": (("a",), UNKNOWN),
    "jsonpath": (("ss",), UNKNOWN),
    "toJson": (("a",), TEXT),
}
