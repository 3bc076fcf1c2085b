"""Cuts an expression of the expr language into tokens."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from tiphys.engine.errors import ExpressionError

_NAME = re.compile(r"(?:[^\W_]|[_$])+")
_DIGITS = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}
_WORDS = {"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}
_NEGATED = {"in", "matches", "contains", "startsWith", "endsWith"}
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_HEX = {"x": 2, "X": 2, "u": 4, "U": 8}


class Token(NamedTuple):
    """One token: kind is `number`, `string`, `bytes`, `name`, `operator`, `bracket` or `end`."""

    kind: str
    value: str
    position: int


def tokenize(text: str) -> list[Token]:
    """Cut `text` into tokens, the last one of kind `end`. Raises ExpressionError."""
    return _Lexer(text).all()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tokens: list[Token] = []

    def all(self) -> list[Token]:
        while True:
            self._skip()
            if self._at >= len(self._text):
                return [*self._tokens, Token("end", "", self._at)]
            self._next()

    def _fail(self, message: str) -> ExpressionError:
        return ExpressionError(message, max(0, min(self._at, len(self._text) - 1))).shown_in(self._text)

    def _skip(self) -> None:
        text = self._text
        while self._at < len(text):
            if text[self._at].isspace() and text[self._at] not in "\x1c\x1d\x1e\x1f":
                self._at += 1
            elif text.startswith("//", self._at):
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end + 1
            elif text.startswith("/*", self._at):
                end = text.find("*/", self._at + 2)
                if end < 0:
                    raise self._fail("unclosed comment")
                self._at = end + 2
            else:
                return

    def _add(self, kind: str, value: str, length: int) -> None:
        self._tokens.append(Token(kind, value, self._at))
        self._at += length

    def _next(self) -> None:
        text, at = self._text, self._at
        char, two = text[at], text[at : at + 2]
        if char in "'\"":
            self._quoted("string", at)
        elif char == "`":
            self._raw()
        elif char in "bB" and two[1:] in ("'", '"'):
            self._quoted("bytes", at + 1)
        elif (char.isascii() and char.isdigit()) or (char == "." and two[1:].isascii() and two[1:].isdigit()):
            self._number()
        elif char == "#":
            self._pointer()
        elif char in "([{)]}":
            self._add("bracket", char, 1)
        elif (found := _NAME.match(text, at)) is not None:
            self._word(found.group())
        else:
            self._symbol(char, two)

    def _symbol(self, char: str, two: str) -> None:
        if char in "&!=*<>":
            self._add(
                "operator", two if two[1:] and two[1:] in "&=*" else char, 2 if two[1:] and two[1:] in "&=*" else 1
            )
        elif two in ("?.", "??", "||", "::", ".."):
            self._add("operator", two, 2)
        elif char in ",;%+-^?/|:.":
            self._add("operator", char, 1)
        else:
            raise self._fail(f"unrecognized character: U+{ord(char):04X} '{char}'")

    def _word(self, word: str) -> None:
        self._add("operator" if word in _WORDS else "name", word, len(word))

    def _pointer(self) -> None:
        self._add("operator", "##" if self._text.startswith("##", self._at) else "#", 1)
        if self._tokens[-1].value == "##":
            self._at += 1
        found = _NAME.match(self._text, self._at)
        if found is not None:
            self._add("name", found.group(), len(found.group()))

    def _run(self, at: int, digits: str) -> int:
        while at < len(self._text) and self._text[at] in digits:
            at += 1
        return at

    def _number(self) -> None:
        text, end, digits = self._text, self._at, "0123456789_"
        if text[end] == "0" and (base := text[end + 1 : end + 2].lower()) and base in _DIGITS:
            digits, end = _DIGITS[base], end + 2
        end = self._run(end, digits)
        if text[end : end + 1] == ".":
            if text[end + 1 : end + 2] == ".":
                self._add("number", text[self._at : end], end - self._at)
                return
            end = self._run(end + 1, digits)
        if text[end : end + 1] and text[end] in "eE":
            end += 1
            if text[end : end + 1] and text[end] in "+-":
                end += 1
            end = self._run(end, digits)
        if _NAME.match(text, end):
            self._at = end
            raise self._fail(f'bad number syntax: "{text[self._at : end + 1]}"')
        self._add("number", text[self._at : end], end - self._at)

    def _raw(self) -> None:
        text, start = self._text, self._at + 1
        at = start
        while True:
            end = text.find("`", at)
            if end < 0:
                self._at = len(text)
                raise self._fail("literal not terminated")
            if text[end + 1 : end + 2] != "`":
                self._add("string", text[start:end].replace("``", "`"), end + 1 - self._at)
                return
            at = end + 2

    def _quoted(self, kind: str, start: int) -> None:
        text, quote, at = self._text, self._text[start], start + 1
        parts: list[str] = []
        while True:
            char = text[at : at + 1]
            if char in ("", "\n"):
                self._at = at
                raise self._fail("literal not terminated")
            if char == quote:
                break
            if char == "\\":
                part, at = self._escape(at + 1, quote, kind)
                parts.append(part)
                continue
            parts.append("\n" if char == "\r" else char)
            at += 1 if text[at : at + 2] != "\r\n" else 2
        self._add(kind, "".join(parts), at + 1 - self._at)

    def _escape(self, at: int, quote: str, kind: str) -> tuple[str, int]:
        text = self._text
        letter = text[at : at + 1]
        if letter in ("a", "b", "f", "n", "r", "t", "v", "\\", quote):
            return _ESCAPES[letter], at + 1
        digits, end = "", at
        if letter == "u" and text[at + 1 : at + 2] == "{":
            end = text.find("}", at)
            digits = text[at + 2 : end] if at < end <= at + 8 else ""
            end += 1
        elif letter in _HEX and letter != "X" and letter:
            end = at + 1 + _HEX[letter]
            digits = text[at + 1 : end] if len(text[at + 1 : end]) == _HEX[letter] else ""
        elif letter and letter in "0123":
            end = at + 3
            octal = text[at:end]
            if len(octal) == 3 and all(digit in "01234567" for digit in octal):  # noqa: PLR2004
                digits = f"{int(octal, 8):x}"
        if digits and all(digit in "0123456789abcdefABCDEF" for digit in digits):
            code = int(digits, 16)
            if code <= sys.maxunicode and not (kind == "bytes" and letter in "uU"):
                return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code), end  # noqa: PLR2004
        self._at = at
        raise self._fail("invalid char escape")
