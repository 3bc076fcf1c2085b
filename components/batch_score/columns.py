"""The columns of the tables of answers and of rejects, as the lake and as Spark name their types."""

from __future__ import annotations

from components.batch_score.scoring import schema
from tiphys.usecase import UseCase

_LAKE = {"string": "string", "int64": "long", "double": "double"}
_SPARK = {"string": "string", "int64": "bigint", "double": "double"}
_ONLY_REJECTED = ("reason", "raw")
REJECTED = {"month": "string", "file": "string", "row": "long", "reason": "string", "raw": "string"}
"""Columns of the table of rejects."""


def answered(use_case: UseCase) -> dict[str, str]:
    """Columns of the table of answers."""
    return {each.name: _LAKE[str(each.type)] for each in schema(use_case) if each.name not in _ONLY_REJECTED}


def spark_schema(use_case: UseCase) -> str:
    """Columns of a row that is decided about, as Spark's DDL."""
    return ", ".join(f"`{each.name}` {_SPARK[str(each.type)]}" for each in schema(use_case))
