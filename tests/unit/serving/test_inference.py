"""The request that is written by hand is the one that protobuf would write."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.usecases.tiny.features import FEATURES
from tiphys.serving.inference import packer

pytestmark = pytest.mark.unit


@given(litres=st.floats(width=32, allow_nan=False), celsius=st.integers(-(2**63), 2**63 - 1))
def test_a_packed_row_reads_as_a_model_infer_request(litres: float, celsius: int) -> None:
    """Model, inputs, shapes and raw values arrive in the order of the features."""
    packed = packer("tiny", FEATURES, "seconds")({"celsius": celsius, "litres": litres})
    found = service_pb2.ModelInferRequest.FromString(packed)
    assert found.model_name == "tiny"
    assert [(each.name, each.datatype, list(each.shape)) for each in found.inputs] == [
        ("litres", "FP32", [1, 1]),
        ("celsius", "INT64", [1, 1]),
    ]
    assert [each.name for each in found.outputs] == ["seconds"]
    assert list(found.raw_input_contents) == [struct.pack("<f", litres), struct.pack("<q", celsius)]
