"""Files of rows that really happened, as the use case's data.py knows them: one window of time of all of them, by time.

CSV, gzip CSV and Parquet, in a folder or in S3, in any dialect of the contract. What is no row of that window is left out
while reading, so a year of files takes no more memory than the hours that are replayed.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from csv import reader as split_line
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from tiphys.errors import DataError
from tiphys.lake.columns import match

if TYPE_CHECKING:
    from tiphys.usecase import DataContract

_ENDINGS = (".csv", ".csv.gz", ".parquet")
_TYPES: dict[str, pa.DataType] = {
    "timestamp": pa.timestamp("us"),
    "int": pa.float64(),  # some files have 1.0 for 1
    "long": pa.float64(),
    "double": pa.float64(),
    "string": pa.string(),
}
_BATCH = 1 << 20


def read(source: str, contract: DataContract, start: datetime, end: datetime) -> pa.Table:
    """Rows from ``start`` up to ``end``, in time order, with the contract's names; whole numbers come as double.

    ``source`` is a folder, or ``s3://BUCKET/PREFIX/``.

    Raises:
        DataError: there is no such file, one is not what its name says or lacks columns, or no row is of that window.
        RetryableError: S3 is away.
    """
    found = []
    for name, file in _files(source):
        with file:
            for batch in _batches(name, file, contract):
                time = batch[contract.time]
                kept = batch.filter(pc.and_(pc.greater_equal(time, pa.scalar(start)), pc.less(time, pa.scalar(end))))
                if kept.num_rows:
                    found.append(kept)
    if not found:
        message = f"no row of {source} has a {contract.time} from {start} up to {end}: give start and hours that the files cover"
        raise DataError(message)
    return pa.concat_tables(found, promote_options="default").sort_by(contract.time)


def _files(source: str) -> Iterator[tuple[str, Any]]:
    """Name and open file of each, by name."""
    some = False
    if source.startswith("s3://"):
        from tiphys.lake.s3 import S3  # noqa: PLC0415 - nobody else needs its settings

        store = S3()
        for stored in store.list(source):
            if stored.name.lower().endswith(_ENDINGS):
                some = True
                yield stored.name, io.BufferedReader(store.open(stored.uri), _BATCH)
    elif Path(source).is_dir():
        for path in sorted(Path(source).iterdir()):
            if path.name.lower().endswith(_ENDINGS):
                some = True
                yield path.name, path.open("rb")
    if not some:
        message = f"{source!r} has no file that ends in {', '.join(_ENDINGS)}: give a folder, or s3://BUCKET/PREFIX/"
        raise DataError(message)


def _batches(name: str, file: Any, contract: DataContract) -> Iterator[pa.Table]:
    try:
        if name.lower().endswith(".parquet"):
            yield from _parquet(name, file, contract)
        else:
            yield from _csv(name, file, contract)
    except (pa.ArrowInvalid, EOFError, gzip.BadGzipFile) as error:
        message = f"{name} is not what its name says, or damaged: {error}"
        raise DataError(message) from None


def _parquet(name: str, file: Any, contract: DataContract) -> Iterator[pa.Table]:
    opened = parquet.ParquetFile(file)
    known = {own: ours for own, ours in match(name, opened.schema_arrow.names, contract).items() if ours}
    for batch in opened.iter_batches(columns=list(known)):
        yield _cast(pa.Table.from_batches([batch]).rename_columns([known[own] for own in batch.schema.names]), contract)


def _csv(name: str, file: Any, contract: DataContract) -> Iterator[pa.Table]:
    stream = io.BufferedReader(gzip.GzipFile(fileobj=file), _BATCH) if name.lower().endswith(".gz") else file
    header = stream.readline(_BATCH).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    fields = match(name, next(split_line([header]), []), contract)
    types = {each.name: _TYPES[each.type] for each in contract.columns}
    reader = csv.open_csv(
        stream,
        read_options=csv.ReadOptions(column_names=list(fields)),
        convert_options=csv.ConvertOptions(
            column_types={own: types[ours] for own, ours in fields.items() if ours},
            include_columns=[own for own, ours in fields.items() if ours],
            strings_can_be_null=True,
        ),
    )
    for batch in reader:
        yield pa.Table.from_batches([batch]).rename_columns([fields[own] for own in batch.schema.names])


def _cast(table: pa.Table, contract: DataContract) -> pa.Table:
    types = {each.name: _TYPES[each.type] for each in contract.columns}
    return table.cast(pa.schema([(name, types[name]) for name in table.column_names]))
