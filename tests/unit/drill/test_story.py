"""What a rehearsal prints and keeps, whether its links hold or break."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tiphys.cli.drill import saboteur
from tiphys.cli.drill.stage import MARK, Stage, failed_step, outputs
from tiphys.cli.drill.story import LinkError, Story, require
from tiphys.errors import PermanentError
from tiphys.settings import StackSettings

pytestmark = pytest.mark.unit


def test_a_link_that_holds_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, mark, time, and its lines below."""
    story = Story(colour=False, live=False)
    story.chapter("Before")
    with story.link("a model answers") as link:
        link.say("version 1")
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["", "Before"]
    assert printed[2].split() == ["0:00", "✔", "a", "model", "answers", "0", "s"]
    assert printed[3].strip() == "version 1"
    assert story.record()["held"] is True


def test_a_link_that_breaks_ends_the_story_and_stays_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    """What was wanted stands below it; an error of another kind breaks it too."""
    story = Story(colour=True, live=True)
    with pytest.raises(LinkError), story.link("the alert comes"):
        require(held=False, wanted="an alert of kind error, found none")
    with pytest.raises(OSError, match="gone"), story.link("the server answers"):
        raise OSError("gone")
    printed = capsys.readouterr().out
    assert "\x1b[31m✖\x1b[0m the alert comes" in printed
    assert "an alert of kind error, found none" in printed
    assert [each["held"] for each in story.record()["links"]] == [False, False]
    assert story.record()["held"] is False


def test_torn_files_lose_the_last_column_of_each_third_row(tmp_path: Path) -> None:
    """The header stays, nothing else changes."""
    source = tmp_path / "raw"
    source.mkdir()
    lines = ["a,b,c\n", *(f"{number},x,y\n" for number in range(1, 7))]
    with gzip.open(source / "one.csv.gz", "wt") as file:
        file.writelines(lines)
    torn = saboteur.tear(source, tmp_path / "torn")
    with gzip.open(torn / "one.csv.gz", "rt") as file:
        found = file.readlines()
    assert [number for number, line in enumerate(found) if line != lines[number]] == [3, 6]
    assert found[3] == "3,x\n"


def test_a_folder_that_no_rehearsal_made_is_left_alone(tmp_path: Path) -> None:
    """Somebody's own files in the way are never thrown away."""
    (tmp_path / MARK).mkdir()
    (tmp_path / MARK / "precious").write_text("mine")
    with pytest.raises(PermanentError, match="no rehearsal made it"):
        Stage.make(StackSettings(home=tmp_path, port_base=20_000, java_home=""), 1.0)
    assert (tmp_path / MARK / "precious").read_text() == "mine"


def test_who_ended_a_run_is_found_among_its_nodes() -> None:
    """The pod that failed, not the groups around it; a retry's attempt goes by its step."""
    nodes = [
        {"displayName": "train", "type": "Retry", "phase": "Failed", "message": "No more retries left"},
        {"displayName": "train(0)", "type": "Pod", "phase": "Failed", "message": "main: Error (exit code 2)"},
    ]
    assert failed_step({"nodes": nodes}) == ("train", "main: Error (exit code 2)")
    assert failed_step({"nodes": [{"displayName": "etl", "type": "Pod", "phase": "Succeeded"}]}) == ("", "")
    assert outputs({"outputs": {}}) == {}
