"""Who is asked, and what they answer: the network, what else could be served instead, the baselines, the champion."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tiphys import model_files
from tiphys.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from components.evaluate.rows import Rows
    from tiphys.usecase import Array, Baseline, Predictor, UseCase

log = logging.getLogger(__name__)

CHAMPION = "champion"
_BATCH = 65_536


_Both = tuple["Array", "Array | None"]


@dataclass(frozen=True)
class Answers:
    """What the model and each baseline answer to the test rows, in the target's unit."""

    model: Array
    baselines: dict[str, Array]
    """By name; a champion is one of them."""
    trusted: dict[str, Array] = field(default_factory=dict)
    """What each of them, and the model as ``model``, answers to the rows of the trusted holdout."""
    modules: dict[str, nn.Module] = field(default_factory=dict)
    """The baselines that may be served themselves."""

    def of(self, name: str) -> Answers:
        """The same, with a baseline in the model's place."""
        trusted = {**self.trusted, **({"model": self.trusted[name]} if name in self.trusted else {})}
        return Answers(self.baselines[name], self.baselines, trusted, self.modules)


def ask(use_case: UseCase, rows: Rows, weights: bytes, champion: bytes | None) -> Answers:
    """Ask everyone. The baselines are fitted in a thread, beside the import of torch: both take seconds.

    Raises:
        DataError: the weights are of another model.
    """
    served = use_case.candidates if champion is not None else {}
    modules: dict[str, nn.Module] = {}

    def predictor(name: str, baseline: Baseline) -> Predictor:
        if name not in served:
            return baseline(rows.past)
        modules[name] = served[name].fit(rows.past).eval()
        return _predictor(use_case, modules[name])

    def baseline(name: str, baseline: Baseline) -> _Both:
        answers = _both(predictor(name, baseline), rows)
        log.info("baseline %s answered", name)
        return answers

    with ThreadPoolExecutor(1) as pool:
        waiting: dict[str, Future[_Both]] = {
            name: pool.submit(baseline, name, each) for name, each in use_case.part("baselines").BASELINES.items()
        }
        model = _both(_predictor(use_case, model_files.load_model(use_case, weights)), rows)
        log.info("the model answered")
        found = {name: answer.result() for name, answer in waiting.items()}
    if champion is not None:
        found[CHAMPION] = _both(_predictor(use_case, _loaded(use_case, champion)), rows)
        log.info("the champion answered")
    trusted = {name: answers for name, (_, answers) in {"model": model, **found}.items() if answers is not None}
    return Answers(model[0], {name: answers for name, (answers, _) in found.items()}, trusted, modules)


def _loaded(use_case: UseCase, weights: bytes) -> nn.Module:
    try:
        return model_files.load_model(use_case, weights)
    except DataError as error:
        message = f"the champion can't be asked by this code ({error}); to judge without one leave champion empty"
        raise DataError(message) from error


def _both(predictor: Predictor, rows: Rows) -> _Both:
    """Answers to the test rows, and to those of the holdout where there are any."""
    asked = rows.holdout is not None and len(rows.holdout)
    return predictor(rows.test.features), predictor(rows.holdout.features) if rows.holdout and asked else None


def _predictor(use_case: UseCase, model: nn.Module) -> Predictor:
    import torch  # noqa: PLC0415 - seconds, spent while the baselines are fitted

    torch.set_num_threads(1)

    def predict(features: Mapping[str, Array]) -> Array:
        questions = [torch.from_numpy(features[each.name].copy()) for each in use_case.features]
        with torch.inference_mode():
            parts = [
                model(*(each[first : first + _BATCH] for each in questions)).numpy()
                for first in range(0, len(questions[0]), _BATCH)
            ]
        return np.concatenate(parts)

    return predict
