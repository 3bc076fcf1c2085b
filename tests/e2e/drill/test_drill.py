"""The rehearsal as a person runs it: from nothing to a new model in production, with nobody at the keyboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tiphys.settings import PROJECT, StackSettings
from tiphys.stack.ports import Ports, is_taken

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

KETTLES = "tests.usecases.timed"


def drill(settings: StackSettings, folder: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """Rehearse to the end; what was printed, and the timeline."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    environment |= {"TIPHYS_HOME": str(settings.home), "TIPHYS_PORT_BASE": str(settings.port_base - 1000)}
    done = subprocess.run(
        [sys.executable, "-m", "tiphys", "drill", *words, "--summary", str(folder / "drill.json")],
        env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout, json.loads((folder / "drill.json").read_text())


@pytest.mark.parametrize("use_case", [KETTLES, pytest.param("taxi_eta", marks=pytest.mark.long)])
def test_every_link_of_the_loop_holds(new_stack: Any, tmp_path: Path, use_case: str) -> None:
    """From an empty folder; nothing is left running. Kettles are learnt in a few seconds, all else is as for taxis."""
    settings = new_stack(tmp_path)
    printed, timeline = drill(settings, tmp_path, "--use-case", use_case)
    assert timeline["held"], printed
    assert all(each["held"] for each in timeline["links"])
    assert "every link held" in printed
    base = int((settings.home / "drill" / "drill").read_text())
    assert not [port for port in Ports(base).every() if is_taken(port)]


@pytest.mark.long
@pytest.mark.parametrize("scenario", ["closed_tunnel", "airport_rule"])
def test_another_world(new_stack: Any, tmp_path: Path, scenario: str) -> None:
    """A change that only some rides feel goes the same way."""
    _, timeline = drill(new_stack(tmp_path), tmp_path, scenario)
    assert timeline["held"]
