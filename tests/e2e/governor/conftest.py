"""The governor with PostgreSQL and the engine, and a training that takes as long as a test wants."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import _free_base
from tiphys.settings import PROJECT, GovernorSettings
from tiphys.watch import governor_client
from tiphys.watch.alerts import Alert, Request
from tiphys.watch.governor_client import Told

sys.path.insert(0, str(PROJECT / "bench"))

TINY = "tests.usecases.tiny"


class Asked:
    """What tests ask a governor."""

    def __init__(self, watch: Any) -> None:
        """Ask that one, as a person and as the monitor."""
        self.watch = watch
        self.number = 0

    @property
    def person(self) -> GovernorSettings:
        """As ``cli`` is told."""
        found: GovernorSettings = self.watch.settings("cli")
        return found

    @property
    def monitor(self) -> GovernorSettings:
        """As a step that sends alerts is told."""
        found: GovernorSettings = self.watch.settings("tester")
        return found

    def alert(self, identity: str, **fields: Any) -> Told:
        """Send one; what the governor has of it."""
        event = Alert(**{"use_case": TINY, "kind": "error", "labelled": 1000, **fields})
        return governor_client.send(self.monitor, event, identity).event

    def request(self, identity: str) -> Told:
        """Ask for a training, as a person."""
        event = Request(use_case=TINY, asked_by="a test", reason="to see")
        return governor_client.send(self.person, event, identity).event

    def told(self, identity: str) -> Told:
        """What it tells of an event."""
        return governor_client.event(self.person, identity)

    def decided(self, identity: str, within: float = 60.0) -> Told:
        """The event, once it is decided."""
        return self.until(lambda: self.told(identity), lambda told: told.verdict != "wait", within)

    def ended(self, identity: str, within: float = 60.0) -> Told:
        """The event, once its training has ended."""
        return self.until(
            lambda: self.told(identity), lambda told: told.run_phase in {"Succeeded", "Failed", "Error"}, within
        )

    @staticmethod
    def until(look: Callable[[], Told], is_it: Callable[[Told], bool], within: float) -> Told:
        """What is looked at, once it is so."""
        last = time.monotonic() + within
        while not is_it(found := look()):
            if time.monotonic() > last:
                pytest.fail(f"not so after {within:.0f} s: {found}")
            time.sleep(0.05)
        return found

    def runs(self) -> list[str]:
        """The trainings that the governor started."""
        names = [str(run["metadata"]["name"]) for run in self.watch.runs()]
        return [name for name in names if name.startswith("retrain-")]

    def train(self) -> None:
        """Train once as a person does, so that it is known what to train on."""
        name = self.watch.train()
        last = time.monotonic() + 60
        while self.watch.ask_engine("GET", f"/api/v1/workflows/default/{name}")["status"].get("phase") != "Succeeded":
            assert time.monotonic() < last
            time.sleep(0.1)


@pytest.fixture
def new_governor(tmp_path: Path) -> Iterator[Callable[..., Asked]]:
    """``new_governor(TIPHYS_GOVERNOR_SPEED="60")`` starts one, with servers of its own."""
    import contextlib  # noqa: PLC0415

    from governor_world import watch  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        yield lambda **told: Asked(stack.enter_context(watch(tmp_path, _free_base(), **told)))


@pytest.fixture(scope="module")
def governor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """One for a module, a minute of whose clock passes in a second; the use case was trained once."""
    from governor_world import watch  # noqa: PLC0415

    with watch(tmp_path_factory.mktemp("governor"), _free_base(), TIPHYS_GOVERNOR_SPEED="60") as found:
        asked = Asked(found)
        asked.train()
        yield asked
