"""Tables in files, read piece by piece in bounded memory: CSV, CSV under gzip, Parquet. Knows no use case and no gateway.

A source hands out chunks of rows, each row as it is in the file, with what is wrong with it.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self, cast

from tiphys.errors import DataError, PermanentError
from tiphys.serving.csv_rows import CsvRows

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "csv.gz", "parquet"]
STREAM = "-"
"""Stands for standard input or output, which are CSV."""
MAX_FOOTER = 16 << 20
MAX_ROW_GROUP = 1 << 30
"""Most bytes that a row group may say to have unpacked."""
MAX_CELL = 1 << 17
"""Most bytes of a text in a Parquet file: as of one in a CSV file."""
_BUFFER = 1 << 20
_PLAIN = (
    "int",
    "uint",
    "float",
    "double",
    "halffloat",
    "decimal",
    "bool",
    "string",
    "large_string",
    "date",
    "time",
    "null",
)


@dataclass(frozen=True)
class Chunk:
    """Some rows in a row."""

    rows: list[Sequence[Any]]
    flaws: Mapping[int, str] = field(default_factory=dict)
    """Number of the row in the chunk -> what is wrong with it."""
    batch: pa.RecordBatch | None = None
    """The same rows with their types, where the file has types."""


def format_of(name: str) -> Format:
    """Return the format, by the file's name.

    Raises:
        PermanentError: the name says none of ours.
    """
    lower = name.lower()
    if name == STREAM or lower.endswith(".csv"):
        return "csv"
    if lower.endswith(".csv.gz"):
        return "csv.gz"
    if lower.endswith(".parquet"):
        return "parquet"
    message = (
        f"{name}: the format is told by the name, which must end in .csv, .csv.gz or .parquet ('-': CSV in a pipe)"
    )
    raise PermanentError(message)


class Source(ABC):
    """A table that is read."""

    columns: list[str]
    where: str

    @abstractmethod
    def chunks(self, size: int) -> Iterator[Chunk]:
        """All rows in order, ``size`` at a time."""

    @abstractmethod
    def share(self) -> float | None:
        """How much of it was read, 0..1; None where nobody knows."""

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @abstractmethod
    def close(self) -> None:
        """Let the file go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(name: str) -> Source:
    """Open a table by its name.

    Raises:
        PermanentError: there is no such file, or none that can be read.
        DataError: it is not what its name says.
    """
    format_ = format_of(name)
    if name == STREAM:
        return _CsvSource(sys.stdin.buffer, "standard input", "csv", 0)
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed with the source
    except OSError as error:
        message = f"{name} can't be read: {error.strerror}"
        raise PermanentError(message) from None
    return source_of(file, name, format_, os.fstat(file.fileno()).st_size)


def source_of(file: IO[bytes] | io.RawIOBase, where: str, format_: Format, size: int) -> Source:
    """Read a table from an open file of ``size`` bytes, 0 where nobody knows; the file is closed with the source.

    Raises:
        DataError: it is not in that format.
    """
    try:
        return _ParquetSource(file, where) if format_ == "parquet" else _CsvSource(file, where, format_, size)
    except BaseException:
        file.close()
        raise


class _CsvSource(Source):
    def __init__(self, file: IO[bytes] | io.RawIOBase, where: str, format_: Format, size: int) -> None:
        self.where = where
        self._file = file
        self._bytes = size
        raw = cast("io.RawIOBase", gzip.GzipFile(fileobj=file) if format_ == "csv.gz" else file)
        text = file if isinstance(file, io.BufferedReader) and format_ == "csv" else io.BufferedReader(raw, _BUFFER)
        self._rows = CsvRows(text, where)
        self.columns = self._rows.columns

    def chunks(self, size: int) -> Iterator[Chunk]:
        rows = iter(self._rows)
        while taken := list(islice(rows, size)):
            yield Chunk([each.cells for each in taken], {n: each.flaw for n, each in enumerate(taken) if each.flaw})

    def share(self) -> float | None:
        return self._file.tell() / self._bytes if self._bytes else None

    def schema(self) -> pa.Schema:
        import pyarrow as pa  # noqa: PLC0415

        return pa.schema([(name, pa.string()) for name in self.columns])

    def close(self) -> None:
        self._file.close()


class _ParquetSource(Source):
    """A Parquet file: what it says of its sizes is looked at before anything is unpacked, texts come as dictionaries.

    So a text that is stored once and meant a million times is held once, and looked at before it is copied.
    """

    def __init__(self, file: IO[bytes] | io.RawIOBase, where: str) -> None:
        import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that CSV files don't pay
        import pyarrow.parquet as pq  # noqa: PLC0415

        self.where = where
        self._file = file
        self._done = 0
        _check_footer(file, where)
        try:
            described = pq.ParquetFile(cast("IO[bytes]", file))
            schema = described.schema_arrow
            self._schema = _plain(schema)
            texts = [each.name for each in self._schema if each.type == pa.string()]
            self._parquet = pq.ParquetFile(cast("IO[bytes]", file), metadata=described.metadata, read_dictionary=texts)
        except (pa.ArrowException, OSError) as error:
            message = f"{where} is no sound Parquet file ({error}); copy or download it again"
            raise DataError(message) from None
        self.columns = schema.names
        _check_sizes(self._parquet, where)
        _check_types(self._schema, where)

    def chunks(self, size: int) -> Iterator[Chunk]:
        import pyarrow as pa  # noqa: PLC0415

        try:
            for batch in self._parquet.iter_batches(batch_size=size):
                self._done += batch.num_rows
                plain = _plain_texts(batch, self._schema, self.where)
                rows = list(zip(*(each.to_pylist() for each in plain.columns), strict=True))
                yield Chunk(cast("list[Sequence[Any]]", rows), batch=plain)
        except (pa.ArrowException, OSError) as error:
            message = f"{self.where} is damaged ({error}); copy or download it again"
            raise DataError(message) from None

    def share(self) -> float | None:
        rows: int = self._parquet.metadata.num_rows
        return self._done / rows if rows else None

    def schema(self) -> pa.Schema:
        return self._schema

    def close(self) -> None:
        self._file.close()


def _check_footer(file: IO[bytes] | io.RawIOBase, where: str) -> None:
    """Look at a Parquet file's end before anybody reads as much as it says."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 8))
    end = file.read(8)
    file.seek(0)
    footer = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or footer > min(length, MAX_FOOTER):
        message = f"{where} is no Parquet file, or is cut off: its end is missing; copy or download it again"
        raise DataError(message)


def _check_sizes(file: Any, where: str) -> None:
    largest = max((file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups)), default=0)
    if largest > MAX_ROW_GROUP:
        message = (
            f"{where} has a row group that unpacks to {largest / 1e9:.1f} GB, {MAX_ROW_GROUP / 1e9:.1f} GB is the most: "
            "write it with smaller row groups"
        )
        raise DataError(message)


def _plain(schema: pa.Schema) -> pa.Schema:
    """The types of the values themselves: of categories those that they stand for."""
    import pyarrow as pa  # noqa: PLC0415

    types = [each.type.value_type if pa.types.is_dictionary(each.type) else each.type for each in schema]
    whole = [pa.string() if pa.types.is_large_string(each) else each for each in types]
    return pa.schema(list(zip(schema.names, whole, strict=True)))


def _check_types(schema: pa.Schema, where: str) -> None:
    odd = [f"{each.name} ({each.type})" for each in schema if not str(each.type).startswith(_PLAIN)]
    if odd:
        message = f"{where}: {', '.join(odd)} holds no plain value a row: drop the column or make it a number or a text"
        raise DataError(message)


def _plain_texts(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """Texts as they are, of dictionaries of them, whose longest text is known to be short."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    columns = []
    for name, each in zip(batch.schema.names, batch.columns, strict=True):
        if isinstance(each, pa.DictionaryArray):
            longest = _longest(pc, each.dictionary)
            if longest > MAX_CELL:
                message = f"{where}: column {name!r} holds a text of {longest} bytes, {MAX_CELL} is the most"
                raise DataError(message)
            columns.append(each.dictionary_decode().cast(schema.field(name).type))
        else:
            columns.append(each)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _longest(compute: Any, values: Any) -> int:
    """Bytes of the longest text; 0 for what is no text."""
    import pyarrow as pa  # noqa: PLC0415

    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return 0
    return compute.max(compute.binary_length(values)).as_py() or 0
