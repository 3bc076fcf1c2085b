"""The work of ``deploy``: evidence of before, one compare-and-set in the ledger, then waiting for the agent's word."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from components.deploy.contract import Inputs, Outputs
from tiphys.errors import PermanentError
from tiphys.oci import reference
from tiphys.release.client import LedgerClient
from tiphys.release.records import Evidence, EvidenceKind, Release
from tiphys.settings import LedgerSettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Release the model, and return when it serves.

    Raises:
        DataError: the image is not named by digest.
        PermanentError: the agent refuses it, or somebody else released the same use case in between.
        RetryableError: the ledger is away, or the model does not serve in time.
    """
    reference.parse(inputs.image)
    ledger = LedgerClient(load(LedgerSettings))
    for each in _evidence(inputs, context):
        ledger.add_evidence(each)
    release = Release(
        use_case=inputs.use_case,
        model_version=inputs.model_version,
        repository=inputs.repository,
        manifest_sha256=inputs.manifest_sha256,
        image=inputs.image,
        reason="candidate that passed its gate",
        asked_by=inputs.asked_by,
        run=context.run,
    )
    recorded = ledger.release_over(ledger.current(inputs.environment), release)
    log.info("%s is to serve %s: generation %d", inputs.environment, inputs.model_version, recorded.generation)
    observed = ledger.wait_until_served(recorded, inputs.wait_s)
    log.info("%s serves version %s from %s", inputs.environment, observed.version, observed.image)
    return Outputs(generation=recorded.generation, serving=f"{observed.model} version {observed.version}")


def _retraining(inputs: Inputs) -> dict[str, Any]:
    """What there is to say where a champion was to be beaten: the losers are named, too."""
    found = {
        "kind": inputs.kind,
        "candidates": _read(inputs.candidates, "candidates"),
        "window": inputs.window,
        "champion": inputs.champion,
    }
    return {name: value for name, value in found.items() if value} if inputs.champion else {}


def _evidence(inputs: Inputs, context: Context) -> Iterator[Evidence]:
    """What evaluate and export found: they come before there is a release, and `evaluate` before there is a manifest."""

    def one(kind: EvidenceKind, content: dict[str, Any], *, held: bool) -> Evidence:
        return Evidence(
            use_case=inputs.use_case,
            model_version=inputs.model_version,
            manifest_sha256=inputs.manifest_sha256,
            kind=kind,
            held=held,
            content=content,
            run=context.run,
            asked_by=inputs.asked_by,
        )

    if inputs.metrics:
        content = {
            "dataset": inputs.dataset,
            "revision": context.revision,  # of this run: what trained and evaluated it may be older, and MLflow has that
            "mlflow_run": inputs.mlflow_run,
            "model_uri": inputs.model_uri,
            "metrics": _read(inputs.metrics, "metrics"),
            "gates": _read(inputs.gates, "gates"),
            "verdict": inputs.gate_verdict,
            **_retraining(inputs),
        }
        yield one("evaluation", content, held=inputs.gate_verdict == "passed")
    if inputs.variant:
        content = {
            "variant": inputs.variant,
            "why": inputs.variant_why,
            "variants": _read(inputs.variants, "variants"),
            "max_difference": inputs.max_difference,
            "rows_compared": inputs.rows_compared,
            "coverage": inputs.coverage,
            "interval_width": inputs.interval_width,
        }
        yield one("export", content, held=True)


def _read(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"input {name!r} is no JSON: {error}"
        raise PermanentError(message) from None
