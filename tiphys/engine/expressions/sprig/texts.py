"""sprig's functions of texts. The subject comes last. Lengths and places count bytes, as in Go."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable
from typing import Any

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.builtins import base64_bytes, go_lower, go_upper, split, trim_characters, trim_space
from tiphys.engine.expressions.sprig.cases import camel_case, snake_case, swap_case, title_case, uncapitalize
from tiphys.engine.expressions.values import Function, StringMap, Strings, from_bytes, to_bytes
from tiphys.engine.gotext import go_quote, go_value

_MOST_BYTES = 1_000_000


def strings_of(value: Any) -> list[str]:
    """The texts of a list's values; nil ones are left out."""
    if isinstance(value, list):
        return [go_value(item) for item in value if item is not None]
    return [] if value is None else [go_value(value)]


def bounded(text: str, count: int) -> str:
    """`text` `count` times. Raises ExpressionError where it is too much."""
    if count < 0:
        msg = "strings: negative Repeat count"
        raise ExpressionError(msg)
    if len(text) * count > _MOST_BYTES:
        msg = f"the result is longer than {_MOST_BYTES} bytes; make it in a step"
        raise ExpressionError(msg)
    return text * count


def _bytewise(cut: Callable[..., bytes]) -> Callable[..., str]:
    return lambda *arguments: from_bytes(cut(*arguments[:-1], to_bytes(arguments[-1])))


def _trunc(count: int, data: bytes) -> bytes:
    if count < 0:
        return data[count:] if len(data) + count > 0 else data
    return data[:count]


def _part(data: bytes, start: int, end: int) -> bytes:
    if not 0 <= start <= end <= len(data):
        msg = f"slice bounds out of range [{start}:{end}]"
        raise ExpressionError(msg)
    return data[start:end]


def _substr(start: int, end: int, data: bytes) -> bytes:
    if start < 0:
        return _part(data, 0, end)
    return _part(data, start, len(data) if end < 0 or end > len(data) else end)


def _abbreviated(data: bytes, offset: int, width: int) -> bytes:
    if not data or len(data) <= width:
        return data
    offset = min(offset, len(data))
    if len(data) - offset < width - 3:
        offset = len(data) - (width - 3)
    if offset <= 4:  # noqa: PLR2004
        return data[: width - 3] + b"..."
    if width < 7:  # noqa: PLR2004
        return b""
    if offset + width - 3 < len(data):
        return b"..." + _shorter(data[offset:], width - 3)
    return b"..." + data[len(data) - (width - 3) :]


def _shorter(data: bytes, width: int) -> bytes:
    return _abbreviated(data, 0, width) if width >= 4 else b""  # noqa: PLR2004


def _abbrev(width: int, data: bytes) -> bytes:
    return data if width < 4 else _abbreviated(data, 0, width)  # noqa: PLR2004


def _abbrev_both(left: int, right: int, data: bytes) -> bytes:
    if right < 4 or (left > 0 and right < 7):  # noqa: PLR2004
        return data
    return _abbreviated(data, left, right)


def _wrapped(data: bytes, width: int, end: bytes, *, cut_words: bool) -> bytes:
    width, at, parts = max(width, 1), 0, b""
    while len(data) - at > width:
        if data[at : at + 1] == b" ":
            at += 1
            continue
        space = data.rfind(b" ", at, at + width + 1)
        if space >= at:
            stop, following = space, space + 1
        elif cut_words:
            stop = following = at + width
        else:
            space = data.find(b" ", at + width)
            if space < 0:
                return parts + data[at:]
            stop, following = space, space + 1
        parts += data[at:stop] + end
        at = following
    return parts + data[at:]


def _nospace(text: str) -> str:
    data = to_bytes(text)
    kept = bytes(byte for byte in data if not chr(byte).isspace() or byte in range(0x1C, 0x20))
    return text if len(kept) == len(data) else kept.decode("latin-1")


def _initials(text: str) -> str:
    found, gap = "", True
    for char in to_bytes(text).decode("latin-1"):
        if char.isspace():
            gap = True
        elif gap:
            found, gap = found + char, False
    return found


def _decoded(decode: Callable[[str], bytes]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        try:
            return from_bytes(decode(text))
        except (ValueError, binascii.Error) as problem:
            return str(problem)

    return apply


def _base32_bytes(text: str) -> bytes:
    compact = text.replace("\n", "").replace("\r", "")
    valid = compact.rstrip("=")
    bad = next((at for at, char in enumerate(valid) if char not in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), None)
    if bad is None and len(compact) % 8 == 0:
        return base64.b32decode(compact)
    msg = f"illegal base32 data at input byte {len(valid) if bad is None else bad}"
    raise ValueError(msg)


def _indent(spaces: int, text: str) -> str:
    pad = bounded(" ", spaces)
    return pad + text.replace("\n", "\n" + pad)


def _numbered(parts: list[str]) -> StringMap:
    return StringMap({f"_{at}": part for at, part in enumerate(parts)})


def _hashed(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, to_bytes(text), usedforsecurity=False).hexdigest()


TEXTS: dict[str, Function] = {
    name: Function(call, parameters)
    for name, parameters, call in [
        ("hello", "", lambda: "Hello!"),
        ("abbrev", "is", _bytewise(_abbrev)),
        ("abbrevboth", "iis", _bytewise(_abbrev_both)),
        ("trunc", "is", _bytewise(_trunc)),
        ("substr", "iis", _bytewise(_substr)),
        ("trim", "s", trim_space),
        ("upper", "s", go_upper),
        ("lower", "s", go_lower),
        ("title", "s", title_case),
        ("untitle", "s", uncapitalize),
        ("repeat", "is", lambda count, text: bounded(text, count)),
        ("trimall", "ss", lambda characters, text: trim_characters(text, characters)),
        ("trimAll", "ss", lambda characters, text: trim_characters(text, characters)),
        ("trimSuffix", "ss", lambda suffix, text: text.removesuffix(suffix)),
        ("trimPrefix", "ss", lambda prefix, text: text.removeprefix(prefix)),
        ("nospace", "s", _nospace),
        ("initials", "s", _initials),
        ("swapcase", "s", swap_case),
        ("snakecase", "s", lambda text: snake_case(text, "_")),
        ("kebabcase", "s", lambda text: snake_case(text, "-")),
        ("camelcase", "s", camel_case),
        ("wrap", "is", _bytewise(lambda width, data: _wrapped(data, width, b"\n", cut_words=False))),
        ("wrapWith", "iss", lambda width, end, text: from_bytes(
            _wrapped(to_bytes(text), width, to_bytes(end) or b"\n", cut_words=True))),
        ("contains", "ss", lambda part, text: part in text),
        ("hasPrefix", "ss", lambda prefix, text: text.startswith(prefix)),
        ("hasSuffix", "ss", lambda suffix, text: text.endswith(suffix)),
        ("quote", "a*", lambda *values: " ".join(go_quote(go_value(value)) for value in values if value is not None)),
        ("squote", "a*", lambda *values: " ".join(f"'{go_value(value)}'" for value in values if value is not None)),
        ("cat", "a*", lambda *values: " ".join(go_value(value) for value in values if value is not None)),
        ("indent", "is", _indent),
        ("nindent", "is", lambda spaces, text: "\n" + _indent(spaces, text)),
        ("replace", "sss", lambda old, new, text: text.replace(old, new)),
        ("plural", "ssi", lambda one, many, count: one if count == 1 else many),
        ("sha1sum", "s", _hashed("sha1")),
        ("sha256sum", "s", _hashed("sha256")),
        ("sha512sum", "s", _hashed("sha512")),
        ("adler32sum", "s", lambda text: str(zlib.adler32(to_bytes(text)))),
        ("toString", "a", go_value),
        ("split", "ss", lambda separator, text: _numbered(split(text, separator))),
        ("splitn", "sis", lambda separator, count, text: _numbered(split(text, separator, count))),
        ("splitList", "ss", lambda separator, text: split(text, separator)),
        ("toStrings", "a", lambda value: value if isinstance(value, Strings) else Strings(strings_of(value))),
        ("join", "sa", lambda separator, value: separator.join(strings_of(value))),
        ("sortAlpha", "a", lambda value: Strings(sorted(strings_of(value), key=to_bytes) if value is not None else ["<nil>"])),
        ("b64enc", "s", lambda text: base64.b64encode(to_bytes(text)).decode()),
        ("b64dec", "s", _decoded(base64_bytes)),
        ("b32enc", "s", lambda text: base64.b32encode(to_bytes(text)).decode()),
        ("b32dec", "s", _decoded(_base32_bytes)),
    ]
}  # fmt: skip
