"""What is kept of runs that were shown, and how a run is found by its uid."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tests.unit.server.asking import submitted
from tiphys.engine.control import delete
from tiphys.engine.server.catalog import Catalog
from tiphys.engine.server.fields import Fields
from tiphys.engine.server.lookup import find_by_uid
from tiphys.engine.server.refusals import Refusal
from tiphys.engine.server.rendering import Rendered

pytestmark = pytest.mark.unit
MIB = 1 << 20


def test_what_clients_ask_for_fills_no_memory(tmp_path: Path) -> None:
    """The bound counts the names of fields too: thousands may be named that no run has."""
    engine = submitted(tmp_path, ("run",))
    summary, rendered = engine.journal.summary("run"), Rendered(MIB)
    assert summary is not None
    tracemalloc.start()
    for number in range(40):
        names = ",".join(f"{number}.{index}" for index in range(2000))
        rendered.of(engine, summary, Fields.parse(names))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 4 * MIB


def test_a_run_is_found_by_its_uid_until_it_is_gone(tmp_path: Path) -> None:
    """And only if it has ended, where that is asked for."""
    engine, catalog = submitted(tmp_path, ("one", "two")), Catalog()
    known = engine.journal.summary("one")
    assert known is not None

    assert find_by_uid(catalog, engine, known.uid).name == "one"
    with pytest.raises(Refusal):
        find_by_uid(catalog, engine, known.uid, finished=True)
    delete(engine, "one")
    with pytest.raises(Refusal):
        find_by_uid(catalog, engine, known.uid)
