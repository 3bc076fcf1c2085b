"""A dataset version: a tagged snapshot of an Iceberg table, named ``<use_case>.<table>@<tag>``, read without Spark.

The same name means the same rows, for ever: tags of versions are made once, from the content, and never moved.
The one moving tag is ``last-trained``, which :func:`mark_trained` sets. Knows no use case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiphys.errors import DataError
from tiphys.lake.catalog import Lake, known

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

LAST_TRAINED = "last-trained"
MONTHS = "tiphys.months"
"""Property of a version's snapshot: JSON object month -> digest of all that the month was made of."""
REJECTS = "_rejects"
"""What the table of refused rows adds to the table's name."""

_REF = re.compile(r"(?P<use_case>\w+)\.(?P<table>\w+)@(?P<tag>[\w.-]+)")
_READERS = 4


@dataclass(frozen=True)
class Ref:
    """A version's name in its parts."""

    use_case: str
    table: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read ``<use_case>.<table>@<tag>``.

        Raises:
            DataError: it has another form.
        """
        found = _REF.fullmatch(text)
        if found is None:
            message = f"{text!r} is no dataset version: it must look like USE_CASE.TABLE@TAG"
            raise DataError(message)
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"{self.use_case}.{self.table}@{self.tag}"

    @property
    def rejects(self) -> Ref:
        """The version of the refused rows that belongs to it."""
        return Ref(self.use_case, self.table + REJECTS, self.tag)


@dataclass(frozen=True)
class Part:
    """One data file of a version."""

    uri: str
    month: str
    rows: int


@dataclass(frozen=True)
class Dataset:
    """One version, opened: its months and row counts are known, its rows are read on demand."""

    ref: Ref
    digests: Mapping[str, str]
    """month -> digest of all that it was made of."""
    parts: tuple[Part, ...]
    schema: Mapping[str, str]
    """column -> Iceberg type, in the table's order."""
    lake: Lake = field(repr=False)

    @classmethod
    def open(cls, ref: str | Ref, lake: Lake | None = None) -> Dataset:
        """Open a version by its name.

        Raises:
            DataError: no such table or version.
        """
        ref = Ref.parse(ref) if isinstance(ref, str) else ref
        lake = Lake.from_settings() if lake is None else lake
        table = known(lake.read(ref.use_case, ref.table), f"{ref.use_case}.{ref.table}")
        snapshot = tagged(table, ref.tag)
        if snapshot is None:
            versions = ", ".join(sorted(version_tags(table))) or "none"
            message = f"dataset {str(ref)!r} does not exist; table {ref.use_case}.{ref.table} has: {versions}"
            raise DataError(message)
        return cls(ref, digests_of(snapshot), _parts(table, snapshot), _schema(table), lake)

    @property
    def months(self) -> dict[str, int]:
        """Rows by month, months in order."""
        counted = dict.fromkeys(sorted(self.digests), 0)
        for each in self.parts:
            counted[each.month] += each.rows
        return counted

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(each.rows for each in self.parts)

    def read(self, columns: Sequence[str] | None = None, months: Collection[str] | None = None) -> pa.Table:
        """Read rows, months in order: all columns and months, or the named ones. The order is always the same.

        Raises:
            DataError: a column or month that the version does not have.
        """
        import pyarrow as pa  # noqa: PLC0415 - whoever only counts rows does not pay for it

        columns = list(self.schema if columns is None else columns)
        self._check(columns, months)
        chosen = [each for each in self.parts if months is None or each.month in months]
        with ThreadPoolExecutor(_READERS) as pool:
            tables = list(pool.map(lambda part: self._table(part, columns), chosen))
        empty = pa.schema([(name, _arrow_type(self.schema[name])) for name in columns]).empty_table()
        return pa.concat_tables([empty, *tables])

    def _table(self, part: Part, columns: list[str]) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        # no Python file: threads of Arrow's would call Python, the interpreter's end or not
        stored = pq.ParquetFile(pa.BufferReader(self.lake.store.get(part.uri)))
        present = [name for name in columns if name in stored.schema_arrow.names]
        found = stored.read(columns=present, use_threads=False)
        wanted = pa.schema([(name, _arrow_type(self.schema[name])) for name in columns])
        arrays = [
            found[name].cast(wanted.field(name).type)
            if name in present
            else pa.nulls(part.rows, wanted.field(name).type)
            for name in columns
        ]
        return pa.Table.from_arrays(arrays, schema=wanted)

    def _check(self, columns: Sequence[str], months: Collection[str] | None) -> None:
        unknown = [name for name in columns if name not in self.schema]
        if unknown:
            message = f"dataset {str(self.ref)!r} has no column {', '.join(unknown)}; it has {', '.join(self.schema)}"
            raise DataError(message)
        missing = sorted(set(months or ()) - set(self.digests))
        if missing:
            held = sorted(self.digests)
            span = f"{held[0]}..{held[-1]}" if held else "none"
            message = (
                f"dataset {str(self.ref)!r} has no month {', '.join(missing)}; it has {span}: give etl their files"
            )
            raise DataError(message)


def mark_trained(ref: str | Ref, lake: Lake | None = None) -> None:
    """Remember a version as the last one that a model was trained on: moves the tag ``last-trained`` of its table."""
    ref = Ref.parse(ref) if isinstance(ref, str) else ref
    lake = Lake.from_settings() if lake is None else lake
    with lake.lock(f"{ref.use_case}.{ref.table}"):
        table = lake.writer().load_table((ref.use_case, ref.table))
        snapshot = tagged(table, ref.tag)
        if snapshot is None:
            message = f"dataset {str(ref)!r} does not exist: nothing can have been trained on it"
            raise DataError(message)
        marked = tagged(table, LAST_TRAINED)
        if marked is None or marked.snapshot_id != snapshot.snapshot_id:
            table.manage_snapshots().create_tag(snapshot.snapshot_id, LAST_TRAINED).commit()


def last_trained(use_case: str, table: str, lake: Lake | None = None) -> Ref | None:
    """Name the version that :func:`mark_trained` marked last; None where nothing was trained yet."""
    lake = Lake.from_settings() if lake is None else lake
    found = lake.read(use_case, table)
    marked = None if found is None else tagged(found, LAST_TRAINED)
    if found is None or marked is None:
        return None
    named = [tag for tag, snapshot in version_tags(found).items() if snapshot == marked.snapshot_id]
    return Ref(use_case, table, named[0] if named else LAST_TRAINED)


def version_tags(table: Table) -> dict[str, int]:
    """Tags that name versions -> snapshot ids."""
    return {name: each.snapshot_id for name, each in table.metadata.refs.items() if name.startswith("v-")}


def tagged(table: Table, tag: str) -> Snapshot | None:
    """Find the snapshot that a tag names."""
    found = table.metadata.refs.get(tag)
    return None if found is None else table.metadata.snapshot_by_id(found.snapshot_id)


def digests_of(snapshot: Snapshot) -> dict[str, str]:
    """Month -> digest of what it was made of, as the snapshot's own property says."""
    summary = snapshot.summary
    text = "{}" if summary is None else summary.additional_properties.get(MONTHS, "{}")
    found: dict[str, str] = json.loads(text)
    return found


def _parts(table: Table, snapshot: Snapshot) -> tuple[Part, ...]:
    tasks = table.scan(snapshot_id=snapshot.snapshot_id).plan_files()
    parts = [Part(each.file.file_path, str(each.file.partition[0]), each.file.record_count) for each in tasks]
    return tuple(sorted(parts, key=lambda part: (part.month, part.uri)))


def _schema(table: Table) -> dict[str, str]:
    return {each.name: str(each.field_type) for each in table.schema().fields}


def _arrow_type(iceberg: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    types = {"int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "string": pa.string()}
    return types.get(iceberg, pa.timestamp("us"))
