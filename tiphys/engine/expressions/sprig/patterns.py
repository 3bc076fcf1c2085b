"""sprig's functions of regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.expressions.values import Function, NilStrings, Strings

if TYPE_CHECKING:
    from tiphys.engine.expressions.regex import Match

_REFERENCE = re.compile(r"\$(?:\$|\{([0-9A-Za-z_]+)\}|([0-9A-Za-z_]+))")
_DIGITS = 8  # of a group's number in Go
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def _match(pattern: str, text: str) -> bool:
    try:
        return compile_regex(pattern).found_in(text)
    except ExpressionError:
        return False


def _find_all(pattern: str, text: str, count: int) -> list[Any]:
    return Strings(found.group() for found in compile_regex(pattern).matches(text, count)) or NilStrings()


def _find(pattern: str, text: str) -> str:
    return next((found.group() for found in compile_regex(pattern).matches(text)), "")


def _replaced(pattern: str, text: str, new: Callable[[Match], str]) -> str:
    parts, at = [], 0
    for found in compile_regex(pattern).matches(text):
        parts += [text[at : found.start()], new(found)]
        at = found.end()
    return "".join([*parts, text[at:]])


def _expanded(found: Match, template: str) -> str:
    def one(reference: re.Match[str]) -> str:
        if reference.group() == "$$":
            return "$"
        name = reference[1] or reference[2]
        if name.isdecimal() and len(name) <= _DIGITS:
            return (found[int(name)] or "") if int(name) <= (found.re.groups or 0) else ""
        return (found[name] or "") if name in found.re.groupindex else ""

    return _REFERENCE.sub(one, template)


def _split(pattern: str, text: str, count: int) -> list[Any]:
    if count == 0:
        return NilStrings()
    compiled_matches = list(compile_regex(pattern).matches(text, count))
    if pattern and not text:
        return Strings([""])
    parts, start, end = Strings(), 0, 0
    for found in compiled_matches:
        if count > 0 and len(parts) == count - 1:
            break
        end = found.start()
        if found.end() != 0:
            parts.append(text[start:end])
        start = found.end()
    if end != len(text):
        parts.append(text[start:])
    return parts


_CALLS: list[tuple[str, str, Callable[..., Any]]] = [
    ("regexFindAll", "ssi", _find_all),
    ("regexFind", "ss", _find),
    (
        "regexReplaceAll",
        "sss",
        lambda pattern, text, new: _replaced(pattern, text, lambda found: _expanded(found, new)),
    ),
    ("regexReplaceAllLiteral", "sss", lambda pattern, text, new: _replaced(pattern, text, lambda _found: new)),
    ("regexSplit", "ssi", _split),
]
PATTERNS: dict[str, Function] = {
    "regexMatch": Function(_match, "ss"),
    "mustRegexMatch": Function(lambda pattern, text: compile_regex(pattern).found_in(text), "ss"),
    "regexQuoteMeta": Function(lambda text: _SPECIAL.sub(r"\\\g<0>", text), "s"),
    **{name: Function(call, parameters) for name, parameters, call in _CALLS},
    **{f"mustR{name[1:]}": Function(call, parameters) for name, parameters, call in _CALLS},
}
