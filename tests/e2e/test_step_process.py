"""How a step's process ends, whatever its surroundings do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tiphys.settings import PROJECT

pytestmark = pytest.mark.e2e


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_does_not_change_the_exit_code() -> None:
    """Argo decides by the code whether a retry can help; Python's own for a log that it can't write is 120."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "components.etl"]
        assert subprocess.run(command, cwd=PROJECT, stdout=full, stderr=full, check=False).returncode == 65
