"""The work of ``evaluate``: answers of the model and its baselines on the test month, figures, gate, report, registry."""

from __future__ import annotations

import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.evaluate import figures, judge, report
from components.evaluate.contract import Inputs, Outputs
from tiphys import model_files
from tiphys.errors import DataError, GateError
from tiphys.lake.dataset import Dataset
from tiphys.lake.s3 import S3
from tiphys.tracking import Tracking, Version
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pathlib import Path

    from components.evaluate.figures import Figures
    from tiphys.step import Context
    from tiphys.usecase import Array, Baseline, Examples

log = logging.getLogger(__name__)

STATUS_QUO = "status_quo"
_BATCH = 65_536


def run(inputs: Inputs, context: Context) -> Outputs:
    """Judge the model, and register it if it passes every gate.

    Raises:
        GateError: it missed a gate; the figures, the verdict and the report are published before.
        DataError: the weights or the dataset are not there, or damaged.
    """
    use_case, tracking = UseCase(inputs.use_case), Tracking()
    weights = model_files.fetch(S3(), inputs.model_uri)
    measured = measure(use_case, inputs.dataset, weights)
    rows, answers, found = measured.rows, measured.answers, measured.figures
    judged = judge.judge(use_case.part("gates").GATES, found)
    verdict = judge.verdict(judged)
    page = context.artifact("evaluation.html")
    page.write_text(report.page(report.Evaluation(use_case, inputs, rows.month, rows.test, answers, found, judged)))
    _record(tracking, inputs.mlflow_run, found, verdict, page)
    log.info(
        "MAE %.1f %s, status quo %.1f: %s", found["mae"], use_case.target.unit, found[f"{STATUS_QUO}.mae"], verdict
    )
    outputs = Outputs(
        mae=found["mae"],
        status_quo_mae=found[f"{STATUS_QUO}.mae"],
        metrics=json.dumps({name: round(value, 6) for name, value in found.items()}),
        gates=json.dumps([each.as_dict() for each in judged]),
        verdict=verdict,
        model_version="",
        report=page,
    )
    if verdict != "passed":
        context.publish(outputs)
        message = f"the model of use case {use_case.name!r} is not registered; {verdict}"
        raise GateError(message)
    version = _registered(tracking, use_case, inputs, context, weights)
    return outputs.model_copy(update={"model_version": version.uri})


@dataclass(frozen=True)
class Rows:
    """Past rows and the test month's."""

    past: Examples
    test: Examples
    month: str


@dataclass(frozen=True)
class Answers:
    """What the model and each baseline answer to the test rows, in the target's unit."""

    model: Array
    baselines: dict[str, Array]


@dataclass(frozen=True)
class Measured:
    """What was asked, what was answered, and the figures of that."""

    rows: Rows
    answers: Answers
    figures: Figures


def measure(use_case: UseCase, dataset: str, weights: bytes) -> Measured:
    """Ask a model and its baselines the dataset's test month, and compute every figure.

    Raises:
        DataError: the dataset is not there or too small, or the weights are of another model.
    """
    rows = _rows(use_case, dataset)
    answers = _answers(use_case, rows, weights)
    slices = {name: chosen(rows.test, rows.past) for name, chosen in use_case.part("slices").SLICES.items()}
    found = figures.everything(answers.model, answers.baselines, rows.test.target, use_case.target.close, slices)
    return Measured(rows, answers, found)


def _rows(use_case: UseCase, name: str) -> Rows:
    dataset = Dataset.open(name)
    months = [month for month, rows in dataset.months.items() if rows]
    if len(months) < 2:  # noqa: PLR2004 - a past and a test month
        message = f"dataset {name!r} has {len(months)} months with rows: evaluation needs a past and a test month"
        raise DataError(message)
    examples = use_case.examples(dataset.read(use_case.columns))
    last = examples.month == examples.month.max()
    log.info("%d past rows, %d test rows of %s", int((~last).sum()), int(last.sum()), months[-1])
    return Rows(examples.where(~last), examples.where(last), months[-1])


def _answers(use_case: UseCase, rows: Rows, weights: bytes) -> Answers:
    """Ask everyone. The baselines are fitted in a thread, beside the import of torch: both take seconds."""
    with ThreadPoolExecutor(1) as pool:
        waiting: dict[str, Future[Array]] = {
            name: pool.submit(_baseline, name, baseline, rows)
            for name, baseline in use_case.part("baselines").BASELINES.items()
        }
        model = _model(use_case, rows.test, weights)
        return Answers(model, {name: answer.result() for name, answer in waiting.items()})


def _baseline(name: str, baseline: Baseline, rows: Rows) -> Array:
    answers: Array = baseline(rows.past)(rows.test.features)
    log.info("baseline %s answered", name)
    return answers


def _model(use_case: UseCase, test: Examples, weights: bytes) -> Array:
    import torch  # noqa: PLC0415 - seconds, spent while the baselines are fitted

    torch.set_num_threads(1)
    model = model_files.load_model(use_case, weights)
    questions = [torch.from_numpy(test.features[each.name].copy()) for each in use_case.features]
    with torch.inference_mode():
        parts = [
            model(*(each[first : first + _BATCH] for each in questions)).numpy()
            for first in range(0, len(test), _BATCH)
        ]
    log.info("the model answered")
    return np.concatenate(parts)


def _record(tracking: Tracking, run: str, found: Figures, verdict: str, page: Path) -> None:
    tracking.log_metrics(run, {f"test.{name}": value for name, value in found.items()})
    tracking.set_tags(run, {"tiphys.verdict": verdict})
    tracking.log_artifact(run, "evaluation.html", page)


def _registered(tracking: Tracking, use_case: UseCase, inputs: Inputs, context: Context, weights: bytes) -> Version:
    """Register the weights, or find the version that holds the very same of the same dataset."""
    sha256 = inputs.model_uri.partition("#sha256=")[2]
    wanted = {"sha256": sha256, "dataset": inputs.dataset, "gate": "passed"}
    for version in tracking.versions(use_case.name):
        if wanted.items() <= version.tags.items():
            log.info("registered already as %s", version.uri)
            return version
    tracking.log_artifact(inputs.mlflow_run, f"{model_files.FOLDER}/{model_files.FILE}", weights)
    described = json.dumps(_description(use_case, wanted), indent=1).encode()
    tracking.log_artifact(inputs.mlflow_run, f"{model_files.FOLDER}/model.json", described)
    tags = {**wanted, "revision": context.revision, "workflow": context.run}
    version = tracking.register(use_case.name, inputs.mlflow_run, model_files.FOLDER, tags)
    log.info("registered as %s", version.uri)
    return version


def _description(use_case: UseCase, facts: dict[str, str]) -> dict[str, object]:
    inputs = [{"name": each.name, "dtype": each.dtype, "meaning": each.description} for each in use_case.features]
    target = use_case.target
    output = {"name": target.name, "dtype": "float32", "unit": target.unit, "meaning": target.description}
    return {"use_case": use_case.name, "weights": model_files.FILE, "inputs": inputs, "output": output, **facts}
