"""The journal tells what has changed, and takes what several processes write at once."""

from __future__ import annotations

import select
import sqlite3
import threading
from pathlib import Path

import pytest

from tiphys.engine import Engine, EngineError, ManifestError, load_text
from tiphys.engine.control import delete
from tiphys.engine.errors import RunChangedError
from tiphys.engine.inotify import Inotify, changed_file
from tiphys.engine.journal import Journal
from tiphys.engine.lock import ALL_RUNS, StateLock
from tiphys.engine.nodes import Node

pytestmark = pytest.mark.unit
TEXT = """
kind: Workflow
metadata: {name: NAME, labels: {team: blue}}
spec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}
"""
VERSION_1 = """
CREATE TABLE runs (
    name TEXT PRIMARY KEY, digest TEXT, phase TEXT, created REAL, finished REAL, header TEXT, notes TEXT);
CREATE TABLE progress (run TEXT PRIMARY KEY, body TEXT);
CREATE TABLE nodes (run TEXT, id TEXT, position INTEGER, body TEXT, PRIMARY KEY (run, id));
CREATE TABLE memo (cache TEXT, key TEXT, body TEXT, PRIMARY KEY (cache, key));
CREATE TABLE requests (id INTEGER PRIMARY KEY, run TEXT, body TEXT);
PRAGMA user_version=1;
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine on a fresh state folder."""
    return Engine(tmp_path / "engine")


def submit(engine: Engine, name: str = "wf") -> str:
    """Write a run down."""
    return engine.submit(load_text(TEXT.replace("NAME", name)))


def failed(engine: Engine, name: str = "wf") -> str:
    """Write a run down that has failed."""
    run = engine.get(submit(engine, name))
    run.phase, run.started, run.finished = "Failed", 1.0, 2.0
    run.nodes = {name: Node(name, name, name, "Pod", "Failed", template_name="main", started=1.0, finished=2.0)}
    run.dirty.add(name)
    engine.journal.save(run)
    return name


def test_every_change_has_a_number_that_grows(engine: Engine) -> None:
    """A run is named once, at its latest change, and a deleted one too."""
    start = engine.journal.version()
    for name in ("one", "two", "one-more"):
        submit(engine, name)
    run = engine.get("one")
    run.phase = "Running"
    engine.journal.save(run)
    delete(engine, "two")
    changes = engine.journal.changes(start)
    assert [(change.name, change.deleted) for change in changes] == [("one-more", False), ("one", False), ("two", True)]
    assert [change.version for change in changes] == sorted(change.version for change in changes)
    assert engine.journal.changes(engine.journal.version()) == []
    assert engine.journal.changes(changes[1].version) == changes[2:]
    submit(engine, "two")
    assert [(change.name, change.deleted) for change in engine.journal.changes(changes[-1].version)] == [("two", False)]


def test_a_list_needs_no_header(engine: Engine) -> None:
    """What a line shows stands beside it."""
    submit(engine)
    summary = engine.runs()[0]
    run = engine.get("wf")
    assert (summary.uid, summary.namespace, summary.labels) == (run.uid, "default", {"team": "blue"})


def test_a_change_is_told_after_it_can_be_read(engine: Engine) -> None:
    """Whoever waits for the file sees the change as soon as it is woken."""
    submit(engine)
    reader = Journal(engine.state)
    with Inotify([changed_file(engine.state)]) as watch:
        for phase in ("Pending", "Running", "Failed") * 20:
            run = engine.get("wf")
            run.phase = phase
            engine.journal.save(run)
            assert select.select([watch], [], [], 10)[0]
            watch.drain()
            assert next(reader.runs()).phase == phase


def test_a_name_is_taken_by_one_of_those_who_ask_at_once(engine: Engine) -> None:
    """Whatever they looked at before."""
    made, refused = [], []

    def ask() -> None:
        try:
            made.append(submit(Engine(engine.state)))
        except ManifestError as error:
            refused.append(str(error))

    submit(engine, "first")  # the tables are there
    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert made == ["wf"]
    assert len(refused) == 7
    assert all("a run called 'wf' exists already" in each for each in refused)


def test_two_who_retry_at_once_retry_once(engine: Engine) -> None:
    """The second is told that the run goes on."""
    failed(engine)
    retried, told = [], []

    def ask() -> None:
        try:
            retried.append(Engine(engine.state).retry("wf"))
        except EngineError as error:
            told.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(6)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert retried == [["wf"]]
    assert len(told) == 5
    assert all("has not ended" in each for each in told)


def test_what_was_changed_meanwhile_is_not_overwritten(engine: Engine) -> None:
    """Who has read a run before may not write it down."""
    failed(engine)
    slow, quick = Journal(engine.state), Journal(engine.state)
    old, new = slow.load("wf"), quick.load("wf")
    new.labels["who"] = "quick"
    assert quick.rewrite(new, [])
    old.labels["who"] = "slow"
    assert not slow.rewrite(old, [])
    assert engine.get("wf").labels["who"] == "quick"


def test_an_engine_writes_nothing_of_a_run_that_was_deleted_meanwhile(engine: Engine) -> None:
    """Nor does a new run of the same name find anything of the old one."""
    failed(engine)
    slow = Journal(engine.state)
    run = slow.load("wf")
    delete(engine, "wf")
    run.dirty.add("wf")
    with pytest.raises(RunChangedError):
        slow.save(run)
    submit(engine)
    assert engine.get("wf").nodes == {}
    with pytest.raises(RunChangedError):
        slow.save(run)
    assert engine.get("wf").nodes == {}


def test_what_was_asked_is_forgotten_with_what_came_of_it(engine: Engine) -> None:
    """An engine that dies in between leaves it to the next one; in one process it is carried out once."""
    submit(engine)
    engine.journal.request("wf", {"kind": "delete"})
    dying = Journal(engine.state)
    dying.load("wf")
    assert dying.take_requests("wf") == [{"kind": "delete"}]
    assert dying.take_requests("wf") == []
    following = Journal(engine.state)
    run = following.load("wf")
    assert following.take_requests("wf") == [{"kind": "delete"}]
    run.deleted = True
    following.save(run)
    assert Journal(engine.state).take_requests("wf") == []
    assert engine.get("wf").deleted


def test_a_run_that_an_engine_drives_is_asked_to_go(engine: Engine) -> None:
    """It is there until that engine has ended it; one that has ended goes at once."""
    submit(engine)
    failed(engine, "over")
    with StateLock(engine.state, "tiphys serve", ALL_RUNS):
        assert engine.drives("wf")
        assert engine.served()
        delete(engine, "wf")
        delete(engine, "over")
    assert [run.name for run in engine.runs()] == ["wf"]
    assert engine.journal.take_requests("wf") == [{"kind": "delete"}]


def test_a_journal_of_version_1_is_brought_to_ours(engine: Engine) -> None:
    """Its runs keep their order and get numbers; what goes by ttlStrategy still goes."""
    submit(engine, "old")
    header = engine.journal._database.execute("SELECT header FROM runs").fetchone()[0]
    engine.journal.close()
    path = engine.state / "journal.db"
    for file in engine.state.glob("journal.db*"):
        file.unlink()
    database = sqlite3.connect(path)
    database.executescript(VERSION_1)
    expiring = header.replace('"name": "old"', '"name": "gone"').replace(
        '"entrypoint"', '"ttlStrategy": {"secondsAfterCompletion": 1}, "entrypoint"'
    )
    rows = (("old", "Succeeded", 1.0, header), ("gone", "Succeeded", 2.0, expiring), ("bad", "Failed", 3.0, "{"))
    for name, phase, moment, text in rows:
        database.execute("INSERT INTO runs VALUES (?, 'd', ?, ?, ?, ?, '[]')", (name, phase, moment, moment, text))
        progress = f'{{"phase": "{phase}", "started": {moment}, "finished": {moment}}}'
        database.execute("INSERT INTO progress VALUES (?, ?)", (name, progress))
    database.commit()
    database.close()
    again = Engine(engine.state)
    assert [(run.name, run.labels) for run in again.journal.runs()] == [
        ("bad", {}), ("gone", {"team": "blue"}), ("old", {"team": "blue"}),
    ]  # fmt: skip
    assert [run.name for run in again.runs()] == ["bad", "old"]
    assert submit(again, "new") == "new"
    assert again.journal.changes(3)[-1].name == "new"
    assert [run.name for run in Engine(engine.state).runs()] == ["new", "bad", "old"]
