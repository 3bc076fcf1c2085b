"""The last lines of a log: found from its end, the same as those of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiphys.engine.server import log_files
from tiphys.engine.server.log_files import tail

pytestmark = pytest.mark.unit


@given(
    st.lists(st.sampled_from([b"\n", b"a\n", b"abc\n", b"abcdefghijkl\n"])), st.sampled_from([b"", b"x", b"xyz"]), st.integers(0, 9)
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tail_is_the_end_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], last: bytes, count: int
) -> None:
    """Whatever the pieces that are read, and whether the last line has an end."""
    monkeypatch.setattr(log_files, "_PIECE", 5)
    path = tmp_path / "log"
    path.write_bytes(b"".join(lines) + last)
    whole = [*lines, *([last] if last else [])]

    assert path.read_bytes()[tail(path, count) :] == b"".join(whole[max(0, len(whole) - count) :])


def test_a_tail_of_a_large_log_reads_its_end_only(tmp_path: Path) -> None:
    """A log of 64 GiB, most of it a hole in its file: no part of that is read."""
    path = tmp_path / "log"
    with path.open("wb") as log:
        log.seek(1 << 36)
        log.write(b"\nlast but one\nlast\n")

    assert tail(path, 2) == (1 << 36) + 1
