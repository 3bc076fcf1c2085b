"""The live feature's table, and the file that serving reads: what finished lately, by step and group. Knows no use case.

A row is what was known at a step when it was made. It stands: an outcome that comes later changes what is made next, never what
was said. A run makes the steps of the last days that the table lacks, in one commit, and then writes the file of what
the table holds; a run that is killed between the two leaves the file to the next. The caller holds the lock of the live tables.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys import recent, recent_values
from tiphys.lake import live
from tiphys.lake.catalog import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from components.collect_outcomes.settle import Tables
    from tiphys.recent import Finished
    from tiphys.usecase import Array, LiveFeature, UseCase

log = logging.getLogger(__name__)

DAYS = 3
"""Days of the own clock, up to now, whose steps are made and served."""
NEWEST = 9
"""Labelled rows, the last that were answered, whose median says what time it is: a client whose clock jumped ahead must not."""
_DAY_S = 86_400
_COLUMNS = ("features", "known_at", "actual", "facts", "trusted", "doubtful")


def keep_up(tables: Tables, lake: Lake, made_at: datetime) -> int:
    """Make the values that are missing, and the file; answers with how many were made. Nothing where there is no live feature."""
    use_case = tables.use_case
    feature, now = use_case.recent, None
    if feature is None or (now := own_now(tables)) is None:
        return 0
    snapshot = live.snapshot(use_case.name, "labelled", lake)
    last = int(now // feature.step_s)
    since = last - DAYS * _DAY_S // feature.step_s + 1
    past = finished(use_case, feature, _labelled(use_case, feature, since, snapshot, lake))
    had = {step for step, _ in _held(use_case, feature, (since, last), lake)}
    begun = int(np.ceil(past.known.min() / feature.step_s)) if len(past.known) else last + 1
    steps = [step for step in range(max(since, begun), last + 1) if step not in had]
    if steps:
        _append(tables, feature, past, steps, {"made_at": made_at, "labelled_snapshot": snapshot})
        log.info("live feature %s: %d steps up to %s", feature.name, len(steps), _moment(last * feature.step_s))
    _tell(use_case, feature, (since, last), lake)
    return len(steps) * feature.groups


def tag(use_case: UseCase, lake: Lake) -> str:
    """Return the tag of the file that serving reads; empty where there is none."""
    there = None if use_case.recent is None else lake.store.find(recent_values.where(use_case.name))
    return "" if there is None else there.etag


def own_now(tables: Tables) -> float | None:
    """Tell the use case's own time, seconds since 1970; None where no outcome stands yet."""
    newest = tables.open("labelled").orderBy("at", ascending=False).limit(NEWEST).select("known_at").collect()
    known = [each["known_at"].replace(tzinfo=UTC).timestamp() for each in newest]
    return float(np.median(known)) if known else None


def finished(use_case: UseCase, feature: LiveFeature, labelled: pa.Table) -> Finished:
    """Keep of labelled rows what counts: the ones that a training may see, neither doubtful nor trusted."""
    import pyarrow.compute as pc  # noqa: PLC0415 - whoever only wants the contract does not pay for it

    plain = [
        not each and not trusted
        for each, trusted in zip(labelled["doubtful"].to_pylist(), labelled["trusted"].to_pylist(), strict=True)
    ]
    rows = labelled.filter(np.array(plain, bool))
    features: dict[str, Array] = {
        each.name: pc.struct_field(rows["features"], each.name).to_numpy().astype(each.dtype)
        for each in use_case.features
        if each.name != feature.name
    }
    told = [dict(each or ()) for each in rows["facts"].to_pylist()]
    facts = {name: np.array([each.get(name, np.nan) for each in told], np.float64) for name in use_case.live.facts}
    known = rows["known_at"].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    return recent.finished(feature, use_case.live.moment, features, rows["actual"].to_numpy(), facts, known)


def _labelled(use_case: UseCase, feature: LiveFeature, since: int, snapshot: int, lake: Lake) -> pa.Table:
    """Read all rows that a step from ``since`` on may be made of."""
    first = since * feature.step_s - feature.level_s - use_case.live.possible[1]
    return live.read(
        use_case.name, "labelled", since=max(first, 0.0), columns=_COLUMNS, snapshot=snapshot, lake=lake
    )  # fmt: skip


def _held(
    use_case: UseCase, feature: LiveFeature, steps: tuple[int, int], lake: Lake
) -> list[tuple[int, dict[str, Any]]]:
    """Steps from the first to the last of them of this definition, and their rows."""
    first, end = (max(each * feature.step_s, 0) for each in (steps[0], steps[1] + 1))
    rows = live.read(
        use_case.name, "recent", since=first, until=end, clock="valid_from", lake=lake
    ).to_pylist()  # fmt: skip
    ours = [row for row in rows if row["definition"] == feature.definition()]
    return [(round(row["valid_from"].replace(tzinfo=UTC).timestamp() / feature.step_s), row) for row in ours]


def _append(tables: Tables, feature: LiveFeature, past: Finished, steps: list[int], made: dict[str, Any]) -> None:
    import pyarrow as pa  # noqa: PLC0415

    step, group = (each.ravel() for each in np.meshgrid(steps, np.arange(feature.groups), indexing="ij"))
    value, rides = recent.values(feature, past, group, step)
    count = len(step)
    table = pa.table({
        "definition": pa.array([feature.definition()] * count),
        "number": pa.array(group),
        "valid_from": pa.array(step * (feature.step_s * 1_000_000), pa.timestamp("us")),
        "value": pa.array(value.astype(np.float64)),
        "rides": pa.array(rides),
        "made_at": pa.array([made["made_at"]] * count, pa.timestamp("us")),
        "labelled_snapshot": pa.array([made["labelled_snapshot"]] * count, pa.int64()),
    })  # fmt: skip
    tables.spark.createDataFrame(table).coalesce(1).writeTo(tables.name("recent")).append()


def _tell(use_case: UseCase, feature: LiveFeature, steps: tuple[int, int], lake: Lake) -> None:
    """Write the file of what the table holds; of a group that lacks a step nothing is told of that step."""
    held: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for step, row in _held(use_case, feature, steps, lake):
        held[step][row["number"]] = row
    whole = {step: rows for step, rows in sorted(held.items()) if len(rows) == feature.groups}
    if not whole:
        return
    made_at = max(row["made_at"] for rows in whole.values() for row in rows.values())
    values = recent_values.Values(
        use_case=use_case.name,
        feature=feature.name,
        definition=feature.definition(),
        snapshot=live.snapshot(use_case.name, "recent", lake),
        made_at=made_at.replace(tzinfo=UTC),
        steps={step: [rows[group]["value"] for group in range(feature.groups)] for step, rows in whole.items()},
    )
    lake.store.put(recent_values.where(use_case.name), recent_values.dump(values))


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="minutes")
