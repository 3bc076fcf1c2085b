"""The agent without servers: what it does while its disk is full, its ledger speaks in tongues, or it was killed in a load."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from tiphys.errors import PermanentError
from tiphys.release.client import LedgerClient
from tiphys.release.records import Environment, Recorded
from tiphys.release.rollback import Asked
from tiphys.serving.agent import Agent
from tiphys.serving.copies import Copies, Source, name_of
from tiphys.serving.memory import Memory, Served
from tiphys.serving.repository import build
from tiphys.serving.shelf import Shelf
from tiphys.serving.triton import TritonControl
from tiphys.settings import LedgerSettings
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

TINY = "tests.usecases.tiny"
REFERENCE = {"litres": [1.0], "celsius": [10.0], "seconds": [1.0]}
NOWHERE = LedgerSettings(url="http://127.0.0.1:1", token="t")


class Triton(TritonControl):
    """Loads what the repository shows, in no time; stays the same when an agent dies."""

    def __init__(self, repository: Path) -> None:
        """Have nothing loaded."""
        super().__init__("127.0.0.1:1")
        self._repository = repository
        self.has: dict[str, str] = {}
        """Version -> the copy that it was loaded from."""
        self.before_load: Callable[[], None] = lambda: None
        self.before_ready: Callable[[], None] = lambda: None

    def live(self) -> bool:
        """It is."""
        return True

    def ready(self, model: str, version: str) -> bool:
        """Say what is loaded."""
        self.before_ready()
        return version in self.has

    def load(self, model: str) -> None:
        """Take what is shown now."""
        self.before_load()
        versions = [each.resolve() for each in (self._repository / model).glob("[0-9]*")]
        self.has = {each.name: each.parent.parent.name for each in versions}


@dataclass
class Place:
    """The folders of an agent beside a Triton."""

    folder: Path
    triton: Triton

    def shelf(self) -> Shelf:
        """The shelf of an agent that was just started."""
        copies = Copies(self.folder, self.folder / "models")
        return Shelf(copies, self.triton, cast("Source", None), keeps_previous=True)

    def release(self, number: int, generation: int, content: bytes = b"model") -> Recorded:
        """A release whose copy is here."""
        repository = build(UseCase(TINY), str(number), content, REFERENCE)
        digest = hashlib.sha256(str(number).encode() + content).hexdigest()
        release = Recorded(
            use_case=TINY, model_version=f"models:/tiny/{number}", repository="s3://models/tiny/",
            manifest_sha256=repository.manifest_sha256, image=f"s3://models/images/tiny@sha256:{digest}",
            environment="production", generation=generation, made_at=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        for path, text in repository.files.items():
            target = self.folder / "copies" / name_of(release) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
        return release


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty one."""
    return Place(tmp_path, Triton(tmp_path / "models"))


def told(*releases: Recorded) -> Environment:
    """What the ledger says."""
    newest = max(each.generation for each in releases)
    return Environment(
        environment="production", generation=newest, releases={each.use_case: each for each in releases}, observed={}
    )


def test_a_full_disk_kills_no_agent(place: Place) -> None:
    """What it cannot remember it does not say to serve; with room again it goes on."""
    memory = Memory(place.folder / "gone" / "serving.json")  # no folder: it cannot be written
    agent = Agent("production", LedgerClient(NOWHERE, retries=0), place.shelf(), memory)
    agent._seen = told(place.release(3, 1))
    agent.tick()
    assert agent.page.read()["models"] == {}
    assert "serving.new" in agent.state.observed["tiny"].message
    (place.folder / "gone").mkdir()
    agent._pending["tiny"].not_before = 0.0
    agent.tick()
    assert agent.page.read()["models"]["tiny"]["version"] == "3"


class Strange(LedgerClient):
    """Says once what nobody understands, then something that all do."""

    def __init__(self, then: Environment) -> None:
        """Nowhere."""
        super().__init__(NOWHERE, retries=0)
        self._then = then
        self.asked = 0

    def current(self, environment: str, *, after: int | None = None, wait: float = 0.0) -> Environment:
        """Answer."""
        self.asked += 1
        if self.asked == 1:
            return Environment.model_validate({"colour": "blue"})
        return self._then

    def outcomes(self, environment: str, limit: int = 100) -> list[Any]:
        """None."""
        return []

    def history(self, environment: str, limit: int = 100, *, use_case: str = "") -> list[Recorded]:
        """None."""
        return []


def test_a_ledger_that_speaks_in_tongues_is_asked_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that listens to it lives on, and hears what comes then."""
    monkeypatch.setattr("tiphys.serving.agent._LEDGER_PAUSE_SECONDS", 0.01)
    memory = Memory(place.folder / "serving.json")
    agent = Agent("production", Strange(told(place.release(3, 1))), place.shelf(), memory)
    running = threading.Thread(target=agent.run)
    running.start()
    try:
        page = agent.page.read(agent.page.read()["number"], 20.0)
        assert page["models"]["tiny"]["version"] == "3"
        assert agent.follows()
    finally:
        agent.stop()
        running.join(20)


class Killed(BaseException):
    """The agent's end, in the middle of something."""


def test_an_agent_that_was_killed_in_a_load_does_not_take_the_old_model_for_the_new(place: Place) -> None:
    """Two images of the same version: the repository shows the new one, Triton still has the old one."""
    old, new = place.release(3, 1, b"old"), place.release(3, 2, b"new")
    place.shelf().put(old)

    def die() -> None:
        raise Killed

    place.triton.before_load = die
    with pytest.raises(Killed):
        place.shelf().put(new)
    place.triton.before_load = lambda: None
    again = place.shelf()
    assert place.triton.has == {"3": name_of(old)}
    assert not again.is_ready(new)
    again.put(new)
    assert place.triton.has == {"3": name_of(new)}
    assert again.is_ready(new)


def is_held(shelf: Shelf) -> bool:
    """Whether another thread would have to wait for its turn to load."""
    found: list[bool] = []

    def look() -> None:
        free = shelf._loading.acquire(blocking=False)
        found.append(not free)
        if free:
            shelf._loading.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


class Noting(Memory):
    """Notes whether anyone could load something else while it is written."""

    shelf: Shelf
    held: bool | None = None

    def keep(self, model: str, served: Served) -> None:
        """Note, then keep."""
        self.held = is_held(self.shelf)
        super().keep(model, served)


@pytest.mark.parametrize("how", ["ledger", "emergency"])
def test_from_the_look_to_the_switch_nobody_else_loads(place: Place, how: str) -> None:
    """Else what was found ready is put away before the page names it."""
    first, second = place.release(2, 1), place.release(3, 2)
    shelf, memory = place.shelf(), Noting(place.folder / "serving.json")
    memory.shelf = shelf
    agent = Agent("production", LedgerClient(NOWHERE, retries=0), shelf, memory)
    for each in (first, second):
        agent._seen = told(each)
        agent.tick()
    looks: list[bool] = []
    place.triton.before_ready = lambda: looks.append(is_held(shelf))
    if how == "emergency":
        agent.emergency.roll_back("tiny", Asked("me", "run"))
        assert memory.served["tiny"].version == "2"
        assert looks[0]
    assert memory.held


def test_what_triton_refuses_is_brought_back_ever_more_rarely(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restarted Triton that refuses its old model is not asked at every tick; once it takes it, all is forgotten."""
    now = [1000.0]
    monkeypatch.setattr("tiphys.serving.agent.time.monotonic", lambda: now[0])
    memory = Memory(place.folder / "serving.json")
    agent = Agent("production", LedgerClient(NOWHERE, retries=0), place.shelf(), memory)
    agent._seen = told(place.release(3, 1))
    agent.tick()
    asked = []

    def refuse() -> None:
        asked.append(now[0])
        raise PermanentError("no such backend")

    place.triton.has, place.triton.before_load = {}, refuse
    for _ in range(20):
        now[0] += 1.0
        agent.tick()
    assert len(asked) == 5  # after 0, 1, 3, 7 and 15 seconds
    place.triton.before_load = lambda: None
    now[0] += 60.0
    agent.tick()
    assert place.triton.has
    assert not agent._unrestored
