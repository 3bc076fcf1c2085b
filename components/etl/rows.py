"""The Spark expressions that decide about every row: typed and kept, or refused with a reason. Knows no use case.

A CSV row is a line. It is read as text and taken apart here, not by Spark's CSV reader, for two reasons: the line itself
goes into the rejects whatever is wrong with it, and no quote can swallow the lines after it. Rows of Parquet files
become strings first, so that there is one way only from a value to its type.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from tiphys.lake.raw import RawFile
    from tiphys.usecase import Column, DataContract

_SQL_TYPES = {"timestamp": "timestamp_ntz", "int": "int", "long": "bigint", "double": "double", "string": "string"}
_NOISE = r"[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F]"


def decide(spark: SparkSession, files: Sequence[RawFile], contract: DataContract) -> DataFrame:
    """Read the files and decide about each row.

    Answers with the contract's columns and derived ones, typed; ``month``; ``file``; ``reason`` (null: kept); ``raw``
    (the line, of refused rows).
    """
    strings = reduce(lambda one, other: one.unionAll(other), _read(spark, files, contract))
    typed = strings.join(_months(spark, files).hint("broadcast"), "file").selectExpr(*_typed(contract))
    own_month = f"substr(CAST(`{contract.time}` AS STRING), 1, 7) AS own_month"
    derived = [f"CAST({each.sql} AS {_SQL_TYPES[each.type]}) AS `{each.name}`" for each in contract.derived]
    reasoned = typed.selectExpr("*", own_month, _broken(contract), *derived).selectExpr("*", _reason(contract))
    names = [f"`{name}`" for name in _names(contract)]
    home = "CASE WHEN array_contains(months, own_month) THEN own_month ELSE months[0] END AS month"
    return reasoned.selectExpr(
        *names, home, "file", "reason", "CASE WHEN reason IS NOT NULL THEN make_valid_utf8(raw) END AS raw"
    )


def kept(decided: DataFrame, contract: DataContract) -> DataFrame:
    """Rows of the table."""
    return decided.where("reason IS NULL").select(*_names(contract), "month", "file")


def refused(decided: DataFrame) -> DataFrame:
    """Rows of the table of rejects."""
    return decided.where("reason IS NOT NULL").select("month", "file", "reason", "raw")


def _read(spark: SparkSession, files: Sequence[RawFile], contract: DataContract) -> list[DataFrame]:
    def alike(file: RawFile) -> tuple[str, str, str]:
        return (file.format[:3], file.header, json.dumps(file.fields))

    groups = [list(group) for _, group in groupby(sorted(files, key=alike), key=alike)]
    return [_read_alike(spark, group, contract) for group in groups]


def _read_alike(spark: SparkSession, files: list[RawFile], contract: DataContract) -> DataFrame:
    read = _read_parquet if files[0].format == "parquet" else _read_csv
    return read(spark, files, contract)


def _read_csv(spark: SparkSession, files: list[RawFile], contract: DataContract) -> DataFrame:
    header = _quoted(files[0].header)
    width = len(files[0].fields)
    schema = ", ".join(f"c{n} STRING" for n in range(width))
    options = (
        "map('mode', 'PERMISSIVE', 'columnNameOfCorruptRecord', 'misfit', 'escape', '\"', 'maxCharsPerColumn', '-1')"
    )
    place = {known: f"r.c{n}" for n, known in enumerate(files[0].fields.values()) if known}
    lines = spark.read.text([_s3a(each) for each in files], lineSep="\n")
    lines = lines.selectExpr("rtrim('\r', value) AS raw", "substr(_metadata.file_name, 1, 16) AS file")
    lines = lines.where(f"trim(BOTH ' \t' FROM raw) != '' AND ltrim('\ufeff', raw) != {header}")
    taken_apart = lines.selectExpr("raw", "file", f"from_csv(raw, '{schema}, misfit STRING', {options}) AS r")
    return taken_apart.selectExpr("file", "raw", "r.misfit IS NOT NULL AS misfit", *_strings(contract, place))


def _read_parquet(spark: SparkSession, files: list[RawFile], contract: DataContract) -> DataFrame:
    place = {known: f"CAST(`{own}` AS STRING)" for own, known in files[0].fields.items() if known}
    # One file at a time: the types of a column differ between months of the same publisher.
    frames = [
        spark.read.parquet(_s3a(each)).selectExpr(
            f"'{each.key}' AS file", "to_json(struct(*)) AS raw", "false AS misfit", *_strings(contract, place)
        )
        for each in files
    ]
    return reduce(lambda one, other: one.unionAll(other), frames)


def _strings(contract: DataContract, place: dict[str, str]) -> list[str]:
    return [f"{place.get(each.name, 'CAST(NULL AS STRING)')} AS `{each.name}`" for each in contract.columns]


def _months(spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
    rows = ", ".join(f"('{each.key}', array({', '.join(map(repr, each.months))}))" for each in files)
    return spark.sql(f"SELECT * FROM VALUES {rows} AS t(file, months)")  # noqa: S608 - digests and months, by their form


def _typed(contract: DataContract) -> list[str]:
    """Strings to values; the strings stay, as ``name?``, for the complaints about those that have no value."""
    values = [f"{_value(each)} AS `{each.name}`" for each in contract.columns]
    strings = [f"`{each.name}` AS `{each.name}?`" for each in contract.columns if each.type != "string"]
    return ["file", "months", "misfit", "raw", *values, *strings]


def _value(column: Column) -> str:
    """Text to the column's type; null where it is none. Whole numbers may be written 1.0."""
    name = f"`{column.name}`"
    kind = _SQL_TYPES[column.type]
    if column.type in {"int", "long"}:
        whole = f"CASE WHEN endswith({name}, '.0') THEN try_cast(left({name}, length({name}) - 2) AS {kind}) END"
        return f"coalesce(try_cast({name} AS {kind}), {whole})"
    if column.type == "timestamp":  # Spark takes a lone year for a time
        return f"CASE WHEN substr({name}, 5, 1) = '-' THEN try_cast({name} AS timestamp_ntz) END"
    if column.type == "double":
        return f"try_cast({name} AS double)"
    return f"nullif(trim({name}), '')"


def _broken(contract: DataContract) -> str:
    """What is wrong with a row before its meaning is looked at; null if nothing."""
    checks = "".join(
        f" WHEN {_is_no(each)} THEN {_quoted(f'{each.name} is no {each.type}')}"
        for each in contract.columns
        if each.type != "string"
    )
    noise = f"NOT is_valid_utf8(raw) OR raw RLIKE '{_NOISE}'"
    return f"CASE WHEN {noise} THEN 'not text' WHEN misfit THEN 'wrong number of fields'{checks} END AS broken"


def _is_no(column: Column) -> str:
    name = f"`{column.name}`"
    finite = f"abs({name}) <= 1.7976931348623157E308D"  # false for NaN too, which Spark sorts above every number
    odd = f"{name} IS NOT NULL AND NOT {finite} OR " if column.type == "double" else ""
    return f"{odd}{name} IS NULL AND `{column.name}?` IS NOT NULL AND trim(`{column.name}?`) != ''"


def _reason(contract: DataContract) -> str:
    """The first reason against a row. A rule that cannot be decided, because a value is missing, speaks against it."""
    rules = "".join(f" WHEN coalesce({each.sql}, true) THEN {_quoted(each.reason)}" for each in contract.rules)
    return (
        f"CASE WHEN broken IS NOT NULL THEN broken WHEN `{contract.time}` IS NULL THEN 'no {contract.time}'"
        f" WHEN NOT array_contains(months, own_month) THEN 'of another month than its file'{rules} END AS reason"
    )


def _names(contract: DataContract) -> list[str]:
    return [*(each.name for each in contract.columns), *(each.name for each in contract.derived)]


def _column(contract: DataContract, name: str) -> Column:
    return next(each for each in contract.columns if each.name == name)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _s3a(file: RawFile) -> Any:
    return file.uri.replace("s3://", "s3a://", 1)
