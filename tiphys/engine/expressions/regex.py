"""Regular expressions as Go's: RE2 itself, so that no pattern takes more time than is linear in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.values import clean

if TYPE_CHECKING:
    Match = re.Match[str]  # what RE2's own class has of it

_AS_GO_SAYS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
_PIECE = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(?P<escape>.)|\(\?P?<(?P<name>\w*)>", re.DOTALL)


class Regex:
    """A compiled pattern; bytes of a text that are no UTF-8 are U+FFFD to it, as in Go."""

    def __init__(self, pattern: str) -> None:
        """Raises ExpressionError."""
        import re2  # noqa: PLC0415  # 50 ms that most runs need not spend

        _refuse_what_only_cpp_takes(pattern)
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(clean(pattern), options)
        except re2.error as problem:
            what, _, where = problem.args[0].decode(errors="replace").partition(": ")
            raise _refused(_AS_GO_SAYS.get(what, what), where) from None

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in `text`."""
        return self._compiled.search(clean(text)) is not None

    def matches(self, text: str, most: int = -1) -> Iterator[Match]:
        """The matches from left to right, at most `most`, without empty ones that touch the one before."""
        end, count = -1, 0
        for found in self._compiled.finditer(clean(text)):
            if count == most:
                return
            if found.end() > found.start() or found.start() != end:
                count += 1
                yield found
            end = found.end()


@lru_cache(maxsize=128)
def compile_regex(pattern: str) -> Regex:
    """`pattern` in RE2's syntax. Raises ExpressionError."""
    return Regex(pattern)


def _refuse_what_only_cpp_takes(pattern: str) -> None:
    r"""Go has no `\C`, and takes each name of a group once, in ASCII."""
    names: set[str] = set()
    for piece in _PIECE.finditer(pattern):
        if piece["escape"] == "C":
            raise _refused("invalid escape sequence", "\\C")
        if (name := piece["name"]) is not None:
            if name in names or not name.isascii():
                raise _refused("invalid named capture", piece[0])
            names.add(name)


def _refused(what: str, where: str) -> ExpressionError:
    return ExpressionError(f"error parsing regexp: {what}: `{where}`")
