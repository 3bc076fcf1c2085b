"""What a gRPC caller is told: HTTP's refusals in gRPC's words, and messages in their frame of five bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from tiphys.serving.gateway import grpc_headers as status
from tiphys.serving.gateway.messages import Response

_PREFIX = struct.Struct(">BI")
PREFIX_SIZE = _PREFIX.size

_STATUS: Mapping[int, int] = {
    400: status.INVALID_ARGUMENT, 401: status.UNAUTHENTICATED, 403: status.PERMISSION_DENIED, 404: status.NOT_FOUND,
    408: status.DEADLINE_EXCEEDED, 413: status.RESOURCE_EXHAUSTED, 429: status.RESOURCE_EXHAUSTED,
    501: status.UNIMPLEMENTED, 503: status.UNAVAILABLE, 504: status.DEADLINE_EXCEEDED,
}  # fmt: skip

_HTTP: Mapping[int, int] = {status.OK: 200, **{grpc: http for http, grpc in reversed(list(_STATUS.items()))}}


def http_status(grpc: int) -> int:
    """Return what HTTP would have said."""
    return _HTTP.get(grpc, 500)


def refused(response: Response) -> bytes:
    """Write a refusal as the only block of an answer; ``retry-after`` comes along as metadata."""
    message = json.loads(response.body)["error"]["message"]
    more = []
    for line in response.headers.splitlines():
        name, _, value = line.partition(b": ")
        if name == b"retry-after":
            more.append((name, value))
    return status.refusal_block(_STATUS.get(response.status, status.INTERNAL), message, more)


def fault(body: bytes) -> tuple[int, str] | None:
    """Say what is wrong with the body of a call as (status, message): it must be one whole message, not compressed."""
    if len(body) < PREFIX_SIZE:
        return status.INVALID_ARGUMENT, "the call ended before its message"
    compressed, size = _PREFIX.unpack_from(body)
    if compressed:
        return status.UNIMPLEMENTED, "messages are taken as they are: send them with grpc-encoding: identity"
    if size != len(body) - PREFIX_SIZE:
        return status.INVALID_ARGUMENT, f"the message says that it has {size} bytes, {len(body) - PREFIX_SIZE} came"
    return None


def extended(body: bytes, more: bytes) -> bytes:
    """Put more fields behind a framed message."""
    return b"".join((_PREFIX.pack(0, len(body) - PREFIX_SIZE + len(more)), body[PREFIX_SIZE:], more))
