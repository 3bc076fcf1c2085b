"""What asking for keys and addresses loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tiphys.settings import PROJECT

pytestmark = pytest.mark.e2e

HEAVY = {"tiphys.stack.control", "tiphys.stack.doctor", "asyncio"}


def test_who_asks_for_keys_and_addresses_loads_nothing_that_starts_servers() -> None:
    """Half of a rollback's time is the command's own start."""
    code = "import json, sys; from tiphys.stack import environment; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))
