"""A table of answers in a file, written piece by piece: it is there whole at the end, or not at all.

It is written beside its place, as ``NAME.part``, and moved there when all is in it. Knows no use case and no gateway.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import gzip
import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self

from tiphys.errors import DataError, PermanentError
from tiphys.serving.batch_source import STREAM, Chunk, Source, format_of

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 50_000
"""Rows that a Parquet file holds back before it writes them."""


def check_target(name: str, source: str, *, force: bool) -> None:
    """Refuse a place where nothing can or may be written, before any work is done.

    Raises:
        PermanentError: it is the source itself, is there already, or its folder is not.
    """
    format_of(name)
    if name == STREAM:
        return
    target = Path(name)
    if source != STREAM and target.exists() and target.samefile(source):
        message = f"the output {name} is the input itself: name another with --output"
        raise PermanentError(message)
    if target.is_dir() or (target.exists() and not force):
        message = f"{name} is there already: name another with --output, or overwrite it with --force"
        raise PermanentError(message)
    if not target.parent.is_dir():
        message = f"there is no folder {target.parent} to write {target.name} into: make it first"
        raise PermanentError(message)


class Sink(ABC):
    """A table that is written."""

    @abstractmethod
    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        """Append rows, each with the cells that were added to it."""

    @abstractmethod
    def finish(self) -> None:
        """Put the file in its place."""

    @abstractmethod
    def abandon(self) -> None:
        """Leave nothing; after :meth:`finish` it does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()


def open_sink(name: str, source: Source, added: Mapping[str, str]) -> Sink:
    """Open the output with the source's columns and those that are added: name -> JSON type.

    Raises:
        DataError: a column of the source has the name of one that is added.
        PermanentError: somebody else writes there now, or nobody may.
    """
    clash = [each for each in added if each in source.columns]
    if clash:
        message = f"{source.where} has column {', '.join(clash)}, which the answers have, too: rename or drop it"
        raise DataError(message)
    columns, format_ = [*source.columns, *added], format_of(name)
    if name == STREAM:
        return _CsvSink(None, sys.stdout.buffer, columns, zipped=False)
    part = _Part(Path(name))
    if format_ == "parquet":
        return _ParquetSink(part, source.schema(), added)
    return _CsvSink(part, part.file, columns, zipped=format_ == "csv.gz")


class _Part:
    """The file beside its place, held by one writer at a time."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(target.name + ".part")
        try:
            self.file: BinaryIO = self._path.open("ab")
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = self._path.exists() and os.path.samestat(os.fstat(self.file.fileno()), self._path.stat())
        except BlockingIOError:
            mine = False
        except OSError as error:
            message = f"{self._path} can't be written: {error.strerror}"
            raise PermanentError(message) from None
        if not mine:  # locked, or put in its place by its writer just now
            message = f"{self._path} is being written by another process: wait for it, or name another --output"
            raise PermanentError(message)
        self.file.truncate(0)  # what a killed writer left

    def finish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self._path.replace(self._target)
        self.file.close()

    def abandon(self) -> None:
        if not self.file.closed:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a full disk is told already
                self.file.close()


class _CsvSink(Sink):
    def __init__(self, part: _Part | None, file: IO[bytes], columns: Sequence[str], *, zipped: bool) -> None:
        self._part = part
        self._zip = gzip.GzipFile(fileobj=file, filename="", mode="wb", compresslevel=4, mtime=0) if zipped else None
        self._file = self._zip or file
        self._append([columns])

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        self._append([*row, *more] for row, more in zip(chunk.rows, added, strict=True))

    def _append(self, rows: Any) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.write(text.getvalue().encode())

    def finish(self) -> None:
        if self._zip is not None:
            self._zip.close()
        if self._part is None:
            self._file.flush()
        else:
            self._part.finish()

    def abandon(self) -> None:
        if self._part is not None:
            self._part.abandon()


class _ParquetSink(Sink):
    def __init__(self, part: _Part, own: pa.Schema, added: Mapping[str, str]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that CSV files don't pay
        import pyarrow.parquet as pq  # noqa: PLC0415

        types = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
        more = [pa.field(name, types.get(kind, pa.string())) for name, kind in added.items()]
        self._part = part
        self._width = len(own)
        self._schema = pa.schema([*own, *more])
        self._writer = pq.ParquetWriter(part.file, self._schema)
        self._waiting: list[pa.RecordBatch] = []

    def write(self, chunk: Chunk, added: Sequence[Sequence[Any]]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        own = (
            list(chunk.batch.columns)
            if chunk.batch is not None
            else [pa.array(each) for each in zip(*chunk.rows, strict=True)]
        )
        types = [each.type for each in self._schema][self._width :]
        more = [pa.array(cells, kind) for cells, kind in zip(zip(*added, strict=True), types, strict=True)]
        self._waiting.append(pa.RecordBatch.from_arrays([*own, *more], schema=self._schema))
        if sum(each.num_rows for each in self._waiting) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting = []

    def finish(self) -> None:
        self._flush()
        self._writer.close()
        self._part.finish()

    def abandon(self) -> None:
        self._part.abandon()
