"""The kettle's status quo in a form that can be served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tiphys.usecase import Candidate

if TYPE_CHECKING:
    from tiphys.usecase import Examples


class Pace(nn.Module):
    """Seconds by litre, whatever the temperature."""

    pace: Tensor

    def __init__(self, pace: float) -> None:
        """Take the pace."""
        super().__init__()
        self.register_buffer("pace", torch.tensor(pace))

    def forward(self, litres: Tensor, celsius: Tensor) -> Tensor:
        """Return seconds, float32 [n]; the temperature is asked because every input has to be in the exported graph."""
        return self.pace * litres + 0.0 * celsius


def _fit(history: Examples) -> Pace:
    return Pace(float(np.median(history.target / history.features["litres"])))


CANDIDATES = {"status_quo": Candidate(_fit, lambda _: Pace(0.0))}
