"""Tables in files: whatever is in them, rows come out one by one in bounded memory, and an output is whole or not there."""

from __future__ import annotations

import contextlib
import gzip
import io
import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import DataError, PermanentError
from tiphys.serving import batch_source
from tiphys.serving.batch_sink import check_target, open_sink
from tiphys.serving.batch_source import Chunk, Source, open_source
from tiphys.serving.csv_rows import MAX_LINE, CsvRows, Row

pytestmark = pytest.mark.unit

HEADER = b"a,b\n"


def rows(content: bytes) -> list[Row]:
    """All rows."""
    return list(CsvRows(io.BytesIO(content), "table"))


def cells(content: bytes) -> list[list[str]]:
    """The cells of the good rows."""
    return [each.cells for each in rows(content) if not each.flaw]


def test_quotes_hold_commas_newlines_and_quotes() -> None:
    """CSV as RFC 4180 has it; a byte-order mark, CR LF and blank lines are no part of a row."""
    assert cells(b'\xef\xbb\xbfa,b\r\n"1,\n""x""",2\r\n\r\n3,4') == [['1,\n"x"', "2"], ["3", "4"]]


def test_a_quote_that_nobody_closes_costs_its_own_line_only() -> None:
    """What it swallowed is read again, whether the file ends, a cell grows too long, or another quote follows."""
    for after in (b"3,4\n5,6\n", b'3,4\n5,6\n7,"8"\n', b"3,4\n5,6\n" + b"9,9\n" * 40_000):
        found = rows(HEADER + b'"1,2\n' + after)
        assert found[0] == Row(['"1,2', ""], "the row has a quote that is not closed")
        assert [each.cells for each in found[1:3]] == [["3", "4"], ["5", "6"]]
        assert not any(each.flaw for each in found[1:])


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        (b"1\n", "the row has 1 fields and the header 2"),
        (b"1,2,3\n", "the row has 3 fields and the header 2"),
        (b"\xff,2\n", "the row is not UTF-8"),
        (b"1\x00,2\n", "the row holds a NUL byte"),
        (b"1," + b"x" * MAX_LINE + b"\n", f"the line is longer than {MAX_LINE} bytes: its cells are left out"),
        (b"1," + b"x" * 200_000 + b"\n", "the row is no CSV: field larger than field limit (131072)"),
        (b'"1"x,2\n', "the row is no CSV: ',' expected after '\"'"),
    ],
)
def test_a_bad_line_is_told_and_its_neighbours_are_read(line: bytes, flaw: str) -> None:
    """Every kind of damage stays in its line."""
    before, bad, after = rows(HEADER + b"1,2\n" + line + b"3,4\n")
    assert (before, after) == (Row(["1", "2"]), Row(["3", "4"]))
    assert bad.flaw == flaw
    assert len(bad.cells) == 2


def test_a_line_of_100_mb_is_not_held() -> None:
    """It is skipped as it comes: the process grows by a few MB."""

    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            super().__init__()
            self.parts: Iterator[bytes] = iter([HEADER, *[b"x" * 1_000_000] * 100, b"\n3,4\n"])
            self.rest = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            self.rest = self.rest or next(self.parts, b"")
            taken, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
            buffer[: len(taken)] = taken
            return len(taken)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bad, good = CsvRows(io.BufferedReader(Endless()), "table")
    assert "longer than" in bad.flaw
    assert good == Row(["3", "4"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n1,2\n", "is empty or its first line is"),
        (b"\x00\x01\n", "no CSV file"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
        (b'a,"b\n', "does not name columns"),
    ],
)
def test_a_file_without_column_names_is_refused(content: bytes, complaint: str) -> None:
    """Nothing can be asked of it."""
    with pytest.raises(DataError, match=complaint):
        CsvRows(io.BytesIO(content), "table")


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_whatever_the_bytes_no_line_is_lost(lines: list[bytes]) -> None:
    """Rows are never more than lines, every row is as wide as the header, and good rows around them stay good."""
    body = b"".join(each.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n" for each in lines)
    found = rows(HEADER + b"first,1\n" + body + b"\nlast,1\n")
    assert found[0] == Row(["first", "1"])
    assert all(len(each.cells) == 2 for each in found)
    assert len(found) <= len(lines) + 2


def everything(source: Source, size: int = 2) -> list[Chunk]:
    """All chunks."""
    return list(source.chunks(size))


def test_gzip_that_is_cut_off_or_none_says_so(tmp_path: Path) -> None:
    """The message names the file and the damage."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(HEADER + b"1,2\n" * 100_000)[:-20])
    with pytest.raises(DataError, match="cut off"):
        everything(open_source(str(path)))
    path.write_bytes(b"a,b\n")
    with pytest.raises(DataError, match="no sound gzip"):
        open_source(str(path))


def test_parquet_keeps_its_types_and_tells_what_it_cannot_hold(tmp_path: Path) -> None:
    """Texts, numbers, nulls, times and categories go through; lists do not."""
    path = tmp_path / "t.parquet"
    text = pa.array(["x", None, "y"])
    table = pa.table({"n": [1, 2, None], "t": text, "c": text.dictionary_encode(), "f": [1.5, float("nan"), None]})
    pq.write_table(table, path)
    with open_source(str(path)) as source:
        chunks = everything(source)
        assert [str(each.type) for each in source.schema()] == ["int64", "string", "string", "double"]
        assert [list(row)[:3] for each in chunks for row in each.rows] == [
            [1, "x", "x"],
            [2, None, None],
            [None, "y", "y"],
        ]
        assert source.share() == 1.0
    pq.write_table(pa.table({"l": [[1], [2]]}), path)
    with pytest.raises(DataError, match=r"l \(list.*no plain value"):
        open_source(str(path))


def test_a_parquet_bomb_is_refused_before_it_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of 3 MB that 20,000 rows mean, a row group that says it unpacks to too much, a footer of 2 GB."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"t": pa.DictionaryArray.from_arrays(pa.array([0] * 20_000), ["x" * 3_000_000])}), path)
    with open_source(str(path)) as source, pytest.raises(DataError, match="3000000 bytes"):
        everything(source)
    monkeypatch.setattr(batch_source, "MAX_ROW_GROUP", 1_000_000)
    pq.write_table(pa.table({"t": ["x" * 60_000] * 20}), path, use_dictionary=False, compression="zstd")
    with pytest.raises(DataError, match="row group that unpacks to"):
        open_source(str(path))
    path.write_bytes(b"PAR1" + (2**31 - 1).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataError, match="no Parquet file, or is cut off"):
        open_source(str(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match="no Parquet file, or is cut off"):
        open_source(str(path))


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
@pytest.mark.parametrize("made", ["in.csv", "in.parquet"])
def test_every_format_goes_into_every_other(tmp_path: Path, made: str, name: str) -> None:
    """What is read back is what was written, the added columns with their types."""
    source_path, target = tmp_path / made, tmp_path / name
    if made == "in.csv":
        source_path.write_bytes(HEADER + b'1,"x\ny"\n2,\n')
    else:
        pq.write_table(pa.table({"a": ["1", "2"], "b": ["x\ny", None]}), source_path)
    with (
        open_source(str(source_path)) as source,
        open_sink(str(target), source, {"v": "number", "error": "string"}) as sink,
    ):
        for chunk in source.chunks(1):
            sink.write(chunk, [[1.5, None]])
        assert not target.exists()
        sink.finish()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([made, name])
    with open_source(str(target)) as source:
        found = [list(row) for each in everything(source) for row in each.rows]
    nothing = None if made == name.replace("out", "in") == "in.parquet" else ""
    value = 1.5 if name == "out.parquet" else "1.5"
    missing = None if name == "out.parquet" else ""
    assert found == [["1", "x\ny", value, missing], ["2", nothing, value, missing]]


def test_an_output_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    """Neither the file nor a part of it; what a killed writer left is overwritten."""
    (tmp_path / "in.csv").write_bytes(HEADER + b"1,2\n")
    (tmp_path / "out.csv.part").write_bytes(b"left by a writer that was killed")
    target = str(tmp_path / "out.csv")
    with open_source(str(tmp_path / "in.csv")) as source:
        with contextlib.suppress(KeyboardInterrupt), open_sink(target, source, {"v": "number"}) as sink:
            sink.write(next(iter(source.chunks(1))), [[1]])
            raise KeyboardInterrupt
        assert [each.name for each in tmp_path.iterdir()] == ["in.csv"]
        with open_sink(target, source, {"v": "number"}), pytest.raises(PermanentError, match="another process"):
            open_sink(target, source, {"v": "number"})


def test_a_place_that_must_not_be_written_is_refused(tmp_path: Path) -> None:
    """A file that is there (unless forced), the input itself (even then), a folder, a missing folder, an unknown format."""
    here, other = tmp_path / "t.csv", tmp_path / "o.csv"
    here.write_bytes(HEADER)
    other.write_bytes(HEADER)
    with pytest.raises(PermanentError, match="overwrite it with --force"):
        check_target(str(other), str(here), force=False)
    check_target(str(other), str(here), force=True)
    with pytest.raises(PermanentError, match="the input itself"):
        check_target(f"{tmp_path}/./t.csv", str(here), force=True)
    with pytest.raises(PermanentError, match="no folder"):
        check_target(f"{tmp_path}/none/t.csv", str(here), force=True)
    with pytest.raises(PermanentError, match=r"must end in \.csv"):
        check_target(f"{tmp_path}/t.xls", str(here), force=True)
    with pytest.raises(PermanentError, match="can't be read: No such file"):
        open_source(f"{tmp_path}/none.csv")


def test_a_column_that_the_answers_have_too_is_refused(tmp_path: Path) -> None:
    """Nothing of a user's is overwritten."""
    (tmp_path / "in.csv").write_bytes(HEADER)
    with (
        open_source(str(tmp_path / "in.csv")) as source,
        pytest.raises(DataError, match="has column b, which the answers"),
    ):
        open_sink(str(tmp_path / "out.csv"), source, {"b": "string"})
