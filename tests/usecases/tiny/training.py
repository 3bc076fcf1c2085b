"""How the kettle's model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.usecases.tiny.model import Kettle
    from tiphys.usecase import TrainConfig


class Learner(LightningModule):
    """Absolute error, Adam."""

    def __init__(self, model: Kettle, config: TrainConfig) -> None:
        """Train ``model``."""
        super().__init__()
        self.model = model
        self.config = config

    def _error(self, batch: Mapping[str, Tensor]) -> Tensor:
        answer: Tensor = self.model(batch["litres"], batch["celsius"])
        return (answer - batch["target"]).abs().mean()

    def training_step(self, batch: Mapping[str, Tensor], _number: int) -> Tensor:
        """Loss of one batch."""
        return self._error(batch) / 100.0

    def validation_step(self, batch: Mapping[str, Tensor], _number: int) -> None:
        """Error in seconds."""
        self.log("validation_mae", self._error(batch), batch_size=len(batch["target"]))

    def configure_optimizers(self) -> Any:
        """Plain Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.config.learning_rate)


def learner(model: Kettle, config: TrainConfig) -> LightningModule:
    """Wrap the model for training."""
    return Learner(model, config)
