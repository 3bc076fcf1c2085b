"""What the head of a request may say, and the request that it is.

llhttp, which httptools wraps, refuses what smuggling is made of: two lengths, odd lengths, both a length and chunks, bare
line feeds, folded headers. This adds what else HTTP/1.1 does not allow, or is not spoken here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiphys.serving.gateway.messages import Request, Response, refusal

if TYPE_CHECKING:
    import httptools


class Refused(Exception):  # noqa: N818 - ends the parsing of one message
    """A message that is not read to its end."""

    def __init__(self, response: Response) -> None:
        """Keep what is answered instead."""
        super().__init__(response.status)
        self.response = response


def request_of(
    parser: httptools.HttpRequestParser, target: bytes, fields: dict[bytes, bytes], peer: str, now: float
) -> Request:
    """Make the request of what its head says; one of HTTP/1.0 is its connection's last. Raises Refused."""
    version = parser.get_http_version()
    if version not in {"1.1", "1.0"}:
        raise Refused(refusal(505, "http_version", f"HTTP/{version} is not spoken here; use HTTP/1.1"))
    if parser.should_upgrade():
        text = "no other protocol is spoken here: leave out the header Upgrade, and use no CONNECT"
        raise Refused(refusal(501, "upgrade", text))
    is_old = version == "1.0"
    coding = fields.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != b"chunked" or is_old):
        raise Refused(refusal(501, "transfer_encoding", "of transfer codings only chunked is known, of HTTP/1.1"))
    host = fields.get(b"host")
    if (host is None and not is_old) or (host is not None and b"," in host):
        raise Refused(refusal(400, "host", "send exactly one Host header"))
    if target.startswith(b"http://"):
        target = b"/" + target[len(b"http://") :].partition(b"/")[2]
    path, _, query = target.partition(b"?")
    request = Request(
        parser.get_method().decode("ascii"), path.decode("latin-1"), query.decode("latin-1"), fields, peer, now
    )
    request.last = is_old
    return request


def too_large(cap: int) -> Response:
    """Refuse a body of more than ``cap`` bytes."""
    return refusal(413, "too_large", f"the body has at most {cap} bytes here")
