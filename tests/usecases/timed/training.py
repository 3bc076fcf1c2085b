"""How it is trained: as the kettle without a clock, asked with one more number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.usecases.tiny import training

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import LightningModule
    from torch import Tensor

    from tests.usecases.timed.model import Kettle
    from tiphys.usecase import TrainConfig


class Learner(training.Learner):
    """Absolute error, Adam."""

    def _error(self, batch: Mapping[str, Tensor]) -> Tensor:
        answer: Tensor = self.model(batch["litres"], batch["celsius"], batch["switched_on"])
        return (answer - batch["target"]).abs().mean()


def learner(model: Kettle, config: TrainConfig) -> LightningModule:
    """Wrap the model for training."""
    return Learner(model, config)
