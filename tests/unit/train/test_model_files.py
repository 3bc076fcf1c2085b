"""Weights as files."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save

from tiphys import model_files

pytestmark = pytest.mark.unit


def test_the_same_weights_are_the_same_bytes_each_time() -> None:
    """The digest names what was trained, whatever order the library's hash map has: each one has another."""
    notes = {name: "é" + name for name in ("use_case", "dataset", "revision", "a", "b")}
    written = {save({"one": np.ones(3), "two": np.zeros(2)}, notes) for _ in range(50)}
    assert len(written) > 1
    assert len({model_files._in_order(each) for each in written}) == 1


def test_weights_are_what_they_were() -> None:
    """Only the order of the notes is changed."""
    content = model_files._in_order(save({"one": np.arange(3.0)}, {"z": "1", "a": "é"}))
    assert load(content)["one"].tolist() == [0.0, 1.0, 2.0]
    assert b'"__metadata__":{"a":"\xc3\xa9","z":"1"}' in content
