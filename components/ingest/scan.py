"""Look through one file once, in bounded memory: its digest, its columns, its rows, its months, and what is wrong."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from tiphys.errors import DataError
from tiphys.lake.columns import match
from tiphys.lake.raw import Format, plausible
from tiphys.lake.s3 import digest_of
from tiphys.usecase import DataContract

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

MAX_LINE = 1 << 20
"""Bytes. A longer line is no row of anything: the file is refused before it fills the memory."""
MAX_FOOTER = 16 << 20
MAX_ROW_GROUP = 2 << 30

_BUFFER = 1 << 20
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Scan:
    """What one look through a file tells."""

    sha256: str
    header: str
    fields: dict[str, str]
    rows: int
    months: tuple[str, ...]


def format_of(name: str) -> Format:
    """The format, by the file's name."""
    lower = name.lower()
    return "parquet" if lower.endswith(".parquet") else "csv.gz" if lower.endswith(".gz") else "csv"


def scan(name: str, file: io.RawIOBase, contract: DataContract) -> Scan:
    """Look through a file.

    Raises:
        DataError: it is not what its name says, is cut off, has a line without end, or lacks required columns.
    """
    found = _scan_parquet(name, file, contract) if format_of(name) == "parquet" else _scan_csv(name, file, contract)
    if found.rows == 0:
        message = f"{name} has column names and no row: leave it out, or give it rows"
        raise DataError(message)
    if not found.months:
        message = (
            f"{name}: no row has a time like 2019-06-01 12:30:00 in column {contract.time!r}: is it the right file?"
        )
        raise DataError(message)
    return found


class _Digesting(io.RawIOBase):
    """Passes a file's bytes on and digests them."""

    def __init__(self, file: io.RawIOBase) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        count = self._file.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        return count


def _scan_csv(name: str, file: io.RawIOBase, contract: DataContract) -> Scan:
    digesting = _Digesting(file)
    raw = io.BufferedReader(digesting, _BUFFER)
    zipped = format_of(name) == "csv.gz"
    text = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)), _BUFFER) if zipped else raw
    try:
        first, fields = _header(name, text, contract)
        time = list(fields.values()).index(contract.time)
        rows, counts = _count(name, text, first, time)
        while raw.read(_BUFFER):
            pass
    except EOFError:
        message = f"{name} is cut off: its gzip data ends before its end marker; copy or download it again"
        raise DataError(message) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        message = f"{name} is no sound gzip file ({error}); copy or download it again"
        raise DataError(message) from None
    header = first.removeprefix(_BOM).rstrip(b"\r\n").decode()
    return Scan(digesting.digest.hexdigest(), header, fields, rows, plausible(counts))


def _header(name: str, text: BinaryIO, contract: DataContract) -> tuple[bytes, dict[str, str]]:
    first = _line(name, text, 1)
    try:
        line = first.removeprefix(_BOM).rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        line = "\0"
    if not line.isprintable():
        message = f"{name} is no CSV file: its first line is not text; is it something else under a wrong name?"
        raise DataError(message)
    if not line:
        message = f"{name} is no CSV file: it is empty or its first line is; the first line must name the columns"
        raise DataError(message)
    return first, match(name, next(csv.reader([line])), contract)


def _count(name: str, text: BinaryIO, first: bytes, time: int) -> tuple[int, Counter[str]]:
    """Count rows, and rows by month; a line that repeats the header is none."""
    header = first.removeprefix(_BOM).strip(b"\r\n")
    counts: Counter[bytes] = Counter()
    rows = 0
    for line in _lines(name, text):
        if not line.strip(_BLANK) or line.strip(b"\r\n") == header:
            continue
        rows += 1
        cells = line.split(b",", time + 1)
        if len(cells) > time:
            counts[cells[time].strip(b' "')[:7]] += 1
    return rows, Counter({key.decode(): count for key, count in counts.items() if _is_month(key)})


def _lines(name: str, text: BinaryIO) -> Iterator[bytes]:
    number = 2
    while line := _line(name, text, number):
        yield line
        number += 1


def _line(name: str, text: BinaryIO, number: int) -> bytes:
    line = text.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        message = f"{name}, line {number} is longer than {MAX_LINE:,} bytes: that is no row; is the file damaged?"
        raise DataError(message)
    return line


def _is_month(text: bytes) -> bool:
    year, dash, month = text.partition(b"-")
    return dash == b"-" and len(year) == 4 and year.isdigit() and month.isdigit() and 1 <= int(month) <= 12  # noqa: PLR2004


def _scan_parquet(name: str, file: io.RawIOBase, contract: DataContract) -> Scan:
    import pyarrow as pa  # noqa: PLC0415 - only who has such files pays for it
    import pyarrow.parquet as pq  # noqa: PLC0415

    digest = digest_of(file)
    _check_footer(name, file)
    try:
        stored = pq.ParquetFile(pa.PythonFile(io.BufferedReader(file, _BUFFER), mode="r"))
        _check_row_groups(name, stored.metadata)
        fields = match(name, stored.schema_arrow.names, contract)
        time = next(own for own, known in fields.items() if known == contract.time)
        counts: Counter[str] = Counter()
        for batch in stored.iter_batches(columns=[time]):
            counts.update(_months(batch.column(0)))
    except (pa.ArrowException, OSError) as error:
        message = f"{name} is no sound Parquet file ({str(error).splitlines()[0]}); copy or download it again"
        raise DataError(message) from None
    counts = Counter({month: count for month, count in counts.items() if _is_month(month.encode())})
    return Scan(digest, "", fields, stored.metadata.num_rows, plausible(counts))


def _months(column: Any) -> dict[str, int]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    counted = pc.value_counts(pc.utf8_slice_codeunits(column.cast(pa.string()), 0, 7)).to_pylist()
    return {each["values"]: each["counts"] for each in counted if each["values"] is not None}


def _check_footer(name: str, file: io.RawIOBase) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 8))
    tail = file.read(8) or b""
    file.seek(0)
    footer = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or footer > size:
        message = f"{name} is no Parquet file, or is cut off: it does not end as one; copy or download it again"
        raise DataError(message)
    if footer > MAX_FOOTER:
        message = f"{name}: its Parquet footer has {footer:,} bytes, more than {MAX_FOOTER:,}: it is refused unread"
        raise DataError(message)


def _check_row_groups(name: str, metadata: Any) -> None:
    for number in range(metadata.num_row_groups):
        size = metadata.row_group(number).total_byte_size
        if size > MAX_ROW_GROUP:
            message = f"{name}: row group {number} has {size:,} bytes unpacked, more than {MAX_ROW_GROUP:,}: split it"
            raise DataError(message)
