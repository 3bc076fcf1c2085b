"""What is kept is whole or not there, bounded, and safe from two processes at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tiphys.cache import store as stores
from tiphys.cache.store import Entry, LookUp, Store, detail

pytestmark = pytest.mark.unit
ENTRY = Entry("key", "train", "run", "train", 1.0, {"code": "c"}, {}, {"parameters": []}, {"outputs": {}}, {})
TOLD = LookUp("run", "train", "train", 1.0, "miss", "why")


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    """The last one of a key wins."""
    store = Store(tmp_path)
    store.put(ENTRY, {})
    store.put(replace(ENTRY, run="later"), {})
    assert store.entry("key") == replace(ENTRY, run="later")
    assert store.entry("other") is None


@pytest.mark.parametrize(
    "change", ["body = replace(body, 'train', 'brain')", "body = NULL", "digest = ''", "key = 'other'"]
)
def test_a_damaged_row_is_no_entry(tmp_path: Path, change: str) -> None:
    """Whatever is wrong with it."""
    store = Store(tmp_path)
    store.put(ENTRY, {})
    with sqlite3.connect(store.path) as database:
        database.execute(f"UPDATE entries SET {change}")  # noqa: S608
    assert store.entry("key") is None
    assert store.entry("other") is None


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entries go, and the details that only they had."""
    monkeypatch.setattr(stores, "MOST_ENTRIES", 3)
    monkeypatch.setattr(stores, "MOST_LOOK_UPS", 10)
    store = Store(tmp_path)
    for index in range(100):
        many = {"code": {"file": str(index)}}
        digest = stores.digests.of(detail(many["code"]))
        store.put(replace(ENTRY, key=f"k{index}", made=float(index), details={"code": digest}), many)
        store.note(replace(TOLD, run=f"r{index}"))
    assert [each.key for each in store.entries()] == ["k99", "k98", "k97"]
    assert store.look_ups("r1") == []
    assert store.look_ups("r99") != []
    with sqlite3.connect(store.path) as database:
        assert database.execute("SELECT count(*) FROM details").fetchone()[0] == 3


def test_many_threads_may_write_at_once(tmp_path: Path) -> None:
    """Nothing is lost, nothing is half."""
    store = Store(tmp_path)

    def work(number: int) -> None:
        for index in range(20):
            store.put(replace(ENTRY, key=f"{number}-{index}", made=time.time()), {})
            store.note(TOLD)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(store.entries()) == 80
    assert len(store.look_ups("run")) == 80


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Parameters stand in it."""
    store = Store(tmp_path)
    store.put(ENTRY, {})
    assert store.path.stat().st_mode & 0o777 == 0o600
