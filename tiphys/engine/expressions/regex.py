"""Regular expressions in RE2's syntax, translated to Python's; what RE2 refuses is refused, lookarounds and backreferences too."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

from tiphys.engine.errors import ExpressionError

_CLASSES = {"d": "0-9", "s": r"\t\n\f\r ", "w": "0-9A-Za-z_"}
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z",
    "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_WORD = "[0-9A-Za-z_]"
_EDGE = f"(?:(?<!{_WORD})(?={_WORD})|(?<={_WORD})(?!{_WORD}))"
_NO_EDGE = f"(?:(?<!{_WORD})(?!{_WORD})|(?<={_WORD})(?={_WORD}))"
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_GROUP = re.compile(r"\(\?(?:P?<([^>]*)>|([imsU]*)(?:-([imsU]+))?([:)]))")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_MOST_REPEATS = 1000


@lru_cache(maxsize=1024)
def compile_regex(pattern: str) -> re.Pattern[str]:
    """`pattern` as Python runs it. Raises ExpressionError."""
    try:
        return re.compile(_Translation(pattern).whole())
    except (re.error, RecursionError, OverflowError) as problem:
        msg = f"error parsing regexp: {problem}: `{pattern}`"
        raise ExpressionError(msg) from None


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._names: set[str] = set()
        self._flags = frozenset[str]()

    def _fail(self, what: str) -> ExpressionError:
        return ExpressionError(f"error parsing regexp: {what}: `{self._pattern}`")

    def _rest(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def whole(self) -> str:
        found = self._alternatives()
        if self._at < len(self._pattern):
            raise self._fail("unexpected )")
        return found

    def _alternatives(self) -> str:
        """Up to the bracket that closes, or the end; flags set inside hold to there."""
        before, parts = self._flags, [""]
        while self._rest() not in ("", ")"):
            if self._rest() == "|":
                self._at += 1
                parts.append("")
                continue
            atom = self._atom()
            parts[-1] += self._repeated(atom) if atom is not None else ""
        self._flags = before
        return "|".join(parts)

    def _repeated(self, atom: str) -> str:
        operator = self._repeat_operator()
        if operator is None:
            return atom
        lazy = self._rest() == "?"
        self._at += lazy
        if self._repeat_operator() is not None:
            raise self._fail("invalid nested repetition operator")
        return f"(?:{atom}){operator}" + ("?" if lazy != ("U" in self._flags) else "")

    def _repeat_operator(self) -> str | None:
        if self._rest() and self._rest() in "*+?":
            self._at += 1
            return self._pattern[self._at - 1]
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            return None
        self._at = found.end()
        least, comma, most = found.groups()
        sizes = [int(size) for size in (least, most) if size]
        if max(sizes) > _MOST_REPEATS or (len(sizes) > 1 and sizes[0] > sizes[1]):
            raise self._fail("invalid repeat count")
        return f"{{{least}{',' if comma else ''}{most or ''}}}"

    def _atom(self) -> str | None:  # noqa: PLR0911
        char = self._rest()
        if char == "(":
            return self._group()
        if char == "[":
            return self._folded(self._class())
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise self._fail("missing argument to repetition operator")
        self._at += 1
        if char == ".":
            return r"(?s:.)" if "s" in self._flags else r"[^\n]"
        if char == "^":
            return r"(?m:^)" if "m" in self._flags else r"\A"
        if char == "$":
            return r"(?m:$)" if "m" in self._flags else r"\Z"
        return self._folded(re.escape(char))

    def _folded(self, atom: str) -> str:
        return f"(?i:{atom})" if "i" in self._flags else atom

    def _group(self) -> str | None:
        if not self._pattern.startswith("(?", self._at):
            self._at += 1
            return "(" + self._closed() + ")"
        found = _GROUP.match(self._pattern, self._at)
        if found is None:
            raise self._fail("invalid or unsupported Perl syntax")
        self._at = found.end()
        name, on, off, end = found.groups()
        if name is not None:
            if not re.fullmatch(r"\w+", name, re.ASCII) or name in self._names:
                raise self._fail("invalid named capture")
            self._names.add(name)
            label = f"P<{name}>" if not name[0].isdigit() else f"P<_{name}>"
            return f"(?{label}{self._closed()})"
        before = self._flags
        self._flags = (before | set(on)) - set(off or "")
        if end == ")":
            if not on and not off:
                raise self._fail("missing argument to repetition operator")
            return None
        inner = self._closed()
        self._flags = before
        return f"(?:{inner})"

    def _closed(self) -> str:
        inner = self._alternatives()
        if self._rest() != ")":
            raise self._fail("missing closing )")
        self._at += 1
        return inner

    def _escape(self) -> str | None:
        letter = self._pattern[self._at + 1 : self._at + 2]
        simple = {"A": r"\A", "z": r"\Z", "b": _EDGE, "B": _NO_EDGE}
        if letter in simple:
            self._at += 2
            return simple[letter]
        if letter == "Q":
            end = self._pattern.find("\\E", self._at)
            text = self._pattern[self._at + 2 : end if end >= 0 else None]
            self._at = end + 2 if end >= 0 else len(self._pattern)
            if not text:
                return None
            head = "".join(self._folded(re.escape(char)) for char in text[:-1])
            return head + self._repeated(self._folded(re.escape(text[-1])))
        inside = self._shorthand()
        if inside is not None:
            return self._folded(f"[{inside}]")
        return self._folded(re.escape(self._character()))

    def _shorthand(self) -> str | None:
        """The inside of a class for `d`, `S`, `pL` and so on after a backslash, if one stands here."""
        letter = self._pattern[self._at + 1 : self._at + 2]
        if letter.lower() in _CLASSES and letter:
            self._at += 2
            inside = _CLASSES[letter.lower()]
            return inside if letter.islower() else _complement(inside)
        if letter in ("p", "P"):
            return self._category(negated=letter == "P")
        return None

    def _category(self, *, negated: bool) -> str:
        self._at += 2
        name = self._rest()
        self._at += 1
        if name == "{":
            end = self._pattern.find("}", self._at)
            name, self._at = self._pattern[self._at : end], end + 1
            if end < 0:
                raise self._fail("invalid character class range")
        if name.startswith("^"):
            name, negated = name[1:], not negated
        inside = r"\x00-\U0010FFFF" if name == "Any" else category(name)
        if not inside:
            raise self._fail(f"invalid character class range (scripts are not known here): {name}")
        return _complement(inside) if negated else inside

    def _character(self) -> str:
        """The character that the escape here stands for."""
        text, at = self._pattern, self._at + 1
        letter = text[at : at + 1]
        if letter in _CONTROLS and letter:
            self._at += 2
            return _CONTROLS[letter]
        if (found := _HEX.match(text, at)) is not None:
            self._at = found.end()
            code = int(found[1] or found[2], 16)
            if code <= sys.maxunicode:
                return chr(code)
        elif (octal := re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}").match(text, at)) is not None:
            self._at = octal.end()
            return chr(int(octal[0], 8))
        elif letter.isascii() and letter and not letter.isalnum():
            self._at += 2
            return letter
        raise self._fail("invalid escape sequence" if letter else "trailing backslash at end of expression")

    def _class(self) -> str:
        self._at += 1
        negated = self._rest() == "^"
        self._at += negated
        parts: list[str] = []
        first = True
        while first or self._rest() != "]":
            if not self._rest():
                raise self._fail("missing closing ]")
            parts.append(self._class_part(first=first))
            first = False
        self._at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _class_part(self, *, first: bool) -> str:
        posix = re.compile(r"\[:(\^?)(\w+):\]").match(self._pattern, self._at)
        if posix is not None:
            self._at = posix.end()
            if posix[2] not in _POSIX:
                raise self._fail("invalid character class range")
            return _complement(_POSIX[posix[2]]) if posix[1] else _POSIX[posix[2]]
        if self._rest() == "\\" and (inside := self._shorthand()) is not None:
            return inside
        if self._rest() == "-" and not first and self._pattern[self._at + 1 : self._at + 2] != "]":
            raise self._fail("invalid character class range")
        low = self._class_character()
        following = self._pattern[self._at + 1 : self._at + 2]
        if self._rest() != "-" or following in ("", "]"):
            return _literal(low)
        self._at += 1
        high = self._class_character()
        if high < low:
            raise self._fail("invalid character class range")
        return f"{_literal(low)}-{_literal(high)}"

    def _class_character(self) -> str:
        if self._rest() == "\\":
            return self._character()
        if not self._rest():
            raise self._fail("missing closing ]")
        self._at += 1
        return self._pattern[self._at - 1]


def _literal(char: str) -> str:
    return f"\\U{ord(char):08x}"


@lru_cache(maxsize=64)
def _complement(inside: str) -> str:
    outside = re.compile(f"[^{inside}]")
    return _ranges([code for code in range(sys.maxunicode + 1) if outside.match(chr(code))])


@lru_cache(maxsize=64)
def category(name: str) -> str:
    """The inside of a class with the characters of a Unicode category such as `L` or `Lu`; empty if there is none."""
    if not re.fullmatch("[CLMNPSZ][a-z]?", name):
        return ""
    return _ranges([code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith(name)])


def _ranges(codes: list[int]) -> str:
    parts: list[list[int]] = []
    for code in codes:
        if parts and parts[-1][1] == code - 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(f"{_literal(chr(low))}-{_literal(chr(high))}" for low, high in parts)
