"""One set of Tritons for the session; each test has a gateway of its own among them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import _free_base
from tests.e2e.gateway.world import World
from tiphys.settings import StackSettings


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Agents and Tritons; a Triton is started when something is first put there."""
    folder = tmp_path_factory.mktemp("gateway")
    found = World(folder, StackSettings(home=folder / "home", port_base=_free_base(), java_home=""))
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def world(town: World, tmp_path: Path) -> Iterator[World]:
    """The town with an empty gateway folder and agents that say nothing; the gateway is the test's to start."""
    town.reset(tmp_path)
    yield town
    town.end()
    log = (tmp_path / "gateway.log").read_text() if (tmp_path / "gateway.log").exists() else ""
    sys.stdout.write(log[-4000:])  # pytest shows it where the test failed
    assert "Traceback" not in log
