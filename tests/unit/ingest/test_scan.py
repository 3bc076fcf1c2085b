"""What one look through a raw file finds out, and which files it refuses."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.scan import MAX_LINE, scan
from tiphys.errors import DataError
from tiphys.usecase import Column, DataContract

pytestmark = pytest.mark.unit

CONTRACT = DataContract(
    table="rides",
    columns=(
        Column("start", "timestamp", "when", ("tpep_start",)),
        Column("miles", "double", "how far"),
        Column("note", "string", "words", required=False),
    ),
    time="start",
    derived=(),
    rules=(),
    bounds={},
    min_rows_per_month=1,
    max_reject_share=1.0,
)
GOOD = b"start,miles\n2019-06-01 00:00:00,1.5\n2019-06-02 00:00:00,2\n"


def packed(content: bytes) -> bytes:
    """The same bytes each time: the name of a test may not hold the time of day."""
    return gzip.compress(content, mtime=0)


def opened(folder: Path, content: bytes) -> io.FileIO:
    """A file with that content."""
    path = folder / "file"
    path.write_bytes(content)
    return path.open("rb", buffering=0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", GOOD),
        ("a.CSV.GZ", packed(GOOD)),
        ("a.csv.gz", packed(GOOD[:20]) + packed(GOOD[20:])),
        ("bom.csv", b"\xef\xbb\xbf" + GOOD),
        ("crlf.csv", GOOD.replace(b"\n", b"\r\n")),
        ("no_last_line_end.csv", GOOD.rstrip()),
        ("blank_lines.csv", GOOD.replace(b"\n", b"\n\n \t\r\n")),
        ("headers_inside.csv", GOOD + b"start,miles\n"),
    ],
)
def test_rows_and_months_are_counted_whatever_the_wrapping(tmp_path: Path, name: str, content: bytes) -> None:
    """Blank lines and repeated headers are no rows."""
    found = scan(name, opened(tmp_path, content), CONTRACT)
    assert (found.rows, found.months, found.header) == (2, ("2019-06",), "start,miles")


def test_columns_are_known_by_their_aliases_in_any_case_and_order(tmp_path: Path) -> None:
    """Unknown columns are kept apart."""
    found = scan("a.csv", opened(tmp_path, b'MILES,"x",TPEP_Start\n1,2,2019-06-01 00:00:00\n'), CONTRACT)
    assert list(found.fields.items()) == [("MILES", "miles"), ("x", ""), ("TPEP_Start", "start")]


def test_stray_rows_make_no_month_and_the_main_month_comes_first(tmp_path: Path) -> None:
    """One row in two hundred is a clock gone wrong; a tenth of the rows is a month of its own."""
    lines = b"2019-06-01 00:00:00,1\n" * 180 + b"2019-05-31 00:00:00,1\n" * 19 + b"2088-01-01 00:00:00,1\n"
    assert scan("a.csv", opened(tmp_path, b"start,miles\n" + lines), CONTRACT).months == ("2019-06", "2019-05")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("x.csv", b"", "is no CSV file"),
        ("x.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no CSV file"),
        ("x.csv", b"start,miles\n", "no row"),
        ("x.csv", b"start,miles\nyesterday,1\n", "no row has a time like"),
        (
            "x.csv",
            b"begin,miles\n2019-06-01 00:00:00,1\n",
            r"lacks 1 required column: start or tpep_start .*begin, miles",
        ),
        ("x.csv", b"start,tpep_start,miles\n", "two columns mean 'start'"),
        ("x.csv.gz", packed(GOOD)[:-9], "is cut off"),
        ("x.csv.gz", GOOD, "no sound gzip"),
        ("x.csv.gz", packed(GOOD)[:12] + b"\xff" * 40, "no sound gzip|cut off"),
        ("x.csv", GOOD + b"x" * (MAX_LINE + 2), "line 4 is longer"),
        ("x.parquet", b"PAR1" + b"x" * 20, "no Parquet file"),
        ("x.parquet", b"PAR1" + (17 << 20).to_bytes(4, "little") + b"PAR1", "no Parquet file"),
        ("x.parquet", b"PAR1" + b"x" * 20 + (9).to_bytes(4, "little") + b"PAR1", "no sound Parquet"),
    ],
)
def test_a_useless_file_is_refused_by_name_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    """The message names the file and what to do about it."""
    with pytest.raises(DataError, match=complaint) as caught:
        scan(name, opened(tmp_path, content), CONTRACT)
    assert str(caught.value).startswith(name)


def test_a_line_of_100_mb_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    """A gzip of zeros unpacks to it; the reader stops soon after the limit."""
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"start,miles\n")
        for _ in range(100):
            file.write(b"0" * (1 << 20))
    with path.open("rb", buffering=0) as file, pytest.raises(DataError, match=r"line 2 is longer"):
        scan(path.name, file, CONTRACT)


def test_a_parquet_file_is_scanned_by_its_time_column(tmp_path: Path) -> None:
    """Rows and months come from the file itself."""
    moments = pa.array([1_559_350_000_000_000, 1_559_450_000_000_000], pa.timestamp("us"))
    pq.write_table(pa.table({"tpep_start": moments, "miles": [1, 2]}), tmp_path / "a.parquet")
    found = scan("a.parquet", (tmp_path / "a.parquet").open("rb", buffering=0), CONTRACT)
    assert (found.rows, found.months, found.fields["tpep_start"]) == (2, ("2019-06",), "start")
