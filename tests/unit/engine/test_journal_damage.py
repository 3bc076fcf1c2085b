"""A journal that something has damaged: named with the remedy, and the other runs stay as they were."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tiphys.engine import Engine, EngineError, JournalDamagedError, load_text

pytestmark = pytest.mark.unit
TEXT = """
kind: Workflow
metadata: {name: NAME}
spec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of a state folder with two runs."""
    engine = Engine(tmp_path)
    for name in ("good", "bad"):
        engine.submit(load_text(TEXT.replace("NAME", name)))
    engine.journal.close()
    return tmp_path / "journal.db"


def spoil(journal: Path, statement: str) -> None:
    """Change rows behind the engine's back."""
    database = sqlite3.connect(journal)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET header = substr(header, 1, 40) WHERE name = 'bad'",
        "UPDATE runs SET header = '[]' WHERE name = 'bad'",
        "UPDATE runs SET header = NULL WHERE name = 'bad'",
        "UPDATE runs SET header = x'00ff00ff' WHERE name = 'bad'",
        "INSERT INTO nodes VALUES ('bad', 'bad', 0, '{\"id\": 3')",
        "INSERT INTO nodes VALUES ('bad', 'bad', 0, '{\"surprise\": 3}')",
        "INSERT INTO nodes VALUES ('bad', 'bad', 0, NULL)",
    ],
)
def test_a_damaged_row_puts_one_run_aside(journal: Path, statement: str) -> None:
    """The message names the run and the file; the other run can be read and new ones submitted."""
    spoil(journal, statement)
    engine = Engine(journal.parent)
    with pytest.raises(JournalDamagedError, match=rf"run 'bad' in the journal {journal} is damaged"):
        engine.get("bad")
    with pytest.raises(EngineError, match="run 'bad'"):
        engine.run("bad", handle_signals=False)
    assert engine.get("good").name == "good"
    assert {run.name for run in engine.runs()} == {"good", "bad"}
    engine.submit(load_text(TEXT.replace("NAME", "another")))


def test_a_damaged_memo_is_as_if_it_had_never_been_kept(journal: Path) -> None:
    """One entry can't be read; the others still count."""
    spoil(journal, "INSERT INTO memo VALUES ('c', 'broken', '{'), ('c', 'whole', '{\"a\": 1}')")
    assert Engine(journal.parent).journal.memo() == {"c": {"whole": {"a": 1}}}


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be read as one" * 40, b"SQLite format 3\0"]
)
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """The file is named, the remedy too, and nothing is written over it."""
    journal = tmp_path / "journal.db"
    journal.write_bytes(content)
    with pytest.raises(JournalDamagedError, match=rf"{journal} is damaged .*mv {journal} {journal}.damaged"):
        Engine(tmp_path).runs()
    assert journal.read_bytes() == content


@pytest.mark.parametrize("kept", [5000, 9000, 20000])
def test_a_journal_cut_short_is_refused_with_its_name(journal: Path, kept: int) -> None:
    """Whatever page is gone, the message names the file."""
    engine = Engine(journal.parent)
    for index in range(30):
        engine.submit(load_text(TEXT.replace("NAME", f"more-{index}")))
    engine.journal.close()
    assert journal.stat().st_size > kept
    journal.write_bytes(journal.read_bytes()[:kept])
    with pytest.raises(JournalDamagedError, match=str(journal)):
        _ = [Engine(journal.parent).get(run.name) for run in Engine(journal.parent).runs()]


def test_a_journal_of_before_versions_is_refused(journal: Path) -> None:
    """Its tables are not ours to change: it is named, with what to do."""
    spoil(journal, "PRAGMA user_version = 0")
    with pytest.raises(JournalDamagedError, match=r"no version.*move it away"):
        Engine(journal.parent).runs()


def test_a_journal_of_a_newer_version_is_refused(journal: Path) -> None:
    """An older engine must not write into it."""
    spoil(journal, "PRAGMA user_version = 99")
    with pytest.raises(JournalDamagedError, match=r"version 99.*newer tiphys"):
        Engine(journal.parent).runs()
