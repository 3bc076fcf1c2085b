"""The status quo (seconds by litre, whatever the temperature) times a small network that starts at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tiphys.usecase import TrainConfig

if TYPE_CHECKING:
    from tiphys.usecase import Array, Examples

CONFIG = TrainConfig(epochs=12, batch_size=128, learning_rate=1e-2, patience=12)


class Kettle(nn.Module):
    """One boiling a row in, seconds out."""

    pace: Tensor

    def __init__(self, history: Examples | None) -> None:
        """Take the pace from history, or leave it blank."""
        super().__init__()
        pace = 0.0 if history is None else float(np.median(history.target / history.features["litres"]))
        self.register_buffer("pace", torch.tensor(pace))
        self.deep = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 1))
        nn.init.zeros_(self.deep[-1].weight)
        nn.init.zeros_(self.deep[-1].bias)

    def forward(self, litres: Tensor, celsius: Tensor) -> Tensor:
        """Return seconds, float32 [n]."""
        inputs = torch.stack([litres, celsius.float() / 100.0], dim=1)
        return self.pace * litres * self.deep(inputs)[:, 0].exp()


def build(_config: TrainConfig, history: Examples | None = None) -> Kettle:
    """Make the model."""
    return Kettle(history)


def training_rows(_config: TrainConfig, history: Examples) -> dict[str, Array]:
    """Features and target: nothing is looked up."""
    return {**history.features, "target": history.target}
