"""The head of a V2 message (protocol buffers): which model, which version; everything else is skipped unread.

ModelInferRequest, ModelReadyRequest, ModelMetadataRequest and ModelConfigRequest all have the model's name as field 1 and the
version as field 2. Of a message's fields only tag and length are looked at. It knows no transport.
"""

from __future__ import annotations

NAME, VERSION = 1, 2
MOST_FIELDS = 4096
"""Most fields of a message: inputs, outputs and parameters of one request; each costs the gateway its time."""
_VARINT, _FIXED64, _TEXT, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10


class HeadError(ValueError):
    """The bytes are no such message."""


def read_head(message: bytes, start: int = 0) -> tuple[str, str]:
    """Return (model name, version), each empty if it is not given; of repeated fields the last counts, as it does in Triton.

    Raises:
        HeadError: the fields do not end where the message does, or name and version are no texts.
    """
    found = {NAME: b"", VERSION: b""}
    at, end = start, len(message)
    for _ in range(MOST_FIELDS):
        if at == end:
            return _text(found[NAME]), _text(found[VERSION])
        tag, at = _varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == _TEXT:
            size, at = _varint(message, at)
            if field <= VERSION:
                found[field] = message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        else:
            at += _SIZES.get(kind, end + 1)
        if at > end or not field or (field <= VERSION and kind != _TEXT):
            raise HeadError(f"field {field} is no field of a V2 request, or is cut short")
    raise HeadError(f"a request has at most {MOST_FIELDS} fields")


def version_field(version: str) -> bytes:
    """Write the version as a field to be put behind a message: messages that are joined are merged."""
    text = version.encode()
    return bytes([VERSION << 3 | _TEXT, len(text)]) + text


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 128:  # noqa: PLR2004 - one byte, as nearly always
        return message[at], at + 1
    found = shift = 0
    for here in range(at, min(at + _LONGEST_VARINT, len(message))):
        byte = message[here]
        found |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004 - the last byte has no high bit
            return found, here + 1
        shift += 7
    raise HeadError("a number is cut short")


def _text(found: bytes) -> str:
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise HeadError("name and version are texts in UTF-8") from None
