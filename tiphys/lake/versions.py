"""Making versions: tables, a branch to write to out of sight, and the one commit that lets readers see the result.

A version is written on the branch ``incoming``, which starts at the version that shares the most with it. Nobody reads
that branch. Publishing sets the tag and moves ``main`` in one commit: a writer that dies before leaves the old versions
as they were, and its branch is started anew by the next. Knows no use case.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import In
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, IntegerType, LongType, NestedField, StringType, TimestampType

from tiphys.errors import DataError
from tiphys.lake.dataset import MONTHS, REJECTS, digests_of, version_tags

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table
    from pyiceberg.types import PrimitiveType

    from tiphys.usecase import DataContract

INCOMING = "incoming"
PARTITION = "month"
FILE = "file"

_TYPES: dict[str, type[PrimitiveType]] = {
    "timestamp": TimestampType, "int": IntegerType, "long": LongType, "double": DoubleType, "string": StringType,
}  # fmt: skip
_PROPERTIES = {
    "format-version": "2",
    "write.distribution-mode": "none",
    "write.spark.fanout.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}


def table_columns(contract: DataContract) -> dict[str, str]:
    """Columns of the table -> types as a contract names them."""
    own: dict[str, str] = {each.name: each.type for each in contract.columns}
    own |= {each.name: each.type for each in contract.derived}
    return {**own, PARTITION: "string", FILE: "string"}


def rejects_columns() -> dict[str, str]:
    """Columns of the table of rejects."""
    return {PARTITION: "string", FILE: "string", "reason": "string", "raw": "string"}


def prepare(catalog: SqlCatalog, namespace: str, contract: DataContract) -> tuple[Table, Table]:
    """Open the table and its rejects, made or widened where the contract asks for it."""
    return tables(catalog, namespace, contract.table, table_columns(contract), rejects_columns())


def tables(
    catalog: SqlCatalog, namespace: str, name: str, columns: Mapping[str, str], rejects: Mapping[str, str]
) -> tuple[Table, Table]:
    """Open a table of that name and its rejects, made or widened for those columns: name -> type as a contract names it."""
    with contextlib.suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(namespace)
    return _table(catalog, namespace, name, columns), _table(catalog, namespace, name + REJECTS, rejects)


def versions(table: Table | None, rejects: Table | None) -> dict[str, dict[str, str]]:
    """Versions that both tables have: tag -> month -> digest."""
    if table is None or rejects is None:
        return {}
    both = version_tags(table).keys() & version_tags(rejects).keys()
    found = {}
    for tag in both:
        snapshot = table.metadata.snapshot_by_id(version_tags(table)[tag])
        if snapshot is not None:
            found[tag] = digests_of(snapshot)
    return found


def begin(table: Table, base: str) -> None:
    """Start the branch ``incoming`` anew at a version, or empty."""
    start = version_tags(table)[base] if base else _empty(table)
    table.manage_snapshots().create_branch(start, INCOMING).commit()


def drop_months(table: Table, months: tuple[str, ...], digests: Mapping[str, str]) -> None:
    """Take months away on the branch; whole files only, so nothing is rewritten."""
    whole_months = In(PARTITION, set(months))  # type: ignore[call-arg,unused-ignore]
    table.delete(whole_months, snapshot_properties={MONTHS: json.dumps(digests)}, branch=INCOMING)


def publish(table: Table, tag: str) -> None:
    """Let readers see the branch's rows under a tag, and as the table's present state, in one commit."""
    table.refresh()
    snapshot = table.metadata.refs[INCOMING].snapshot_id
    changes = table.manage_snapshots().create_tag(snapshot, tag).create_branch(snapshot, "main")
    changes.remove_branch(INCOMING).commit()


def rows_by_month(table: Table, ref: str) -> dict[str, int]:
    """Rows of each month at a tag or branch, from the manifests alone."""
    counted: dict[str, int] = {}
    for each in table.scan(snapshot_id=table.metadata.refs[ref].snapshot_id).plan_files():
        month = str(each.file.partition[0])
        counted[month] = counted.get(month, 0) + each.file.record_count
    return counted


def _empty(table: Table) -> int:
    """Find or make the table's first, empty snapshot."""
    if not table.metadata.snapshots:
        with table.transaction() as change, change.update_snapshot().fast_append():
            pass
    first = min(table.metadata.snapshots, key=lambda each: each.sequence_number or 0)
    return first.snapshot_id


def _table(catalog: SqlCatalog, namespace: str, name: str, columns: Mapping[str, str]) -> Table:
    try:
        table = catalog.load_table((namespace, name))
    except NoSuchTableError:
        return _create(catalog, namespace, name, columns)
    for column, kind in columns.items():
        held = next((each for each in table.schema().fields if each.name == column), None)
        if held is not None and held.field_type != _TYPES[kind]():
            message = (
                f"table {namespace}.{name} holds column {column!r} as {held.field_type}, the use case's data.py says "
                f"{kind}: give the new column another name, or the table"
            )
            raise DataError(message)
    added = {column: kind for column, kind in columns.items() if column not in table.schema().column_names}
    if added:
        with table.update_schema() as change:
            for column, kind in added.items():
                change.add_column(column, _TYPES[kind]())
    return table


def _create(catalog: SqlCatalog, namespace: str, name: str, columns: Mapping[str, str]) -> Table:
    fields = [
        NestedField(n, column, _TYPES[kind](), required=False) for n, (column, kind) in enumerate(columns.items(), 1)
    ]
    source = next(each.field_id for each in fields if each.name == PARTITION)
    spec = PartitionSpec(PartitionField(source, 1000, IdentityTransform(), PARTITION))
    try:
        return catalog.create_table((namespace, name), Schema(*fields), partition_spec=spec, properties=_PROPERTIES)
    except TableAlreadyExistsError:
        return catalog.load_table((namespace, name))
