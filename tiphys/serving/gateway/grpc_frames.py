"""What HTTP/2's frames look like (RFC 9113). It knows no connection."""

from __future__ import annotations

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED, PRIORITISED = 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 6, 7, 8, 9, 11

HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 1, 3, 4, 5, 6

FRAME_CAP = 16384
"""Longest payload of a frame that is read or written: HTTP/2's own default."""
BLOCK_CAP = 16384
"""Most bytes of one block of headers, over all its frames."""
HEAD = struct.Struct(">HBBBI")
SETTING = struct.Struct(">HI")
NUMBER = struct.Struct(">I")


class WireError(Exception):
    """The peer breaks the protocol: its connection ends with this code."""

    def __init__(self, code: int) -> None:
        """Keep the code of RFC 9113, chapter 7."""
        super().__init__(f"HTTP/2 error {code}")
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 255, kind, flags, stream) + payload


def without_padding(payload: bytes, skip: int) -> bytes:
    """Take the padding off, and ``skip`` bytes before the content. Raises WireError if it is longer than the frame."""
    padding = payload[0]
    if padding >= len(payload):
        raise WireError(PROTOCOL_ERROR)
    return payload[skip : len(payload) - padding]
