"""Header blocks of gRPC calls (RFC 7541, gRPC over HTTP/2): what a call asks for, and what it is told. It knows no connection.

Blocks repeat: the calls of a client differ only in their bodies. A side whose table has no size writes blocks that mean the
same wherever they stand, so what one of them means is kept by its bytes. Both sides are asked for that
(SETTINGS_HEADER_TABLE_SIZE = 0); before a client has taken notice, its blocks are decoded each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar
from urllib.parse import quote_from_bytes, unquote

from hpack import Decoder
from hpack.exceptions import HPACKError

from tiphys.serving.gateway.grpc_frames import BLOCK_CAP, COMPRESSION_ERROR, WireError

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 2, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 8, 12, 13, 14, 16

NO_TABLE = b"\x20"
"""Begins a block whose writer uses no table."""
_MOST_KEPT = 2048
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MOST_DIGITS = 8

Meaning = TypeVar("Meaning")
Fields = list[tuple[bytes, bytes]]


class Blocks(Generic[Meaning]):
    """Reads the blocks of one connection; ``kept`` may be shared by connections that read alike."""

    def __init__(self, read: Callable[[Fields], Meaning], kept: dict[bytes, Meaning]) -> None:
        """Begin with an empty table."""
        self._read = read
        self._kept = kept
        self._decoder = Decoder(max_header_list_size=BLOCK_CAP)

    def read(self, block: bytes) -> Meaning:
        """Say what a block means.

        Raises:
            WireError: it is no block; nothing on this connection can be read any more.
        """
        decoder = self._decoder
        stateless = decoder.header_table_size == 0
        if stateless:
            known = self._kept.get(block)
            if known is not None:
                return known
        try:
            fields: Fields = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
        except (HPACKError, IndexError) as error:
            raise WireError(COMPRESSION_ERROR) from error
        meaning = self._read(fields)
        if stateless:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[block] = meaning
        return meaning


@dataclass(frozen=True, slots=True)
class CallHead:
    """What the headers of a call say."""

    method: bytes
    path: bytes
    kind: bytes
    encoding: bytes
    timeout: float | None
    """Seconds that the caller waits; None: for ever."""
    environment: bytes
    credentials: dict[bytes, bytes]
    """``authorization``, ``x-api-key`` and ``x-rider-id``, those that were sent."""
    has_form: bool
    """Whether pseudo headers and names are as HTTP/2 wants them, and the timeout a timeout."""


_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"x-rider-id"})
_PSEUDO = frozenset({b":method", b":path", b":scheme", b":authority"})


def read_call(fields: Fields) -> CallHead:
    """Read the headers of a call."""
    found = dict(reversed(fields))
    text = found.get(b"grpc-timeout")
    timeout = None if text is None else _seconds(text.decode("latin-1"))
    names = [name for name, _ in fields]
    pseudo = [name for name in names if name.startswith(b":")]
    has_form = (
        len(set(pseudo)) == len(pseudo)
        and {b":method", b":path"} <= set(pseudo) <= _PSEUDO
        and names[: len(pseudo)] == pseudo
        and (text is None or timeout is not None)
    )
    return CallHead(
        method=found.get(b":method", b""),
        path=found.get(b":path", b""),
        kind=found.get(b"content-type", b""),
        encoding=found.get(b"grpc-encoding", b"identity"),
        timeout=timeout,
        environment=found.get(b"tiphys-environment", b""),
        credentials={name: value for name, value in found.items() if name in _CREDENTIALS},
        has_form=has_form,
    )


def _seconds(text: str) -> float | None:
    digits, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not digits.isascii() or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        return None
    return int(digits) * _UNITS[unit]


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What headers or trailers of an answer say."""

    status: int | None
    """gRPC's status, if they have one."""
    message: str


def read_answer(fields: Fields) -> AnswerHead:
    """Read headers or trailers of an answer."""
    found = dict(fields)
    status = found.get(b"grpc-status", b"")
    if status:
        return AnswerHead(
            int(status) if status.isdigit() else UNKNOWN, unquote(found.get(b"grpc-message", b"").decode("latin-1"))
        )
    if found.get(b":status", b"200") != b"200":
        return AnswerHead(UNAVAILABLE, f"HTTP status {found[b':status'].decode()}")
    return AnswerHead(None, "")


def literals(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write fields so that no table changes and none is needed (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    return _integer(len(text)) + text


def _integer(number: int) -> bytes:
    """A length of a text that is not Huffman-coded: a prefix of seven bits (RFC 7541, 5.1)."""
    if number < 127:  # noqa: PLR2004
        return bytes([number])
    number -= 127
    found = bytearray(b"\x7f")
    while number >= 128:  # noqa: PLR2004
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def refusal_block(status: int, message: str, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """Write an answer that is only an error: ``:status 200``, the kind, the status and what it says."""
    said = quote_from_bytes(message.encode()[:1000], safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~").encode()
    fields = [
        (b"content-type", b"application/grpc"), (b"grpc-status", b"%d" % status), (b"grpc-message", said), *more,
    ]  # fmt: skip
    return NO_TABLE + b"\x88" + literals(fields)


def http_refusal_block(status: int) -> bytes:
    """Write the answer to what is no gRPC: an HTTP status alone."""
    return NO_TABLE + literals([(b":status", b"%d" % status)])


def call_block(path: bytes, authority: bytes) -> bytes:
    """Write the headers of a call to Triton, all but its timeout."""
    fields = [
        (b":path", path), (b":authority", authority), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    ]  # fmt: skip
    return NO_TABLE + b"\x83\x86" + literals(fields)


@lru_cache(maxsize=4096)
def timeout_field(milliseconds: int) -> bytes:
    """Write how long the caller still waits."""
    return literals([(b"grpc-timeout", b"%dm" % max(1, min(99_999_999, milliseconds)))])
