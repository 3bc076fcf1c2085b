"""The command line as a whole: every command explains itself, and a problem is one line with its remedy."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from tiphys import cli
from tiphys.cli import list_
from tiphys.cli.surroundings import program
from tiphys.errors import RetryableError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("command", [name.rstrip("_").replace("_", "-") for name in cli.COMMANDS])
def test_every_command_explains_itself_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` ends in commands that a person can type."""
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"tiphys {command}" in capsys.readouterr().out


def test_a_known_problem_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for what a person can act on."""

    def fail(_arguments: object) -> int:
        raise RetryableError("the server is away; again later")

    monkeypatch.setattr(list_, "main", fail)
    assert cli.main(["list"]) == 75
    assert capsys.readouterr().err == "error: the server is away; again later\n"


def test_a_full_disk_is_named_with_its_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any command that meets a full disk says where room is needed."""

    def fail(_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(list_, "main", fail)
    monkeypatch.setenv("TIPHYS_HOME", "/data/tiphys")
    assert cli.main(["list"]) == 75
    assert "no room left on the disk of /data/tiphys" in capsys.readouterr().err


def test_what_it_tells_to_type_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside of an activated environment the way to the command is named."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/tiphys").write_text("#!/bin/sh\n")
    (tmp_path / ".venv/bin/tiphys").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    assert program() == ".venv/bin/tiphys"
    monkeypatch.setenv("PATH", str(tmp_path / ".venv/bin"))
    assert program() == "tiphys"
