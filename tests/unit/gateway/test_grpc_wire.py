"""HTTP/2 as the gRPC door speaks it: headers against a second implementation, frames cut anywhere, peers that break rules."""

from __future__ import annotations

import struct

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from tiphys.serving.gateway import grpc_frames, grpc_headers
from tiphys.serving.gateway.grpc_headers import Blocks, literals, read_call

pytestmark = pytest.mark.unit

TEXT = st.binary(max_size=400)
FIELDS = st.lists(st.tuples(st.from_regex(rb"[a-z][a-z0-9-]{0,20}", fullmatch=True), TEXT), max_size=10)


@given(FIELDS)
def test_literals_mean_the_same_to_another_implementation(fields: list[tuple[bytes, bytes]]) -> None:
    """And leave its table as it was."""
    decoder = Decoder()
    found = decoder.decode(literals(fields), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in found] == fields
    assert not decoder.header_table.dynamic_entries


@given(st.lists(FIELDS, max_size=5), st.booleans())
def test_blocks_are_read_right_with_and_without_a_table(listed: list[list[tuple[bytes, bytes]]], table: bool) -> None:  # noqa: FBT001 - drawn
    """A client's table is honoured as long as it has one; after that, blocks are known by their bytes."""
    encoder = Encoder()
    if not table:
        encoder.header_table_size = 0
    blocks: Blocks[list[tuple[bytes, bytes]]] = Blocks(list, {})
    for fields in [*listed, *listed]:
        assert blocks.read(encoder.encode(fields)) == fields


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"1S", 1.0), (b"250m", 0.25), (b"99999999n", 0.099999999), (b"2M", 120.0), (b"1", None), (b"-1S", None), (b"S", None),
     (b"123456789S", None), (b"1s", None), (b"\xb2S", None), (b"", None)],
)  # fmt: skip
def test_a_timeout_is_read_as_grpc_writes_it_or_the_call_is_malformed(text: bytes, seconds: float | None) -> None:
    """At most eight digits and a unit."""
    head = read_call([(b":method", b"POST"), (b":path", b"/x"), (b"grpc-timeout", text)])
    assert head.has_form == (seconds is not None)
    assert head.timeout == pytest.approx(seconds) if seconds else head.timeout is None


@pytest.mark.parametrize(
    "fields",
    [
        [], [(b":path", b"/x")], [(b":method", b"POST"), (b":method", b"GET"), (b":path", b"/x")],
        [(b":method", b"POST"), (b"te", b"x"), (b":path", b"/x")], [(b":method", b"POST"), (b":path", b"/x"), (b":odd", b"")],
    ],
)  # fmt: skip
def test_pseudo_headers_that_are_missing_twice_late_or_unknown_are_malformed(fields: list[tuple[bytes, bytes]]) -> None:
    """RFC 9113, 8.3."""
    assert not read_call(fields).has_form


def test_what_a_refusal_says_cannot_leave_its_header() -> None:
    """Percent-encoded, and cut."""
    block = grpc_headers.refusal_block(3, "a\r\nb\0ü%" + "x" * 5000, [(b"retry-after", b"1")])
    found = dict(Decoder().decode(block, raw=True))
    assert found[b"grpc-message"].startswith(b"a%0D%0Ab%00%C3%BC%25x")
    assert len(found[b"grpc-message"]) < 1100
    assert found[b"retry-after"] == b"1"


def test_a_block_that_is_none_ends_the_connection() -> None:
    """Its table can no longer be known."""
    with pytest.raises(grpc_frames.WireError):
        Blocks(list, {}).read(b"\xff\xff\xff\xff\xff\xff\xff")


def test_a_frame_is_nine_bytes_and_its_payload() -> None:
    """RFC 9113, 4.1."""
    assert grpc_frames.frame(grpc_frames.PING, 1, 5, b"x" * 300) == struct.pack(">HBBBI", 1, 44, 6, 1, 5) + b"x" * 300
