"""Weights as files."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load, save

from tiphys import model_files

pytestmark = pytest.mark.unit

_NOTES = """
import hashlib, numpy as np
from safetensors.numpy import save
from tiphys.model_files import _in_order
notes = {name: "é" + name for name in ("use_case", "dataset", "revision", "a", "b")}
print(hashlib.sha256(_in_order(save({"one": np.ones(3), "two": np.zeros(2)}, notes))).hexdigest())
"""


def test_the_same_weights_are_the_same_bytes_in_every_process() -> None:
    """The digest names what was trained: processes agree, whatever order their hash maps have."""
    done = [
        subprocess.run([sys.executable, "-c", _NOTES], capture_output=True, text=True, check=True) for _ in range(4)
    ]
    assert len({each.stdout for each in done}) == 1


def test_weights_are_what_they_were() -> None:
    """Only the order of the notes is changed."""
    content = model_files._in_order(save({"one": np.arange(3.0)}, {"z": "1", "a": "é"}))
    assert load(content)["one"].tolist() == [0.0, 1.0, 2.0]
    assert b'"__metadata__":{"a":"\xc3\xa9","z":"1"}' in content
