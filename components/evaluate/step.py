"""The work of ``evaluate``: answers of the model and its baselines on the test month, figures, gate, report, registry."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from components.evaluate import contest, judge, report
from components.evaluate.contract import Inputs, Outputs
from components.evaluate.measure import measure
from components.evaluate.registering import Entry, instead, registered
from components.evaluate.rows import Asked
from tiphys import model_files
from tiphys.errors import DataError, GateError
from tiphys.lake.s3 import S3
from tiphys.model_files import NETWORK
from tiphys.tracking import Tracking, Version
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pathlib import Path

    from components.evaluate.contest import Contender
    from components.evaluate.figures import Figures
    from tiphys.step import Context

log = logging.getLogger(__name__)

STATUS_QUO = "status_quo"


def run(inputs: Inputs, context: Context) -> Outputs:
    """Judge the model, and register what passes every gate: the best of it, and what may be served if that is too slow or too large.

    Raises:
        GateError: it missed a gate; the figures, the verdict and the report are published before.
        DataError: the weights or the dataset are not there, or damaged.
    """
    use_case, tracking = UseCase(inputs.use_case), Tracking()
    weights = model_files.fetch(S3(), inputs.model_uri)
    champion = champion_of(tracking, inputs.champion)
    beaten = None if champion is None else model_files.fetch_version(tracking, champion)
    asked = Asked(inputs.dataset, inputs.window, "" if champion is None else champion.uri, inputs.holdout)
    contenders = contest.hold(use_case.part("gates").GATES, measure(use_case, asked, weights, beaten))
    chosen = contest.best(contenders)
    listed, found = contest.told(contenders, chosen), chosen.measured.figures
    page = context.artifact("evaluation.html")
    page.write_text(report.page(report.Evaluation(use_case, inputs, chosen.measured, chosen.judged, listed)))
    _record(tracking, inputs.mlflow_run, found, chosen.verdict, page)
    _say(use_case, chosen, listed)
    outputs = Outputs(
        mae=found["mae"],
        status_quo_mae=found[f"{STATUS_QUO}.mae"],
        metrics=json.dumps(_figures(chosen)),
        gates=json.dumps(_gates(chosen)),
        verdict=chosen.verdict,
        kind=chosen.name,
        candidates=json.dumps(listed),
        shortlist="[]",
        beaten=asked.champion,
        model_version="",
        report=page,
    )
    if chosen.verdict != "passed":
        context.publish(outputs)
        message = f"the model of use case {use_case.name!r} is not registered; {chosen.verdict}"
        raise GateError(message)
    shortlist = []
    for each in contest.passing(contenders):
        if each.name == NETWORK:
            entry = Entry(NETWORK, weights, inputs.model_uri.partition("#sha256=")[2], inputs.mlflow_run)
        else:
            entry = instead(tracking, use_case, each, inputs, context)
        version = registered(tracking, use_case, entry, asked, context)
        facts = {"metrics": _figures(each), "gates": _gates(each)}
        shortlist.append({"name": each.name, "model_version": version.uri, **facts})
    told = {"model_version": shortlist[0]["model_version"], "shortlist": json.dumps(shortlist)}
    return outputs.model_copy(update=told)


def _figures(contender: Contender) -> dict[str, float]:
    return {name: round(value, 6) for name, value in contender.measured.figures.items()}


def _gates(contender: Contender) -> list[dict[str, str | float | None]]:
    return [each.as_dict() for each in contender.judged]


def _say(use_case: UseCase, chosen: Contender, listed: list[dict[str, Any]]) -> None:
    found, unit = chosen.measured.figures, use_case.target.unit
    log.info("MAE %.1f %s, status quo %.1f: %s", found["mae"], unit, found[f"{STATUS_QUO}.mae"], chosen.verdict)
    for each in listed:
        log.info("%s: MAE %.1f, %s", each["name"], each["mae"], each["outcome"])
    if judge.unjudged(chosen.judged):
        log.info("%s", judge.unjudged(chosen.judged))


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
