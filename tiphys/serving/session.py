"""An exported model in this process: how steps ask it that must not wait for a server. Knows neither ledger nor S3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tiphys.usecase import Array, UseCase


class Session:
    """The model in this process: features -> ``prediction`` and, where it gives them, ``low`` and ``high``, float64 [rows]."""

    def __init__(self, onnx: bytes, use_case: UseCase) -> None:
        """Load the model; it takes one thread."""
        import onnxruntime  # noqa: PLC0415 - for who asks

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # whoever wants more has processes
        self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self._features = use_case.features
        there = {each.name for each in self._session.get_outputs()}
        named = zip(("prediction", "low", "high"), use_case.target.outputs, strict=True)
        self._outputs = {ours: own for ours, own in named if own in there}

    def __call__(self, features: Mapping[str, Array]) -> dict[str, Array]:
        """Ask about rows: one equally long vector a feature."""
        given = {each.name: np.asarray(features[each.name], each.dtype).reshape(-1, 1) for each in self._features}
        found = self._session.run(list(self._outputs.values()), given)
        return {name: each.reshape(-1).astype(np.float64) for name, each in zip(self._outputs, found, strict=True)}
