"""The work of ``collect_outcomes``: take in what has landed, judge the outcomes, export what may be trained on, count."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from components.collect_outcomes.contract import Inputs, Outputs
from components.collect_outcomes.judge import WAITING, Rules
from components.collect_outcomes.state import State, landed, recall, remember, snapshots
from tiphys.errors import PermanentError
from tiphys.lake import live
from tiphys.lake.catalog import Lake
from tiphys.step import Context
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tiphys.lake.live import Name

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Bring the live tables up to what has landed; run again after any end, it neither loses nor doubles.

    Raises:
        RetryableError: a server is away, or Spark was lost.
        DataError: the tables do not fit the use case's features any more.
    """
    use_case, lake, rules = UseCase(inputs.use_case), Lake.from_settings(), _rules(inputs, UseCase(inputs.use_case))
    seen = landed(use_case, lake, rules)
    state = recall(use_case, lake, seen)
    if state is None:
        state = _collect(use_case, lake, rules)
        _check_all_judged(state)
        remember(use_case, lake, seen, state)
    else:
        log.info("nothing has landed since the last run, and the tables are as it left them")
    return _export(use_case, lake, state, context)


def _rules(inputs: Inputs, use_case: UseCase) -> Rules:
    return Rules(
        possible=use_case.live.possible,
        trusted=frozenset(name for name in inputs.trusted.split(",") if name),
        unknown_after=timedelta(seconds=inputs.unknown_after_s),
        now=datetime.now(UTC).replace(tzinfo=None),
        own_clock=bool(use_case.live.moment),
        in_seconds=use_case.target.unit == "s",
    )


def _collect(use_case: UseCase, lake: Lake, rules: Rules) -> State:
    from tiphys.lake.live_tables import prepare  # noqa: PLC0415 - slow to import: after the cheap complaints
    from tiphys.spark.lock import held  # noqa: PLC0415
    from tiphys.spark.session import session  # noqa: PLC0415

    name = live.namespace(use_case.name)
    with lake.lock(name):
        prepare(lake.writer(), use_case.name, use_case.features)
    with session(lake) as spark, held(spark, lake, name):
        return _bring_up_to_date(spark, use_case, lake, rules)


def _bring_up_to_date(spark: SparkSession, use_case: UseCase, lake: Lake, rules: Rules) -> State:
    from components.collect_outcomes import counts  # noqa: PLC0415
    from components.collect_outcomes.askers import mark_doubtful  # noqa: PLC0415
    from components.collect_outcomes.recent import keep_up, tag  # noqa: PLC0415
    from components.collect_outcomes.settle import Tables, settle  # noqa: PLC0415
    from components.collect_outcomes.streams import TOPICS, Landing, take  # noqa: PLC0415

    before = _rows(use_case, lake)
    for topic in TOPICS:
        log.info("taking in what has landed of %s", topic)
        take(spark, lake, Landing(use_case, topic))
    log.info("judging the outcomes that are open")
    tables = Tables(spark, use_case)
    judged = settle(tables, rules)
    log.info("judged now: %s", ", ".join(f"{count} {each}" for each, count in sorted(judged.items())) or "nothing")
    mark_doubtful(tables, lake)
    live_values = keep_up(tables, lake, rules.now)
    return State(
        live_values=live_values,
        live_file=tag(use_case, lake),
        before=before,
        now=_rows(use_case, lake),
        snapshots=snapshots(use_case, lake),
        labelled=counts.labelled(tables, rules),
        refused=counts.refused(tables),
        waiting=judged[WAITING],
        missing=counts.missing(tables),
    )


def _rows(use_case: UseCase, lake: Lake) -> dict[Name, int]:
    return {each: live.rows(use_case.name, each, lake) for each in live.TABLES}


def _check_all_judged(state: State) -> None:
    """Compare: every readable report is labelled, refused, or waits."""
    judged = state.now["labelled"] + sum(state.refused.values()) - state.refused["broken"] + state.waiting
    if judged != state.now["outcomes"]:
        message = (
            f"{state.now['outcomes']} reports are in the lake and {judged} are labelled, refused or waiting: "
            "none may be lost or doubled; nothing was exported"
        )
        raise PermanentError(message)


def _export(use_case: UseCase, lake: Lake, state: State, context: Context) -> Outputs:
    from components.collect_outcomes.export import review, training  # noqa: PLC0415

    labelled = live.read(use_case.name, "labelled", snapshot=state.snapshots["labelled"], lake=lake)
    exported = training(labelled, use_case, lake.store)
    sample = context.artifact("review.csv")
    sample.write_text(review(labelled), encoding="utf-8")
    refused = state.refused
    return Outputs(
        predictions=state.labelled["labelled"] + sum(state.missing.values()),
        outcomes=state.now["outcomes"],
        new_predictions=state.now["predictions"] - state.before["predictions"],
        new_outcomes=state.now["outcomes"] - state.before["outcomes"],
        labelled=state.labelled["labelled"],
        trusted=state.labelled["trusted"],
        late=state.labelled["late"],
        duplicate=refused.get("duplicate", 0),
        contradictory=refused.get("contradictory", 0),
        unknown=refused.get("unknown", 0),
        not_the_asker=refused.get("not the asker", 0),
        impossible=refused.get("impossible", 0),
        untimely=refused.get("untimely", 0),
        waiting=state.waiting,
        broken=refused["broken"],
        doubtful=state.labelled["doubtful"],
        missing=state.missing,
        live_source=exported.prefix,
        live_rows=exported.rows,
        incomplete=exported.incomplete,
        predictions_snapshot=state.snapshots["predictions"],
        live_values=state.live_values,
        labelled_snapshot=state.snapshots["labelled"],
        review=sample,
    )
