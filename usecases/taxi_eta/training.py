"""How the model is trained: absolute error, AdamW, one cycle of the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from usecases.taxi_eta.features import FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import TrainConfig
    from usecases.taxi_eta.model import EtaModel

_SCALE_S = 300.0
"""Seconds that count as one unit of loss, so that gradients are of order one."""


class Learner(LightningModule):  # type: ignore[misc]  # Lightning is untyped here
    """Trains an :class:`EtaModel` in place."""

    def __init__(self, model: EtaModel, config: TrainConfig) -> None:
        """Train ``model`` as ``config`` says."""
        super().__init__()
        self.model = model
        self.config = config

    def training_step(self, batch: Mapping[str, Tensor], _number: int) -> Tensor:
        """Loss of one batch of ``training_rows``."""
        question = (batch[each.name] for each in FEATURES)
        answer = self.model.correct(batch["status_quo"], batch["known"], *question)
        error = (answer - batch["target"]).abs().mean()
        self.log("train_mae", error, on_step=False, on_epoch=True)
        return error / _SCALE_S

    def validation_step(self, batch: Mapping[str, Tensor], _number: int) -> None:
        """Error of whole answers, lookups included."""
        answer = self.model(*(batch[each.name] for each in FEATURES))
        self.log("validation_mae", (answer - batch["target"]).abs().mean(), batch_size=len(answer))

    def configure_optimizers(self) -> Any:
        """One cycle over all steps (Smith 2018), so that the last epochs settle."""
        config = self.config
        optimizer = torch.optim.AdamW(self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps, pct_start=0.15)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def learner(model: EtaModel, config: TrainConfig) -> Learner:
    """Make the LightningModule that trains ``model``."""
    return Learner(model, config)
