"""Our backend for Triton: requests that travel together come apart again, or are asked one by one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.unit


class Session:
    """A model that answers a whole run with one row, whatever it was asked, or as it should."""

    def __init__(self, *, whole: bool) -> None:
        """Answer by run if ``whole``, else by row."""
        self._whole = whole
        self.runs = 0

    def run(self, _outputs: list[str], feed: dict[str, Any]) -> list[Any]:
        """The sum of what was asked, or twice each row."""
        self.runs += 1
        rows = feed["x"]
        return [rows.sum(axis=0, keepdims=True) if self._whole else 2 * rows]


@pytest.mark.parametrize(
    ("whole", "expected", "runs"),
    [(False, [[2.0], [4.0, 6.0]], 1), (True, [[1.0], [5.0]], 3)],
    ids=["by row", "by run"],
)
def test_answers_that_are_not_one_a_row_are_never_shared_out(
    monkeypatch: pytest.MonkeyPatch, *, whole: bool, expected: list[list[float]], runs: int
) -> None:
    """What cannot be told apart would be somebody else's answer, or nobody's."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    from tiphys.serving.onnxruntime_backend.model import TritonPythonModel  # noqa: PLC0415 - needs Triton's module

    session = Session(whole=whole)
    model = SimpleNamespace(_session=session, _outputs=["y"])
    model._answer = lambda feeds: TritonPythonModel._answer(model, feeds)  # type: ignore[arg-type]
    feeds = [{"x": np.array([[1.0]], np.float32)}, {"x": np.array([[2.0], [3.0]], np.float32)}]
    answers = TritonPythonModel._answer(model, feeds)  # type: ignore[arg-type]
    assert [each[0].ravel().tolist() for each in answers if not isinstance(each, Exception)] == expected
    assert session.runs == runs
