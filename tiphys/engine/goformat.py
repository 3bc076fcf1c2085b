"""A whole number in the ways of Go's fmt.Sprintf: what withSequence.format may say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiphys.engine.errors import TemplateError

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>[0-9]*)(?P<precision>\.[0-9]*)?(?P<verb>.?)", re.DOTALL)
_WIDEST = 999
_BASES = {"d": 10, "v": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_DIGITS = "0123456789abcdef"
_NO_SIMPLE_NUMBER = "*[qUc"
_LAST_SIGN = 0x10FFFF


@dataclass(frozen=True)
class _Flags:
    minus: bool
    plus: bool
    sharp: bool
    space: bool
    zero: bool
    width: int
    precision: int | None

    @classmethod
    def of(cls, match: re.Match[str]) -> _Flags:
        flags, verb = match["flags"], match["verb"]
        width, precision = int(match["width"] or 0), match["precision"]
        shown = verb != "v"  # %+v and %#v mean something else
        return cls(
            minus="-" in flags, plus="+" in flags and shown, sharp="#" in flags and shown, space=" " in flags,
            zero="0" in flags, width=width, precision=None if precision is None else int(precision[1:] or 0),
        )  # fmt: skip

    def pad(self, text: str) -> str:
        return text.ljust(self.width) if self.minus else text.rjust(self.width)


def sprintf(pattern: str, number: int) -> str:
    """`fmt.Sprintf(pattern, number)`. Raises TemplateError for what is wider than 999 or no form of a plain number."""
    taken = False

    def formatted(match: re.Match[str]) -> str:
        nonlocal taken
        verb = match["verb"]
        if not verb:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        _refuse(match, pattern)
        if taken:
            return f"%!{verb}(MISSING)"
        taken = True
        return _one(verb, _Flags.of(match), number)

    text = _VERB.sub(formatted, pattern)
    return text if taken else f"{text}%!(EXTRA int={number})"


def _refuse(match: re.Match[str], pattern: str) -> None:
    width, precision = match["width"], (match["precision"] or "")[1:]
    if max(len(width), len(precision)) > len(str(_WIDEST)):
        msg = f"withSequence.format {pattern[:40]!r} asks for more than {_WIDEST} characters: make it smaller"
        raise TemplateError(msg)
    if match["verb"] in _NO_SIMPLE_NUMBER:
        msg = f"withSequence.format {pattern[:40]!r}: {match[0]} is not known here: use %d, %o, %b, %x or %X"
        raise TemplateError(msg)


def _one(verb: str, flags: _Flags, number: int) -> str:
    if verb in _BASES:
        return _whole(verb, flags, number)
    if verb == "T":
        return flags.pad("int")
    return f"%!{verb}(int={_whole('v', flags, number)})"


def _whole(verb: str, flags: _Flags, number: int) -> str:
    """As fmt.fmtInteger."""
    if flags.precision == 0 and number == 0:
        return " " * flags.width
    sign = "-" if number < 0 else "+" if flags.plus else " " if flags.space else ""
    least = flags.precision or 0
    if flags.precision is None and flags.zero and not flags.minus:
        least = flags.width - len(sign)
    digits = _in_base(abs(number), _BASES[verb]).rjust(least, "0")
    if verb == "X":
        digits = digits.upper()
    return flags.pad(sign + _prefix(verb, flags, digits) + digits)


def _prefix(verb: str, flags: _Flags, digits: str) -> str:
    if verb == "O":
        return "0o" + ("0" if flags.sharp and digits[0] != "0" else "")
    if not flags.sharp:
        return ""
    return {"b": "0b", "x": "0x", "X": "0X", "o": "" if digits[0] == "0" else "0"}.get(verb, "")


def _in_base(number: int, base: int) -> str:
    found = _DIGITS[number % base]
    while number := number // base:
        found = _DIGITS[number % base] + found
    return found
