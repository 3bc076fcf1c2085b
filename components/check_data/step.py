"""The work of ``check_data``: open the version, its rejects and the last trained version, check, report, decide."""

from __future__ import annotations

import logging

from components.check_data.checks import check, complaints
from components.check_data.contract import Inputs, Outputs
from components.check_data.report import page
from tiphys.errors import DataError
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import Dataset, last_trained
from tiphys.step import Context
from tiphys.usecase import UseCase

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Check the version.

    Raises:
        DataError: it breaks the contract or moved too far; says how, and the report says all of it.
    """
    lake = Lake.from_settings()
    contract = UseCase(inputs.use_case).data
    version = Dataset.open(inputs.dataset, lake)
    rejects = Dataset.open(version.ref.rejects, lake)
    trained = None if inputs.accept_shift else _trained(version, lake)
    checks = check(version, rejects, trained, contract, live=bool(inputs.live))
    against = (
        f" and against {trained.ref.tag}, the last one trained on" if trained else ", with no version to compare with"
    )
    failed = complaints(checks)
    verdict = f"{len(checks)} checks of {version.rows:,} rows in {len(version.months)} months{against}"
    outputs = Outputs(verdict=f"{verdict}: {failed or 'all good'}", report=context.artifact("report.html"))
    outputs.report.write_text(page(f"Dataset {version.ref}", outputs.verdict, checks), encoding="utf-8")
    if failed:
        context.publish(outputs)
        message = (
            f"dataset {version.ref} is not fit to train on: {failed}. Look into {version.ref.rejects} for refused rows; "
            "if the world did change, run again with accept-shift=true"
        )
        raise DataError(message)
    log.info("%s", verdict)
    return outputs


def _trained(version: Dataset, lake: Lake) -> Dataset | None:
    ref = last_trained(version.ref.use_case, version.ref.table, lake)
    if ref is None or ref == version.ref:
        return None
    return Dataset.open(ref, lake)
