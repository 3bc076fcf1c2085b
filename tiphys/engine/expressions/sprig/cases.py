"""The cases of words: title, snake, kebab and camel, as sprig's libraries make them."""

from __future__ import annotations

import unicodedata

from tiphys.engine.expressions.values import clean

_NUMBER, _UPPER, _ALPHABET, _CONNECTOR, _PUNCT, _OTHER, _NONE = [
    "number",
    "upper",
    "alphabet",
    "connector",
    "punct",
    "other",
    "none",
]
Word = tuple[str, str]


def _one(changed: str, char: str) -> str:
    return changed if len(changed) == 1 else char


def title_case(text: str) -> str:
    """Go's strings.Title: a letter after anything but a letter, digit, `_` or `'s` kin becomes a capital."""
    found, before = "", " "
    for char in clean(text):
        found += _one(char.title(), char) if _separates(before) else char
        before = char
    return found


def _separates(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    return not (char.isalpha() or char.isdigit()) and char.isspace()


def uncapitalize(text: str) -> str:
    """The first character of each word in lower case."""
    found, following = "", True
    for char in clean(text):
        if char.isspace():
            following = True
        elif following:
            char, following = _one(char.lower(), char), False  # noqa: PLW2901
        found += char
    return found


def swap_case(text: str) -> str:
    """Capitals become small, small ones capitals."""
    found, space = "", True
    for char in clean(text):
        if char.isupper() or unicodedata.category(char) == "Lt":
            found += _one(char.lower(), char)
            space = False
        elif char.islower():
            found += _one(char.title() if space else char.upper(), char)
            space = False
        else:
            found += char
            space = char.isspace()
    return found


def _connects(char: str) -> bool:
    return char in "-_" or char.isspace()


def camel_case(text: str) -> str:
    """Words joined, each with a capital: `http_server` gives `HttpServer`."""
    text = clean(text)
    start = next((at for at, char in enumerate(text) if not _connects(char)), None)
    if start is None:
        return text + text[-1:] if text else ""
    found, last = text[:start], text[start]
    upper_run, last = last.isupper(), _one(last.upper(), last)
    if start + 1 == len(text):
        return found + last
    for char in text[start + 1 :]:
        before, last = last, char
        if _connects(last) and _connects(before):
            found += before
            continue
        if _connects(before):
            upper_run, last = last.isupper(), _one(last.upper(), last)
            continue
        if upper_run:
            upper_run = last.isupper()
            last = _one(last.lower(), last) if upper_run else last
        found += before
    return found + last


def _kind(char: str) -> str:
    if _connects(char):
        return _CONNECTOR
    category = unicodedata.category(char)
    if category[0] == "P":
        return _PUNCT
    if category == "Lu":
        return _UPPER
    if category[0] == "L":
        return _ALPHABET
    return _NUMBER if category[0] == "N" else _OTHER


def _words(text: str) -> list[Word]:
    found: list[Word] = []
    at = 0
    while at < len(text):
        kind, end = _kind(text[at]), at + 1
        if kind == _UPPER:
            end = _upper_end(text, at)
        else:
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        found.append((kind, text[at:end]))
        at = end
    return found


def _upper_end(text: str, at: int) -> int:
    end = at + 1
    following = _kind(text[end]) if end < len(text) else _NONE
    while end < len(text) and _kind(text[end]) == following and following in (_UPPER, _ALPHABET):
        end += 1
    if following == _UPPER and end < len(text) and _kind(text[end]) == _ALPHABET:
        end -= 1  # `HTTPStatus` is `HTTP` and `Status`
    return end


class _Words:
    def __init__(self, text: str) -> None:
        self._rest = _words(text)[::-1]

    def next(self) -> Word:
        return self._rest.pop() if self._rest else (_NONE, "")

    def more(self) -> bool:
        return bool(self._rest)


def snake_case(text: str, connector: str) -> str:  # noqa: C901
    """Words in lower case with `connector` between them: `HTTPServer` gives `http_server`."""
    words, found = _Words(text), ""

    def lower(word: Word) -> str:
        if word[0] not in (_UPPER, _CONNECTOR):
            return word[1]
        return "".join(connector if _connects(char) else _one(char.lower(), char) for char in word[1])

    word = words.next()
    while words.more():
        if word[0] != _CONNECTOR:
            found += lower(word)
        last, word = word, words.next()
        if last[0] == _NUMBER:
            while word[0] in (_ALPHABET, _NUMBER):
                found += lower(word)
                word = words.next()
            found += connector if word[0] not in (_NONE, _PUNCT, _CONNECTOR) else ""
        elif last[0] == _CONNECTOR:
            found += lower(last)
        elif last[0] != _PUNCT:
            if word[0] != _NUMBER:
                found += connector if word[0] not in (_CONNECTOR, _PUNCT) else ""
                continue
            if not words.more():
                continue
            number, word = word, words.next()
            if word[0] != _ALPHABET:
                found += number[1] + (connector if word[0] not in (_CONNECTOR, _PUNCT) else "")
                continue
            found += connector + number[1]
            while word[0] in (_ALPHABET, _NUMBER):
                found += lower(word)
                word = words.next()
            found += connector if word[0] not in (_NONE, _PUNCT, _CONNECTOR) else ""
    return found + lower(word)
