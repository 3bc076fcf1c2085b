"""The reference of a model version: made once of the data that it was evaluated on, kept in S3 under its content's digest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from components.monitor import rows as live_rows
from tiphys.errors import DataError
from tiphys.lake.dataset import Dataset
from tiphys.lake.months import newest
from tiphys.watch.drift.reference import Reference, make
from tiphys.watch.drift.residuals import ALL, Rows

if TYPE_CHECKING:
    from tiphys.serving.exported import Model
    from tiphys.usecase import Array, Examples, UseCase

Answers = Callable[[Mapping[str, "Array"]], Mapping[str, "Array"]]
"""Features -> ``prediction`` and, where there are intervals, ``low`` and ``high``, [n] each."""

_MOST = 400_000
"""Rows that a reference is made of; of a larger dataset every k-th."""

log = logging.getLogger(__name__)


def build(use_case: UseCase, dataset: str, model: Model) -> Reference:
    """Make the reference: columns of all months, errors of the last one, which the model never saw.

    Raises:
        DataError: the dataset is not there, or has no past beside its last month.
    """
    found = Dataset.open(dataset)
    time_column = use_case.data.time
    table: Any = found.read(list(dict.fromkeys([*use_case.columns, time_column])))
    examples = use_case.past(table.select(list(use_case.columns)))
    if len(table) > _MOST:
        chosen = np.arange(0, len(table), -(-len(table) // _MOST))
        table, examples = table.take(chosen), examples.where(chosen)
    if not len(examples):
        message = f"dataset {dataset!r} has no rows: nothing can be held against it"
        raise DataError(message)
    moment = np.asarray(table[time_column].to_numpy()).astype("datetime64[us]").astype(np.int64) / 1e6
    month = moment.astype("datetime64[s]").astype("datetime64[M]").astype(str)
    last = np.isin(month, newest(found.months, use_case.data.min_rows_per_month))
    about = {"model_version": model.version, "manifest": model.manifest_sha256, "dataset": dataset}
    return of_examples(use_case, examples, moment, last, _answers(use_case, model), about)


def of_examples(  # noqa: PLR0913, PLR0917 - what a reference is made of
    use_case: UseCase, examples: Examples, moment: Array, last: Array, answers: Answers, about: Mapping[str, Any]
) -> Reference:
    """Make the reference of rows with their moments (seconds since 1970), and of what the model answers to the ``last`` it never saw."""
    names = live_slices(use_case, examples)
    masks = live_rows.masks_of(use_case, examples.features, names)
    columns: dict[str, Any] = {
        each.name: (each.kind, each.description, np.asarray(each.of(examples.features)))
        for each in use_case.part("watched").WATCHED
    }
    for name, mask in masks.items():
        columns[live_rows.SLICE + name] = ("category", f"1 for rows of the slice {name}", mask.astype(np.float64))
    about = {**about, "use_case": use_case.name, "unit": use_case.target.unit, "slices": list(names)}
    tested = _tested(use_case, examples.where(last), moment[last], names, answers)
    log.info("reference of %s: %d rows, %d of them unseen by the model", about["dataset"], len(examples), len(tested))
    return make(
        about, moment=moment, columns=columns, truths=examples.target.astype(np.float64), tested=tested, masks=masks
    )


def live_slices(use_case: UseCase, examples: Examples) -> tuple[str, ...]:
    """Slices that can be told of a question alone; what depends on past rows is left out."""
    slices, nothing = use_case.part("slices").SLICES, examples.where(np.zeros(len(examples), bool))
    few = examples.where(np.arange(min(len(examples), 20_000)))
    return tuple(name for name, each in slices.items() if np.array_equal(each(few, few), each(few, nothing)))


def _answers(use_case: UseCase, model: Model) -> Answers:
    from tiphys.serving.session import Session  # noqa: PLC0415 - ONNX Runtime, only where a reference is made

    return Session(model.pieces, use_case)


def _tested(use_case: UseCase, examples: Examples, moment: Array, names: tuple[str, ...], ask: Answers) -> Rows:
    answers = ask(examples.features)
    everywhere = np.ones(len(examples), bool)
    masks = {
        ALL: everywhere, **live_rows.masks_of(use_case, examples.features, names), live_rows.TRUSTED: everywhere,
    }  # fmt: skip
    value, blank = answers["prediction"], np.full(len(examples), np.nan)
    low, high = answers.get("low", blank), answers.get("high", blank)
    return Rows(moment, value, low, high, examples.target.astype(np.float64), masks).finite()
