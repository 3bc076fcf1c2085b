"""The work of ``evaluate``: answers of the model and its baselines on the test month, figures, gate, report, registry."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.evaluate import figures, judge, report
from components.evaluate.asking import CHAMPION, Answers, ask
from components.evaluate.contract import Inputs, Outputs
from components.evaluate.rows import Asked, Rows, read
from tiphys import model_files
from tiphys.errors import DataError, GateError
from tiphys.lake.s3 import S3
from tiphys.tracking import Tracking, Version
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pathlib import Path

    from components.evaluate.figures import Figures
    from tiphys.step import Context

log = logging.getLogger(__name__)

STATUS_QUO = "status_quo"


def run(inputs: Inputs, context: Context) -> Outputs:
    """Judge the model, and register it if it passes every gate.

    Raises:
        GateError: it missed a gate; the figures, the verdict and the report are published before.
        DataError: the weights or the dataset are not there, or damaged.
    """
    use_case, tracking = UseCase(inputs.use_case), Tracking()
    weights = model_files.fetch(S3(), inputs.model_uri)
    champion = champion_of(tracking, inputs.champion)
    beaten = None if champion is None else model_files.fetch_version(tracking, champion)
    asked = Asked(inputs.dataset, inputs.window, "" if champion is None else champion.uri, inputs.holdout)
    measured = measure(use_case, asked, weights, beaten)
    rows, answers, found = measured.rows, measured.answers, measured.figures
    judged = judge.judge(use_case.part("gates").GATES, found)
    verdict = judge.verdict(judged)
    page = context.artifact("evaluation.html")
    page.write_text(report.page(report.Evaluation(use_case, inputs, rows.span, rows.test, answers, found, judged)))
    _record(tracking, inputs.mlflow_run, found, verdict, page)
    log.info(
        "MAE %.1f %s, status quo %.1f: %s", found["mae"], use_case.target.unit, found[f"{STATUS_QUO}.mae"], verdict
    )
    if judge.unjudged(judged):
        log.info("%s", judge.unjudged(judged))
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
    version = _registered(tracking, use_case, inputs, context, weights, asked)
    return outputs.model_copy(update={"model_version": version.uri})


@dataclass(frozen=True)
class Measured:
    """What was asked, what was answered, and the figures of that."""

    rows: Rows
    answers: Answers
    figures: Figures


def measure(use_case: UseCase, asked: Asked, weights: bytes, champion: bytes | None = None) -> Measured:
    """Ask a model, its baselines and a champion the test rows and the trusted ones, and compute every figure.

    Raises:
        DataError: the dataset is not there or too small, or the weights are of another model.
    """
    rows = read(use_case, asked)
    answers = ask(use_case, rows, weights, champion)
    slices = {name: chosen(rows.test, rows.past) for name, chosen in use_case.part("slices").SLICES.items()}
    truth = rows.test.target
    found = figures.everything(answers.model, answers.baselines, truth, use_case.target.close, slices)
    if champion is not None:
        found[f"{CHAMPION}.rows"] = float(len(truth))
    if rows.newest:
        found |= figures.on("newest", answers.model, answers.baselines, truth)
    if rows.holdout is not None:
        others = {name: each for name, each in answers.trusted.items() if name != "model"}
        found |= figures.on("holdout", answers.trusted.get("model", answers.model[:0]), others, rows.holdout.target)
    return Measured(rows, answers, found)


def champion_of(tracking: Tracking, name: str) -> Version | None:
    """The version to beat; None where the name is empty, or an alias that names nobody yet.

    Raises:
        DataError: there is no such version.
    """
    model, _, alias = name.removeprefix("models:/").partition("@")
    if not alias:
        return tracking.version(name) if name else None
    with contextlib.suppress(DataError):
        return tracking.aliased(model, alias)
    log.warning("%s names no version: the candidate is judged without a champion", name)
    return None


def _record(tracking: Tracking, run: str, found: Figures, verdict: str, page: Path) -> None:
    tracking.log_metrics(run, {f"test.{name}": value for name, value in found.items()})
    tracking.set_tags(run, {"tiphys.verdict": verdict})
    tracking.log_artifact(run, "evaluation.html", page)


def _registered(  # noqa: PLR0913, PLR0917 - all that a version is made of
    tracking: Tracking, use_case: UseCase, inputs: Inputs, context: Context, weights: bytes, asked: Asked
) -> Version:
    """Register the weights, or find the version that holds the very same of the same dataset."""
    sha256 = inputs.model_uri.partition("#sha256=")[2]
    wanted = {"sha256": sha256, "dataset": inputs.dataset, "gate": "passed", **_how(asked)}
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


def _how(asked: Asked) -> dict[str, str]:
    """How it was judged, but for the dataset: what there was of window, champion and holdout."""
    told = {"window": asked.window, "champion": asked.champion, "holdout": asked.holdout}
    return {name: text for name, text in told.items() if text}


def _description(use_case: UseCase, facts: dict[str, str]) -> dict[str, object]:
    inputs = [{"name": each.name, "dtype": each.dtype, "meaning": each.description} for each in use_case.features]
    target = use_case.target
    output = {"name": target.name, "dtype": "float32", "unit": target.unit, "meaning": target.description}
    return {"use_case": use_case.name, "weights": model_files.FILE, "inputs": inputs, "output": output, **facts}
