"""Healing without servers: which answers of a Triton are a reason to load a model anew, and how often."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3

from tests.unit.serving.test_agent import NOWHERE, TINY, Place, Triton
from tiphys.errors import PermanentError
from tiphys.release.client import LedgerClient
from tiphys.serving.agent import Agent
from tiphys.serving.agent_http import serve
from tiphys.serving.healing import Healing
from tiphys.serving.memory import Memory, Served
from tiphys.serving.repository import build
from tiphys.serving.triton import BrokenModelError, TritonAwayError
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit


class Sick(Triton):
    """Says of a version what it is told to, until that is unloaded."""

    def __init__(self, repository: Path) -> None:
        """Be well."""
        super().__init__(repository)
        self.says: dict[str, Exception] = {}
        self.incurable = False
        self.did: list[str] = []
        self.questions: list[Mapping[str, tuple[str, float]]] = []

    def ask(
        self, model: str, inputs: Mapping[str, tuple[str, float]], version: str = "", *, timeout: float = 2.0
    ) -> tuple[float, str]:
        """Answer, or say what is wrong."""
        self.questions.append(inputs)
        if version in self.says:
            raise self.says[version]
        return 1.0, version

    def load(self, model: str) -> None:
        """Start processes for what is new."""
        before = set(self.has)
        super().load(model)
        self.did.append(f"load {' '.join(sorted(self.has))}")
        for each in set(self.has) - before if not self.incurable else ():
            self.says.pop(each, None)

    def unload(self, model: str) -> None:
        """End all processes."""
        self.did.append("unload")
        self.has = {}


@dataclass
class Clinic:
    """Version 2 serves, with 1 beside it."""

    place: Place
    triton: Sick
    memory: Memory
    now: float = 1000.0
    healing: Healing = field(init=False)

    def __post_init__(self) -> None:
        """Load both."""
        old, new = self.place.release(1, 1), self.place.release(2, 2)
        shelf = self.place.shelf()
        shelf.put(new, [old])
        self.memory.keep("tiny", Served(release=new, version="2", way=(old,)))
        self.triton.did.clear()
        self.healing = Healing(shelf, self.memory)

    def look(self, times: int = 1, every: float = 5.0) -> None:
        """Look so many times."""
        for _ in range(times):
            self.healing.look()
            self.now += every


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """One in which all are well."""
    triton = Sick(tmp_path / "models")
    found = Clinic(Place(tmp_path, triton), triton, Memory(tmp_path / "serving.json"))
    monkeypatch.setattr("tiphys.serving.healing.time", SimpleNamespace(monotonic=lambda: found.now))
    return found


def test_a_model_that_says_twice_that_it_is_broken_is_loaded_anew(clinic: Clinic) -> None:
    """Triton takes a load of what it has for done, so the model is unloaded first; then it is asked again."""
    clinic.triton.says["2"] = BrokenModelError("not healthy")
    clinic.look()
    assert clinic.triton.did == []
    clinic.look()
    assert clinic.triton.did == ["unload", "load 1 2"]
    assert clinic.healing.broken == {"tiny": "not healthy"}
    clinic.look()
    assert (clinic.healing.broken, clinic.healing.heals) == ({}, 1)


def test_what_stands_beside_is_healed_while_the_release_answers(clinic: Clinic) -> None:
    """Else a rollback would go to a dead model."""
    clinic.triton.says["1"] = BrokenModelError("not healthy")
    clinic.look(2)
    assert clinic.triton.did == ["load 2", "load 1 2"]
    assert clinic.triton.says == {}


@pytest.mark.parametrize(
    "said", [TritonAwayError("timed out"), PermanentError("not at ready state"), ValueError("odd")]
)
def test_late_away_or_loading_is_no_reason(clinic: Clinic, said: Exception) -> None:
    """Only a failure of the model itself is one."""
    clinic.triton.says["2"] = said
    clinic.look(100)
    assert clinic.triton.did == []


def test_one_good_answer_between_two_failures_is_enough(clinic: Clinic) -> None:
    """They have to come in a row."""
    for _ in range(10):
        clinic.triton.says["2"] = BrokenModelError("not healthy")
        clinic.look()
        clinic.triton.says.clear()
        clinic.look()
    assert clinic.triton.did == []


def test_a_model_that_is_broken_for_good_is_loaded_ever_more_seldom(clinic: Clinic) -> None:
    """Pauses of 10 s, 20 s and so on, at most ten minutes: eleven loads in the first hour, then six."""
    clinic.triton.says["2"] = BrokenModelError("broken")
    clinic.triton.incurable = True
    clinic.look(720)
    first = clinic.healing.heals
    assert first == pytest.approx(11, abs=1)
    clinic.look(720)
    assert clinic.healing.heals - first == pytest.approx(6, abs=1)
    assert clinic.healing.broken == {"tiny": "broken"}


def test_a_model_that_was_well_for_long_is_healed_at_once_again(clinic: Clinic) -> None:
    """The pause is for those that do not get well by a load."""
    for count in range(1, 6):
        clinic.triton.says["2"] = BrokenModelError("not healthy")
        clinic.look(2)
        assert clinic.healing.heals == count
        clinic.look(10)


def test_it_is_asked_what_triton_can_read(clinic: Clinic) -> None:
    """A question that is no JSON, or has 20.0 for a whole number, is answered with 500 as a dead model is."""
    reference = {"litres": [math.nan, 2.0], "celsius": [10.0, 20.0], "seconds": [1.0, 1.0]}
    served = clinic.memory.served["tiny"]
    copy = clinic.healing._shelf.copies.file(served.release, "reference.json")
    copy.write_bytes(build(UseCase(TINY), "2", b"model", reference).files["reference.json"])
    clinic.look()
    assert {str(each) for each in clinic.triton.questions} == {"{'litres': ('FP32', 2.0), 'celsius': ('INT64', 20)}"}


def test_the_agents_port_says_what_is_broken(clinic: Clinic) -> None:
    """On the health page and in the metrics."""
    clinic.triton.says["2"] = BrokenModelError("not healthy")
    clinic.triton.incurable = True
    agent = Agent("production", LedgerClient(NOWHERE, retries=0), clinic.healing._shelf, clinic.memory)
    agent.healing = clinic.healing
    clinic.look(2)
    agent.tick()
    server = serve(agent, "production", "token", ("127.0.0.1", 0))
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        health = urllib3.request("GET", f"{url}/healthz")
        assert health.json()["broken"] == {"tiny": "not healthy"}
        assert health.status == 503  # nobody looks: the thread was not started
        metrics = urllib3.request("GET", f"{url}/metrics").data.decode()
    finally:
        server.shutdown()
        server.server_close()
    assert 'tiphys_agent_heals_total{environment="production"} 1' in metrics
    assert 'tiphys_agent_broken{environment="production",model="tiny"} 1' in metrics
