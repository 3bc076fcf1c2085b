"""The work of ``etl``: find out which months are new, compute those with Spark, check the counts, publish the version."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.etl import plan as planning
from components.etl.contract import Inputs, Outputs
from components.etl.plan import Plan
from tiphys.errors import DataError, PermanentError
from tiphys.lake.catalog import NAME, Lake
from tiphys.lake.dataset import MONTHS, REJECTS, Dataset, Ref
from tiphys.lake.raw import Manifest
from tiphys.spark.decided import by_month, count, log_reasons
from tiphys.step import Context
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)


def run(inputs: Inputs, _context: Context) -> Outputs:
    """Make the version that the manifest and the window ask for; one that is there already costs no Spark."""
    use_case = UseCase(inputs.use_case)
    lake = Lake.from_settings()
    manifest = Manifest.read(inputs.manifest, lake.store)
    window = (inputs.first_month, inputs.last_month)
    plan = planning.make(manifest, use_case.data, window, _versions(lake, use_case))
    if not _is_there(plan):
        with lake.lock(f"{use_case.name}.{use_case.data.table}"):
            plan = planning.make(manifest, use_case.data, window, _versions(lake, use_case))
            if not _is_there(plan):
                _make(lake, use_case, plan)
    return _tell(lake, Ref(use_case.name, use_case.data.table, plan.tag), plan)


def _is_there(plan: Plan) -> bool:
    return plan.base == plan.tag


def _versions(lake: Lake, use_case: UseCase) -> dict[str, dict[str, str]]:
    from tiphys.lake import versions  # noqa: PLC0415 - slow to import: after the cheap complaints

    table = use_case.data.table
    return versions.versions(lake.read(use_case.name, table), lake.read(use_case.name, table + REJECTS))


def _make(lake: Lake, use_case: UseCase, plan: Plan) -> None:
    from tiphys.lake import versions  # noqa: PLC0415

    table, rejects = versions.prepare(lake.writer(), use_case.name, use_case.data)
    for each in (rejects, table):
        versions.begin(each, plan.base)
    if plan.changed:
        _compute(lake, use_case, plan, table, rejects)
    else:
        for each in (rejects, table):
            versions.drop_months(each, plan.dropped, plan.digests)
    versions.publish(rejects, plan.tag)
    table.refresh()
    if not versions.rows_by_month(table, versions.INCOMING):
        message = (
            f"every row of {', '.join(plan.digests)} was rejected, so there is no dataset: the reasons are in "
            f"{Ref(use_case.name, use_case.data.table, plan.tag).rejects}; are these the right files?"
        )
        raise DataError(message)
    versions.publish(table, plan.tag)


def _compute(lake: Lake, use_case: UseCase, plan: Plan, table: Table, rejects: Table) -> None:
    from components.etl import rows  # noqa: PLC0415
    from tiphys.lake import versions  # noqa: PLC0415
    from tiphys.spark.kept import kept  # noqa: PLC0415
    from tiphys.spark.session import session  # noqa: PLC0415

    log.info("computing %d of %d months from %d files", len(plan.changed), len(plan.digests), len(plan.files))
    with session(lake) as spark:
        decided = kept(rows.decide(spark, plan.files, use_case.data))
        counted = count(decided)  # both writes start from what this pass left
        _check_all_decided(plan, counted)
        wanted = decided.where(_among(plan.changed))
        _overwrite(rows.refused(wanted), rejects, plan)
        _overwrite(rows.kept(wanted, use_case.data), table, plan)
    for each, good in ((table, True), (rejects, False)):
        each.refresh()
        _check_written(each, plan, versions.rows_by_month(each, versions.INCOMING), by_month(counted, good=good))
    log_reasons(log, counted, "kept")


def _check_all_decided(plan: Plan, counted: Counter[tuple[str, str]]) -> None:
    """Compare with ingest's own count: in = kept + rejected."""
    there = sum(each.rows for each in plan.files)
    if counted.total() != there:
        message = f"etl decided about {counted.total()} rows and ingest counted {there}: no row may be lost; nothing was published"
        raise PermanentError(message)


def _check_written(table: Table, plan: Plan, written: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    wrong = [month for month in plan.changed if written.get(month, 0) != wanted.get(month, 0)]
    if wrong:
        name = ".".join(table.name())
        message = (
            f"{name} holds other counts than were decided for {', '.join(wrong)}: nothing was published; run etl again"
        )
        raise PermanentError(message)


def _overwrite(frame: DataFrame, table: Table, plan: Plan) -> None:
    from pyspark.sql.functions import expr  # noqa: PLC0415

    name = ".".join((NAME, *table.name(), "branch_incoming"))
    writer = frame.writeTo(name).option(f"snapshot-property.{MONTHS}", json.dumps(plan.digests))
    writer.overwrite(expr(_among((*plan.changed, *plan.dropped))))


def _among(months: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{month}'" for month in months)
    return f"month IN ({listed})"


def _tell(lake: Lake, ref: Ref, plan: Plan) -> Outputs:
    kept = Dataset.open(ref, lake).rows
    rejected = Dataset.open(ref.rejects, lake).rows
    computed = 0 if _is_there(plan) else len(plan.changed)
    if computed == 0:
        log.info("nothing to compute: %s is there", ref)
    return Outputs(
        dataset=str(ref),
        rows_in=kept + rejected,
        rows_kept=kept,
        rows_rejected=rejected,
        months=len(plan.digests),
        months_computed=computed,
    )
