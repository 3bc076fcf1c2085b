"""An exported model in this process: how steps ask it that must not wait for a server. Knows neither ledger nor S3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tiphys.usecase import Array, UseCase


class Session:
    """The model in this process: features -> ``prediction`` and, where it gives them, ``low`` and ``high``, float64 [rows].

    Several models that answer as one are asked one after the other: what one gives, later ones take by its name, as in Triton.
    """

    def __init__(self, pieces: Sequence[bytes], use_case: UseCase) -> None:
        """Load the model, or each of several in the order in which they are asked; it takes one thread."""
        import onnxruntime  # noqa: PLC0415 - for who asks

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # whoever wants more has processes
        self._sessions = [
            onnxruntime.InferenceSession(each, options, providers=["CPUExecutionProvider"]) for each in pieces
        ]
        self._features = use_case.features
        there = {each.name for session in self._sessions for each in session.get_outputs()}
        named = zip(("prediction", "low", "high"), use_case.target.outputs, strict=True)
        self._outputs = {ours: own for ours, own in named if own in there}

    def __call__(self, features: Mapping[str, Array]) -> dict[str, Array]:
        """Ask about rows: one equally long vector a feature."""
        known = {each.name: np.asarray(features[each.name], each.dtype).reshape(-1, 1) for each in self._features}
        for session in self._sessions:
            names = [each.name for each in session.get_outputs()]
            given = {each.name: known[each.name] for each in session.get_inputs()}
            known |= dict(zip(names, session.run(names, given), strict=True))
        return {ours: known[own].reshape(-1).astype(np.float64) for ours, own in self._outputs.items()}
