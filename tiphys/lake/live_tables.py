"""The tables of live data as they are made: their columns and how they are laid out. Knows no use case.

Rows are only ever appended, but for ``labelled``, whose doubtful rows are marked by rewriting their files: no table ever
holds a file of deletes, so whoever reads needs no Spark.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    BooleanType,
    DoubleType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
)

from tiphys.errors import DataError
from tiphys.lake.live import Name, namespace

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

    from tiphys.usecase import Feature

_DAY_OF: dict[Name, str] = {
    "predictions": "at",
    "outcomes": "received_at",
    "labelled": "at",
    "outcomes_quarantine": "received_at",
    "predictions_quarantine": "received_at",
    "recent": "valid_from",
}
_PROPERTIES = {
    "format-version": "2",
    "write.distribution-mode": "none",
    "write.spark.fanout.enabled": "true",
    "write.merge.mode": "copy-on-write",
    "write.update.mode": "copy-on-write",
    "write.metadata.metrics.column.origin": "full",  # whole bounds: a landed object is looked up by its name
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}
_SIMPLE = {
    "string": StringType(), "double": DoubleType(), "long": LongType(), "boolean": BooleanType(),
    "timestamp": TimestampType(),
}  # fmt: skip
_OUTCOME = {
    "prediction_id": "string", "at": "timestamp", "actual": "double", "facts": "facts", "asker": "string",
    "received_at": "timestamp", "origin": "string", "line": "long",
}  # fmt: skip
COLUMNS: dict[Name, dict[str, str]] = {
    "predictions": {
        "prediction_id": "string", "at": "timestamp", "moment": "timestamp", "arm": "string",
        "model_version": "string", "source": "string", "asker": "string", "latency_ms": "double",
        "features": "features", "value": "double", "low": "double", "high": "double", "shadow": "boolean",
        "origin": "string", "line": "long",
    },
    "outcomes": _OUTCOME,
    "labelled": {
        "prediction_id": "string", "at": "timestamp", "moment": "timestamp", "known_at": "timestamp", "arm": "string",
        "model_version": "string", "source": "string", "asker": "string", "features": "features", "value": "double",
        "low": "double", "high": "double", "actual": "double", "facts": "facts", "outcome_asker": "string",
        "trusted": "boolean", "doubtful": "string", "origin": "string", "line": "long",
    },
    "outcomes_quarantine": {**_OUTCOME, "reason": "string", "raw": "string"},
    "predictions_quarantine": {
        "received_at": "timestamp", "origin": "string", "line": "long", "reason": "string", "raw": "string",
    },
    "recent": {
        "definition": "string", "number": "long", "valid_from": "timestamp", "value": "double", "rides": "long",
        "made_at": "timestamp", "labelled_snapshot": "long",
    },
}  # fmt: skip
"""Table -> column -> type; ``features`` is a struct with one field a feature, ``facts`` a map of names to numbers.
``origin`` and ``line`` name the landed object and the line in it, from 1, that a row was made of. In ``recent``, ``number`` is the group's, ``valid_from`` a step by the own clock, ``rides`` how many
the value was made of, and ``definition`` what it means."""


def prepare(catalog: SqlCatalog, use_case: str, features: Sequence[Feature]) -> dict[Name, Table]:
    """Open the live tables of a use case, made or widened where needed.

    Raises:
        DataError: a feature has another type than the table holds.
    """
    with contextlib.suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(namespace(use_case))
    return {name: _table(catalog, use_case, name, features) for name in COLUMNS}


def spark_type(kind: str, features: Sequence[Feature]) -> str:
    """Spark's name for the type of a column."""
    if kind == "features":
        fields = ", ".join(f"`{each.name}`: {_spark_number(each)}" for each in features)
        return f"struct<{fields}>"
    simple = {"facts": "map<string, double>", "long": "bigint", "timestamp": "timestamp_ntz"}
    return simple.get(kind, kind)


def spark_schema(columns: dict[str, str], features: Sequence[Feature]) -> str:
    """Columns as Spark's DDL."""
    return ", ".join(f"`{name}` {spark_type(kind, features)}" for name, kind in columns.items())


def _spark_number(feature: Feature) -> str:
    return "bigint" if feature.dtype == "int64" else "double"


def _table(catalog: SqlCatalog, use_case: str, name: Name, features: Sequence[Feature]) -> Table:
    identifier = (namespace(use_case), name)
    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        schema = _schema(COLUMNS[name], features)
        day = next(each for each in schema.fields if each.name == _DAY_OF[name])
        spec = PartitionSpec(PartitionField(day.field_id, 1000, DayTransform(), f"{day.name}_day"))
        return catalog.create_table(identifier, schema, partition_spec=spec, properties=_PROPERTIES)
    if "features" in COLUMNS[name]:
        _widen(table, features)
    return table


def _widen(table: Table, features: Sequence[Feature]) -> None:
    struct = table.schema().find_type("features")
    assert isinstance(struct, StructType)  # noqa: S101 - we made it
    held = {each.name: each.field_type for each in struct.fields}
    for each in features:
        if each.name in held and held[each.name] != _number(each):
            message = (
                f"live table {'.'.join(table.name())} holds feature {each.name!r} as {held[each.name]}, features.py "
                f"says {each.dtype}: give the new feature another name"
            )
            raise DataError(message)
    added = [each for each in features if each.name not in held]
    if added:
        with table.update_schema() as change:
            for each in added:
                change.add_column(("features", each.name), _number(each))


def _number(feature: Feature) -> LongType | DoubleType:
    return LongType() if feature.dtype == "int64" else DoubleType()


def _schema(columns: dict[str, str], features: Sequence[Feature]) -> Schema:
    numbers = iter(range(len(columns) + 1, 10_000))
    fields = []
    for n, (name, kind) in enumerate(columns.items(), 1):
        if kind == "features":
            parts = [NestedField(next(numbers), each.name, _number(each), required=False) for each in features]
            fields.append(NestedField(n, name, StructType(*parts), required=False))
        elif kind == "facts":
            key, value = next(numbers), next(numbers)
            facts = MapType(key, StringType(), value, DoubleType(), value_required=False)
            fields.append(NestedField(n, name, facts, required=False))
        else:
            fields.append(NestedField(n, name, _SIMPLE[kind], required=False))
    return Schema(*fields)
