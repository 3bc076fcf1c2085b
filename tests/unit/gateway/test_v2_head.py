"""The head of a V2 message, read without its tensors, against what protocol buffers say of the same bytes."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tiphys.serving.gateway.v2_head import MOST_FIELDS, HeadError, read_head, version_field

pytestmark = pytest.mark.unit

Infer = service_pb2.ModelInferRequest


@st.composite
def messages(draw: st.DrawFn) -> service_pb2.ModelInferRequest:
    """Real requests, with all fields that there are."""
    message = Infer(
        model_name=draw(st.text(max_size=300)), model_version=draw(st.text("0123456789", max_size=20)),
        id=draw(st.text(max_size=20)),
        raw_input_contents=draw(st.lists(st.binary(max_size=300), max_size=5)),
    )  # fmt: skip
    for name in draw(st.lists(st.text(max_size=10), max_size=4)):
        tensor = message.inputs.add(
            name=name, datatype="INT64", shape=draw(st.lists(st.integers(-5, 2**40), max_size=3))
        )
        tensor.contents.int64_contents.extend(draw(st.lists(st.integers(0, 2**62), max_size=4)))
        message.outputs.add(name=name)
    for name, value in draw(st.dictionaries(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), max_size=3)).items():
        message.parameters[name].int64_param = value
    return message


@given(messages())
def test_name_and_version_are_what_the_message_says(message: service_pb2.ModelInferRequest) -> None:
    """Whatever else the message holds."""
    assert read_head(message.SerializeToString()) == (message.model_name, message.model_version)


@given(messages(), messages())
def test_of_two_joined_messages_the_last_name_counts_as_it_does_in_triton(
    first: service_pb2.ModelInferRequest, second: service_pb2.ModelInferRequest
) -> None:
    """A second name hidden behind the tensors is the one that is checked, too."""
    joined = first.SerializeToString() + second.SerializeToString()
    merged = Infer.FromString(joined)
    assert read_head(joined) == (merged.model_name, merged.model_version)


@given(messages(), st.integers(0, 10**18 - 1))
def test_an_appended_version_is_the_one_that_counts(message: service_pb2.ModelInferRequest, version: int) -> None:
    """And nothing else of the message changes."""
    found = Infer.FromString(message.SerializeToString() + version_field(str(version)))
    message.model_version = str(version)
    assert found == message


@given(st.one_of(st.binary(max_size=200), messages().map(lambda each: each.SerializeToString())), st.integers(0, 400))
def test_bytes_that_are_cut_are_refused_wherever_protocol_buffers_refuse_their_fields(content: bytes, cut: int) -> None:
    """Whatever is let through has whole fields; nothing else is ever raised."""
    content = content[:cut]
    try:
        name, version = read_head(content)
    except HeadError:
        return
    try:
        found = Infer.FromString(content)
    except DecodeError:
        return  # a fault inside a field, which is Triton's to find
    assert (name, version) == (found.model_name, found.model_version)


@pytest.mark.parametrize(
    "content",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\xff\xff\xff\xff\x0fabc",
        b"\x08\x05",
        b"\x0a\x01\xff",
        b"\x00\x00",
        b"\x0b\x0c",
        b"\x3f",
    ],
)
def test_what_is_no_head_is_refused(content: bytes) -> None:
    """Cut short, endless, huge, of another type, not UTF-8, groups."""
    with pytest.raises(HeadError):
        read_head(content)


def test_a_message_of_countless_fields_is_refused_before_it_costs_time() -> None:
    """Each field costs the gateway a step: there is a most."""
    with pytest.raises(HeadError, match=str(MOST_FIELDS)):
        read_head(b"\x1a\x00" * 10 * MOST_FIELDS)
