"""The log that a replay shows of a step that has left no capsule."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tiphys.engine import Engine
from tiphys.engine.replay.find import _log

pytestmark = pytest.mark.unit


def test_the_end_of_a_large_log_is_shown(tmp_path: Path) -> None:
    """Of a log of 64 GiB, most of it a hole in its file, only the last 64 KiB are read."""
    engine = Engine(tmp_path)
    path = engine.log_path("run", "step")
    path.parent.mkdir(parents=True)
    with path.open("wb") as log:
        log.seek(1 << 36)
        log.write(b"the end\n")
    tracemalloc.start()
    shown = _log(engine, "run", "step")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert shown.endswith("\0the end\n")
    assert len(shown) == 64 << 10
    assert most < 1 << 20
    assert _log(engine, "run", "other") == ""
