"""From a PyTorch module to ONNX bytes, and the proof that both answer alike.

The TorchScript exporter is used: measured on the taxi model, it takes under a second where the ``dynamo`` exporter and
its import of onnxscript take eight, and the parity check does not care which of the two was right.
"""

from __future__ import annotations

import io
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
    from tiphys.usecase import Array, UseCase

OPSET = 18
"""ONNX operator set: the newest that every ONNX Runtime since 1.14 serves."""

_TYPES = {"int64": torch.int64, "float32": torch.float32}


class _Columns(nn.Module):
    """The model as Triton asks it: every input and the output are [rows, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *columns: Tensor) -> Tensor:
        answer: Tensor = self.model(*[each[:, 0] for each in columns])
        return answer[:, None]


def to_onnx(model: nn.Module, use_case: UseCase) -> bytes:
    """Export a model whose arguments are the features in order, vectors [n]; batch size stays open.

    Raises:
        DataError: what came out is no valid model of its own (data outside of the file is refused).
    """
    names, output = [each.name for each in use_case.features], use_case.target.name
    rows = tuple(torch.ones((2, 1), dtype=_TYPES[each.dtype]) for each in use_case.features)
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Columns(model).eval(),
            rows,
            stream,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[output],
            dynamic_axes={name: {0: "rows"} for name in [*names, output]},
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


def ask_onnx(content: bytes, use_case: UseCase, features: Mapping[str, Array]) -> npt.NDArray[np.float32]:
    """Return the ONNX model's answers, float32 [n], asked as one batch and its first row once more alone.

    Raises:
        DataError: the answer to a row depends on the batch around it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    batch = {each.name: np.asarray(features[each.name], each.dtype).reshape(-1, 1) for each in use_case.features}
    found: npt.NDArray[np.float32] = session.run(None, batch)[0].reshape(-1)
    alone = session.run(None, {name: values[:1] for name, values in batch.items()})[0].reshape(-1)
    if not np.allclose(alone, found[:1], rtol=1e-4):
        message = f"the exported model answers {alone[0]:.6g} to a row alone and {found[0]:.6g} to it in a batch"
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


def parity(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> Parity:
    """Compare answers row by row; what is no finite number is infinitely far off."""
    off = np.abs(expected.astype(np.float64) - found.astype(np.float64))
    off = np.where(np.isfinite(found), off, np.inf)
    share = off / np.maximum(1.0, np.abs(expected))
    return Parity(len(expected), float(off.max()), float(share.max()), int(share.argmax()))
