"""The work of ``batch_score``: find out whether the very same was scored before, score it with Spark, check the counts, publish."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.batch_score import plan as planning
from components.batch_score.contract import Inputs, Outputs
from components.batch_score.plan import NO_MONTH, TABLE, Plan
from tiphys.errors import DataError, PermanentError
from tiphys.lake.catalog import NAME, Lake
from tiphys.lake.dataset import MONTHS, REJECTS, Dataset, Ref
from tiphys.serving.exported import Model, find
from tiphys.spark.decided import by_month, count, log_reasons
from tiphys.step import Context
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)


def run(inputs: Inputs, _context: Context) -> Outputs:
    """Leave a version of the table of answers; one that is there already costs no Spark.

    Raises:
        DataError: there is no such model, dataset or file, or no row of it has an answer.
        RetryableError: a server is away, or Spark was lost.
    """
    use_case, lake = UseCase(inputs.use_case), Lake.from_settings()
    model = find(inputs.use_case, inputs.model_version, lake.store)
    plan = planning.make(inputs, use_case, model, lake)
    log.info("%s scores %s", model.version, plan.scored)
    computed = False
    if not _is_there(lake, use_case, plan):
        with lake.lock(f"{use_case.name}.{TABLE}"):
            if not _is_there(lake, use_case, plan):
                _make(lake, use_case, plan, model)
                computed = True
    return _tell(lake, Ref(use_case.name, TABLE, plan.tag), plan, model, computed=computed)


def _is_there(lake: Lake, use_case: UseCase, plan: Plan) -> bool:
    from tiphys.lake import versions  # noqa: PLC0415 - slow to import: after the cheap complaints

    held = versions.versions(lake.read(use_case.name, TABLE), lake.read(use_case.name, TABLE + REJECTS))
    return plan.tag in held


def _make(lake: Lake, use_case: UseCase, plan: Plan, model: Model) -> None:
    from components.batch_score.columns import REJECTED, answered  # noqa: PLC0415
    from components.batch_score.rows import decide  # noqa: PLC0415
    from tiphys.lake import versions  # noqa: PLC0415
    from tiphys.spark.kept import kept  # noqa: PLC0415
    from tiphys.spark.session import session  # noqa: PLC0415

    answers, rejects = versions.tables(lake.writer(), use_case.name, TABLE, answered(use_case), REJECTED)
    for each in (rejects, answers):
        versions.begin(each, "")
    with session(lake) as spark:
        decided = kept(decide(spark, use_case, plan, model, lake))
        counted = count(decided)
        _check_all_decided(plan, counted)
        good = decided.where("reason IS NULL").select(*answered(use_case))
        bad = decided.where("reason IS NOT NULL").select(*REJECTED)
        for frame, table in ((bad, rejects), (good, answers)):
            _append(frame, table, plan)
    for table, scored in ((answers, True), (rejects, False)):
        table.refresh()
        _check_written(table, versions.rows_by_month(table, versions.INCOMING), by_month(counted, good=scored))
    log_reasons(log, counted, "answered")
    if not by_month(counted, good=True):
        message = f"no row of {plan.scored} has an answer: {', '.join(sorted({why for _, why in counted})[:3])}; nothing was published"
        raise DataError(message)
    for table in (rejects, answers):
        versions.publish(table, plan.tag)


def _check_all_decided(plan: Plan, counted: Counter[tuple[str, str]]) -> None:
    """Compare with the dataset's own count: in = answered + rejected. Of files nobody counted before."""
    if plan.dataset is not None and counted.total() != sum(plan.months.values()):
        message = (
            f"{counted.total()} rows were decided about and {plan.scored} holds {sum(plan.months.values())}: "
            "no row may be lost; nothing was published"
        )
        raise PermanentError(message)


def _check_written(table: Table, written: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    if dict(written) != dict(wanted):
        message = (
            f"{'.'.join(table.name())} holds other counts than were decided: nothing was published; run the step again"
        )
        raise PermanentError(message)


def _append(frame: DataFrame, table: Table, plan: Plan) -> None:
    name = ".".join((NAME, *table.name(), "branch_incoming"))
    property_ = json.dumps(dict.fromkeys(plan.months or {NO_MONTH: 0}, plan.digest))
    frame.writeTo(name).option(f"snapshot-property.{MONTHS}", property_).append()


def _tell(lake: Lake, ref: Ref, plan: Plan, model: Model, *, computed: bool) -> Outputs:
    scored = Dataset.open(ref, lake).rows
    rejected = Dataset.open(ref.rejects, lake).rows
    if not computed:
        log.info("nothing to score: %s is there", ref)
    return Outputs(
        predictions=str(ref),
        scored=plan.scored,
        model_version=model.version,
        manifest_sha256=model.manifest_sha256,
        rows_in=scored + rejected,
        rows_scored=scored,
        rows_rejected=rejected,
        computed=computed,
    )
