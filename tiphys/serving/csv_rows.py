"""Rows of a CSV file that may be anything, in bounded memory: a bad line costs its own row and no other.

Python's own reader takes lines apart; this looks after it. A quote that nobody closes is refused with its first line, and
what it had swallowed is read again. Knows no use case.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tiphys.errors import DataError

MAX_LINE = 1 << 20
"""Bytes. A longer line is no row of anything."""
_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Row:
    """One row: as many cells as there are columns, and what is wrong with it, if anything."""

    cells: list[str]
    flaw: str = ""


class _LongLineError(Exception):
    pass


class _Lines:
    """The lines of a file as text, with a memory of those that the row at hand took."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream = stream
        self._where = where
        self._again: deque[tuple[str, str] | None] = deque()
        self.taken: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if line is None:
            if self.taken:  # a quote is open: it is the one to blame, the long line comes after it
                self._again.appendleft(None)
            raise _LongLineError
        self.taken.append(line)
        return line[0]

    @property
    def flaw(self) -> str:
        """What is wrong with the lines of the row."""
        return next((flaw for _, flaw in self.taken if flaw), "")

    def start(self) -> None:
        """Begin a row."""
        self.taken = []

    def give_back(self) -> None:
        """Read all lines of the row but its first once more."""
        self._again.extendleft(reversed(self.taken[1:]))

    def _read(self) -> tuple[str, str] | None:
        """Read a line, and what is wrong with it; None for one that is too long, which is skipped to its end."""
        raw = _translated(self._stream, self._where, MAX_LINE + 1)
        if not raw:
            raise StopIteration
        if len(raw) > MAX_LINE and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                raw = _translated(self._stream, self._where, MAX_LINE)
            return None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return raw.decode(errors="replace").replace("\0", "\ufffd"), "the row is not UTF-8"
        if "\0" in text:
            return text.replace("\0", "\ufffd"), "the row holds a NUL byte"
        return text, ""


class CsvRows:
    """The rows of a CSV stream, whose first line names the columns."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        """Read the column names.

        Raises:
            DataError: there are none, or the stream is no text.
        """
        self._where = where
        first = _translated(stream, where, MAX_LINE + 1)
        self.columns = self._header(first)
        self._lines = _Lines(stream, where)

    def __iter__(self) -> Iterator[Row]:
        """Rows in order. Raises DataError where the stream is cut off or damaged."""
        lines, width = self._lines, len(self.columns)
        reader = csv.reader(lines, strict=True)
        while True:
            lines.start()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except _LongLineError:
                if lines.taken:
                    yield self._open_quote()
                else:
                    yield Row([""] * width, f"the line is longer than {MAX_LINE} bytes: its cells are left out")
                continue
            except csv.Error as error:
                yield self._open_quote() if len(lines.taken) > 1 else Row(self._plain(), f"the row is no CSV: {error}")
                continue
            if len(cells) == width:
                yield Row(cells, lines.flaw)
            elif len(lines.taken) > 1:
                yield self._open_quote()
            elif cells:  # none: a blank line
                padded = (cells + [""] * width)[:width]
                yield Row(padded, lines.flaw or f"the row has {len(cells)} fields and the header {width}")

    def _open_quote(self) -> Row:
        self._lines.give_back()
        return Row(self._plain(), "the row has a quote that is not closed")

    def _plain(self) -> list[str]:
        """The first line of a row that is no CSV, whole, in the first cell."""
        return [self._lines.taken[0][0].rstrip("\r\n"), *[""] * (len(self.columns) - 1)]

    def _header(self, first: bytes) -> list[str]:
        where = self._where
        if first.startswith(_OTHER_BOMS):
            message = f"{where} is UTF-16: save it as UTF-8"
            raise DataError(message)
        try:
            line = first.removeprefix(_BOM).rstrip(b"\r\n").decode()
        except UnicodeDecodeError:
            line = "\0"
        if not line.strip():
            message = f"{where} is empty or its first line is: it must name the columns"
            raise DataError(message)
        if not line.replace("\t", " ").isprintable() or len(first) > MAX_LINE:
            message = f"{where} is no CSV file: its first line is not text; is it something else under a wrong name?"
            raise DataError(message)
        try:
            return [each.strip() for each in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            message = f"{where} is no CSV file: its first line does not name columns ({error})"
            raise DataError(message) from None


def _translated(stream: BinaryIO, where: str, limit: int) -> bytes:
    try:
        return stream.readline(limit)
    except EOFError:
        message = f"{where} is cut off: its gzip data ends before its end marker; copy or download it again"
        raise DataError(message) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        message = f"{where} is no sound gzip file ({error}); copy or download it again"
        raise DataError(message) from None
