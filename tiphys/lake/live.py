"""The tables of live data, read without Spark: answers, outcomes, both joined, and what was refused.

They lie in a namespace of their own, ``USE_CASE_live``, beside the versions of the use case's training data. What a
table was at one snapshot can be read again for ever: a later step names the snapshot and gets the very same rows.

===================== =====================================================================================
``predictions``            every answer of the gateway, the shadow's included, with the question's features
``outcomes``               every readable report of what really happened, as it was sent
``labelled``               answers with the outcome that stands; the operator's own reports are ``trusted``
``outcomes_quarantine``    reports that label nothing, and unreadable lines, each with its ``reason``
``predictions_quarantine`` unreadable lines of the log of answers
``recent``                 values of the use case's live feature by step and group; what was said for a step stands
===================== =====================================================================================

Two clocks: ``at`` is when the gateway answered, ``moment`` what the question is about by the use case's own clock. Knows
no use case.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from tiphys.errors import DataError
from tiphys.lake.catalog import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table

Name = Literal["predictions", "outcomes", "labelled", "outcomes_quarantine", "predictions_quarantine", "recent"]
Clock = Literal["moment", "at", "valid_from"]

TABLES: tuple[Name, ...] = get_args(Name)
_READERS = 4


def namespace(use_case: str) -> str:
    """Namespace of the live tables of a use case, which may be given as a dotted package."""
    return f"{use_case.rpartition('.')[2]}_live"


def snapshot(use_case: str, table: Name, lake: Lake | None = None) -> int:
    """Name the state that a table is in now; 0 while it is empty.

    Raises:
        DataError: there is no such table yet.
    """
    found = _open(use_case, table, lake or Lake.from_settings()).current_snapshot()
    return 0 if found is None else found.snapshot_id


def rows(use_case: str, table: Name, lake: Lake | None = None) -> int:
    """Count the rows of a table as it is now, from its newest snapshot alone; 0 where there is no table yet."""
    found = (lake or Lake.from_settings()).read(namespace(use_case), table)
    state = None if found is None else found.current_snapshot()
    return 0 if state is None or state.summary is None else int(state.summary["total-records"] or 0)


def read(  # noqa: PLR0913 - a question with its optional parts
    use_case: str,
    table: Name,
    *,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    clock: Clock = "moment",
    columns: Sequence[str] | None = None,
    snapshot: int | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Read rows with ``since <= clock < until``, in no order that may be relied on.

    Args:
        use_case: its name, or its dotted package.
        table: which table.
        since: first moment; seconds since 1970, or a datetime (without a zone: UTC).
        until: the moment after the last.
        clock: which of the clocks the bounds are read on; ``valid_from`` is that of ``recent``.
        columns: the ones to read; all of them otherwise. ``features`` and ``facts`` come whole.
        snapshot: state to read, as :func:`snapshot` named it; the present one otherwise.
        lake: where the tables are.

    Raises:
        DataError: no such table, snapshot or column.
    """
    import pyarrow as pa  # noqa: PLC0415 - whoever asks for a snapshot only does not pay for it

    lake = lake or Lake.from_settings()
    held = _open(use_case, table, lake)
    types = {each.name: each.field_type for each in held.schema().fields}
    wanted = list(types if columns is None else columns)
    bounds = [(sign, _micros(each)) for sign, each in ((">=", since), ("<", until)) if each is not None]
    unknown = [name for name in (*wanted, *([clock] if bounds else [])) if name not in types]
    if unknown:
        message = f"live table {table!r} has no column {', '.join(unknown)}; it has {', '.join(types)}"
        raise DataError(message)
    schema = pa.schema([(name, arrow_type(types[name])) for name in wanted])
    if snapshot == 0 or (snapshot is None and held.current_snapshot() is None):
        return schema.empty_table()
    if snapshot is not None and held.metadata.snapshot_by_id(snapshot) is None:
        message = f"live table {table!r} of {use_case} has no snapshot {snapshot}: it may have been expired"
        raise DataError(message)
    files = _files(held, snapshot, clock, bounds)
    clocked = schema if clock in wanted else schema.append(pa.field(clock, pa.timestamp("us")))
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda uri: _rows(lake, uri, clocked if bounds else schema, clock, bounds), files))
    return pa.concat_tables([schema.empty_table(), *(each.select(wanted) for each in read)])


def arrow_type(iceberg: Any) -> pa.DataType:
    """Arrow's type for a type of Iceberg that the live tables use."""
    import pyarrow as pa  # noqa: PLC0415

    if iceberg.is_struct:
        return pa.struct([(each.name, arrow_type(each.field_type)) for each in iceberg.fields])
    if str(iceberg).startswith("map"):
        return pa.map_(arrow_type(iceberg.key_type), arrow_type(iceberg.value_type))
    simple: dict[str, pa.DataType] = {
        "int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "string": pa.string(), "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us"),
    }  # fmt: skip
    return simple[str(iceberg)]


def _open(use_case: str, table: Name, lake: Lake) -> Table:
    found = lake.read(namespace(use_case), table)
    if found is None:
        message = f"there are no live data of {use_case!r} in the lake yet: run the workflow collect-outcomes first"
        raise DataError(message)
    return found


def _files(table: Table, snapshot: int | None, clock: Clock, bounds: list[tuple[str, int]]) -> list[str]:
    tasks = list(table.scan(row_filter=_filter(clock, bounds), snapshot_id=snapshot).plan_files())
    if any(each.delete_files for each in tasks):
        message = (
            f"{'.'.join(table.name())} holds delete files, which only Spark can apply: it must be written copy-on-write"
        )
        raise DataError(message)
    return sorted(each.file.file_path for each in tasks)


def _filter(clock: Clock, bounds: list[tuple[str, int]]) -> BooleanExpression:
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan  # noqa: PLC0415

    found: BooleanExpression = AlwaysTrue()
    for sign, micros in bounds:
        text = datetime.fromtimestamp(micros / 1e6, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        compare = GreaterThanOrEqual if sign == ">=" else LessThan
        one = compare(clock, text)  # type: ignore[call-arg,unused-ignore]
        found = And(found, one)
    return found


def _rows(lake: Lake, uri: str, schema: pa.Schema, clock: Clock, bounds: list[tuple[str, int]]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    stored = pq.ParquetFile(io.BytesIO(lake.store.get(uri)))
    present = [name for name in schema.names if name in stored.schema_arrow.names]
    found = stored.read(columns=present, use_threads=False)
    arrays = [
        found[each.name].cast(each.type) if each.name in present else pa.nulls(found.num_rows, each.type)
        for each in schema
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    for sign, micros in bounds:
        bound = pa.scalar(micros, pa.timestamp("us"))
        compare = pc.greater_equal if sign == ">=" else pc.less
        table = table.filter(compare(table[clock], bound))
    return table


def _micros(moment: datetime | float) -> int:
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1e6)
    return round(moment * 1e6)
