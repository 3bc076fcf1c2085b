"""Everything that is measured of a model: who is asked, what they answer, the figures of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.evaluate import figures
from components.evaluate.asking import CHAMPION, Answers, ask
from components.evaluate.rows import Asked, Rows, read

if TYPE_CHECKING:
    from components.evaluate.figures import Figures
    from tiphys.usecase import UseCase


@dataclass(frozen=True)
class Measured:
    """What was asked, what was answered, and the figures of that."""

    use_case: UseCase
    rows: Rows
    answers: Answers
    figures: Figures

    def instead(self, name: str) -> Measured:
        """The same with one of the baselines in the model's place."""
        answers = self.answers.of(name)
        return Measured(self.use_case, self.rows, answers, _figures(self.use_case, self.rows, answers))


def measure(use_case: UseCase, asked: Asked, weights: bytes, champion: bytes | None = None) -> Measured:
    """Ask a model, its baselines and a champion the test rows and the trusted ones, and compute every figure.

    Raises:
        DataError: the dataset is not there or too small, or the weights are of another model.
    """
    return of_rows(use_case, read(use_case, asked), weights, champion)


def of_rows(use_case: UseCase, rows: Rows, weights: bytes, champion: bytes | None = None) -> Measured:
    """Ask the same of rows that are there.

    Raises:
        DataError: the weights are of another model.
    """
    answers = ask(use_case, rows, weights, champion)
    return Measured(use_case, rows, answers, _figures(use_case, rows, answers))


def _figures(use_case: UseCase, rows: Rows, answers: Answers) -> Figures:
    slices = {name: chosen(rows.test, rows.past) for name, chosen in use_case.part("slices").SLICES.items()}
    truth = rows.test.target
    found = figures.everything(answers.model, answers.baselines, truth, use_case.target.close, slices)
    if CHAMPION in answers.baselines:
        found[f"{CHAMPION}.rows"] = float(len(truth))
    if rows.newest:
        found |= figures.on("newest", answers.model, answers.baselines, truth)
    if rows.holdout is not None:
        others = {name: each for name, each in answers.trusted.items() if name != "model"}
        found |= figures.on("holdout", answers.trusted.get("model", answers.model[:0]), others, rows.holdout.target)
    return found
