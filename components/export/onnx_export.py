"""From a PyTorch module to ONNX bytes, and the proof that both answer alike.

The TorchScript exporter is used: measured on the taxi model, it takes under a second where the ``dynamo`` exporter and
its import of onnxscript take eight, and the parity check does not care which of the two was right.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from tiphys.errors import DataError

if TYPE_CHECKING:
    from components.export.interval import Band
    from tiphys.usecase import Array, UseCase

OPSET = 18
"""ONNX operator set: the newest that every ONNX Runtime since 1.14 serves."""

_TYPES = {"int64": torch.int64, "float32": torch.float32}


class _Columns(nn.Module):
    """The model as Triton asks it, with the interval around its answer: every input and output is [rows, 1]."""

    edges: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, model: nn.Module, band: Band) -> None:
        super().__init__()
        self.model = model
        for name in ("edges", "low", "high"):
            self.register_buffer(name, torch.from_numpy(getattr(band, name)))
        self.floor = band.floor

    def forward(self, *columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answer: Tensor = self.model(*[each[:, 0] for each in columns])[:, None]
        number = (answer > self.edges).sum(1)
        low, high = answer + self.low[number][:, None], answer + self.high[number][:, None]
        return answer, low if math.isinf(self.floor) else low.clamp(min=self.floor), high


def to_onnx(model: nn.Module, use_case: UseCase, band: Band) -> bytes:
    """Export a model whose arguments are the features in order, vectors [n]; batch size stays open.

    Raises:
        DataError: what came out is no valid model of its own (data outside of the file is refused).
    """
    names, outputs = [each.name for each in use_case.features], list(use_case.target.outputs)
    rows = tuple(torch.ones((2, 1), dtype=_TYPES[each.dtype]) for each in use_case.features)
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Columns(model, band).eval(),
            rows,
            stream,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: {0: "rows"} for name in [*names, *outputs]},
        )
    content = stream.getvalue()
    check(content)
    return content


def check(content: bytes) -> None:
    """Refuse what is no valid ONNX model, or refers to files outside of itself.

    Raises:
        DataError: it is refused.
    """
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        message = f"the exported model is no valid ONNX: {error}"
        raise DataError(message) from error
    outside = [each.name for each in model.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        message = f"the exported model keeps {', '.join(outside[:3])} outside of its file: such models are not served"
        raise DataError(message)


def ask_torch(model: nn.Module, use_case: UseCase, features: Mapping[str, Array]) -> npt.NDArray[np.float32]:
    """Return the model's own answers, float32 [n]."""
    with torch.no_grad():
        answer = model(*[torch.from_numpy(np.asarray(features[each.name], each.dtype)) for each in use_case.features])
    found: npt.NDArray[np.float32] = answer.numpy().astype(np.float32).reshape(-1)
    return found


@dataclass(frozen=True)
class Answers:
    """What an exported model says to some rows: the answer and its interval, float32 [n] each."""

    value: npt.NDArray[np.float32]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]


def ask_onnx(content: bytes, use_case: UseCase, features: Mapping[str, Array]) -> Answers:
    """Return the ONNX model's answers, asked as one batch and its first row once more alone.

    Raises:
        DataError: the answer to a row depends on the batch around it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    batch = {each.name: np.asarray(features[each.name], each.dtype).reshape(-1, 1) for each in use_case.features}
    outputs = list(use_case.target.outputs)
    found = Answers(*(each.reshape(-1) for each in session.run(outputs, batch)))
    alone = session.run(outputs[:1], {name: values[:1] for name, values in batch.items()})[0].reshape(-1)
    if not np.allclose(alone, found.value[:1], rtol=1e-4):
        message = f"the exported model answers {alone[0]:.6g} to a row alone and {found.value[0]:.6g} to it in a batch"
        raise DataError(message)
    return found


@dataclass(frozen=True)
class Parity:
    """How far two models are apart on the same rows."""

    rows: int
    largest: float
    """Largest difference, in the target's unit."""
    worst: float
    """Largest difference as a share of the answer (of 1 unit where that is smaller)."""
    worst_row: int


def parity(expected: npt.NDArray[np.float32], found: Answers, band: Band) -> Parity:
    """Compare answers row by row; what is no finite number is infinitely far off.

    The ends of the interval are held against the band around the answer that was found: one that lies on an edge may
    round to either side of it.
    """
    low, high = band.around(found.value)
    pairs = ((expected, found.value), (low, found.low), (high, found.high))
    off = np.max([_apart(wanted, said) for wanted, said in pairs], axis=0)
    share = off / np.maximum(1.0, np.abs(expected))
    return Parity(len(expected), float(off.max()), float(share.max()), int(share.argmax()))


def _apart(wanted: Array, said: Array) -> Array:
    """Return how far apart two answers are, row by row; infinitely where one of them is no number."""
    finite = np.isfinite(wanted) & np.isfinite(said)
    return np.abs(np.where(finite, wanted, np.inf).astype(np.float64) - np.where(finite, said, 0.0))
