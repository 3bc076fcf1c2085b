"""sprig's functions of regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.expressions.values import Function, NilStrings, Strings

_REFERENCE = re.compile(r"\$(?:\$|\{([0-9A-Za-z_]+)\}|([0-9A-Za-z_]+))")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def _matches(pattern: str, text: str, most: int = -1) -> Iterator[re.Match[str]]:
    """The matches from left to right, without empty ones that touch the one before."""
    compiled, at, end, count = compile_regex(pattern), 0, -1, 0
    while at <= len(text) and count != most:
        found = compiled.search(text, at)
        if found is None:
            return
        if found.end() > found.start() or found.start() != end:
            count += 1
            yield found
        end = found.end()
        at = end if end > found.start() else end + 1


def _match(pattern: str, text: str) -> bool:
    try:
        return compile_regex(pattern).search(text) is not None
    except ExpressionError:
        return False


def _find_all(pattern: str, text: str, count: int) -> list[Any]:
    return Strings(found.group() for found in _matches(pattern, text, count)) or NilStrings()


def _find(pattern: str, text: str) -> str:
    found = compile_regex(pattern).search(text)
    return found.group() if found else ""


def _replaced(pattern: str, text: str, new: Callable[[re.Match[str]], str]) -> str:
    parts, at = [], 0
    for found in _matches(pattern, text):
        parts += [text[at : found.start()], new(found)]
        at = found.end()
    return "".join([*parts, text[at:]])


def _expanded(found: re.Match[str], template: str) -> str:
    def one(reference: re.Match[str]) -> str:
        if reference.group() == "$$":
            return "$"
        name = reference[1] or reference[2]
        if name.isdigit():
            return (found[int(name)] or "") if int(name) <= (found.re.groups or 0) else ""
        return (found[name] or "") if name in found.re.groupindex else ""

    return _REFERENCE.sub(one, template)


def _split(pattern: str, text: str, count: int) -> list[Any]:
    if count == 0:
        return NilStrings()
    compiled_matches = list(_matches(pattern, text, count))
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
    "mustRegexMatch": Function(lambda pattern, text: compile_regex(pattern).search(text) is not None, "ss"),
    "regexQuoteMeta": Function(lambda text: _SPECIAL.sub(r"\\\g<0>", text), "s"),
    **{name: Function(call, parameters) for name, parameters, call in _CALLS},
    **{f"mustR{name[1:]}": Function(call, parameters) for name, parameters, call in _CALLS},
}
