"""A version in the registry: its weights, and how it was judged, as tags."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiphys import model_files

if TYPE_CHECKING:
    from components.evaluate.contest import Contender
    from components.evaluate.contract import Inputs
    from components.evaluate.rows import Asked
    from tiphys.step import Context
    from tiphys.tracking import Tracking, Version
    from tiphys.usecase import UseCase

log = logging.getLogger(__name__)

_WEIGHTS_TAG = "tiphys.weights"


@dataclass(frozen=True)
class Entry:
    """What is registered."""

    kind: str
    """``network``, or the use case's candidate."""
    weights: bytes
    sha256: str
    run: str
    """MLflow run that the weights are kept with."""


def instead(tracking: Tracking, use_case: UseCase, chosen: Contender, inputs: Inputs, context: Context) -> Entry:
    """Make the entry of a candidate that is no network; its weights are kept with an MLflow run of its own."""
    notes = {"use_case": use_case.name, "dataset": inputs.dataset, model_files.KIND: chosen.name}
    weights = model_files.dump(chosen.measured.answers.modules[chosen.name], notes)
    sha256 = hashlib.sha256(weights).hexdigest()
    tags = {_WEIGHTS_TAG: sha256, "tiphys.dataset": inputs.dataset, "tiphys.revision": context.revision}
    found = tracking.find_run(use_case.name, {_WEIGHTS_TAG: sha256})
    run = found or tracking.start_run(use_case.name, f"{chosen.name}-{context.run}", tags)
    figures = chosen.measured.figures
    tracking.log_metrics(run.id, {f"test.{name}": value for name, value in figures.items()})
    tracking.end_run(run.id)
    return Entry(chosen.name, weights, sha256, run.id)


def registered(tracking: Tracking, use_case: UseCase, entry: Entry, asked: Asked, context: Context) -> Version:
    """Register the weights, or find the version that holds the very same, judged on the same."""
    wanted = {"sha256": entry.sha256, "dataset": asked.dataset, "gate": "passed", **_how(entry, asked)}
    for version in tracking.versions(use_case.name):
        if wanted.items() <= version.tags.items():
            log.info("registered already as %s", version.uri)
            return version
    tracking.log_artifact(entry.run, f"{model_files.FOLDER}/{model_files.FILE}", entry.weights)
    described = json.dumps(_description(use_case, wanted), indent=1).encode()
    tracking.log_artifact(entry.run, f"{model_files.FOLDER}/model.json", described)
    tags = {**wanted, "revision": context.revision, "workflow": context.run}
    version = tracking.register(use_case.name, entry.run, model_files.FOLDER, tags)
    log.info("registered as %s", version.uri)
    return version


def _how(entry: Entry, asked: Asked) -> dict[str, str]:
    """How it was judged, but for the dataset: what there was of window, champion and holdout; and what it is, if no network."""
    kind = "" if entry.kind == model_files.NETWORK else entry.kind
    told = {"window": asked.window, "champion": asked.champion, "holdout": asked.holdout, model_files.KIND: kind}
    return {name: text for name, text in told.items() if text}


def _description(use_case: UseCase, facts: dict[str, str]) -> dict[str, object]:
    inputs = [{"name": each.name, "dtype": each.dtype, "meaning": each.description} for each in use_case.features]
    target = use_case.target
    output = {"name": target.name, "dtype": "float32", "unit": target.unit, "meaning": target.description}
    return {"use_case": use_case.name, "weights": model_files.FILE, "inputs": inputs, "output": output, **facts}
