"""The agent's page, and what an agent remembers."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.usecases.tiny.features import FEATURES
from tiphys.release.records import Recorded, ReleaseKind
from tiphys.serving.manifest import Manifest
from tiphys.serving.memory import Memory, Override, Served
from tiphys.serving.page import Page, entry, signature
from tiphys.serving.repository import build
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit


def recorded(number: int, generation: int, kind: ReleaseKind = "release") -> Recorded:
    """A release of a version."""
    return Recorded(
        use_case="tests.usecases.tiny", model_version=f"models:/tiny/{number}", repository="s3://models/tiny/",
        manifest_sha256="0" * 64, kind=kind, environment="production", generation=generation,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def old_and_new() -> tuple[Manifest, str, Manifest]:
    """A manifest of before manifests told inputs and outputs, its configuration, and one of now."""
    repository = build(
        UseCase("tests.usecases.tiny"), "3", b"onnx", {"litres": [1.0], "celsius": [10], "seconds": [1.0]}
    )
    new = repository.manifest
    return new.model_copy(update={"inputs": {}, "outputs": []}), repository.files["tiny/config.pbtxt"].decode(), new


def test_inputs_and_outputs_are_told_for_old_repositories_too() -> None:
    """Where the manifest says nothing, Triton's configuration does."""
    old, config, _ = old_and_new()
    inputs, outputs = signature(old, config)
    assert inputs == {each.name: each.dtype for each in FEATURES}
    assert outputs[0] == "seconds"


def test_the_page_has_what_a_gateway_needs() -> None:
    """And nothing that JSON lacks."""
    _, config, new = old_and_new()
    served = Served(release=recorded(3, 7), version="3")
    told = json.loads(json.dumps(entry(served, ["3", "2"], new, config)))
    assert (told["version"], told["loaded"], told["generation"], told["until"]) == ("3", ["3", "2"], 7, None)


def test_each_change_has_a_number_and_wakes_who_waits() -> None:
    """What is said again is no change."""
    page = Page("staging")
    first = page.read()["number"]
    page.publish({"tiny": {"version": "1"}})
    page.publish({"tiny": {"version": "1"}})
    assert page.read()["number"] == first + 1
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.append(page.read(first + 1, 20.0)["number"]))
    waiting.start()
    page.publish({"tiny": {"version": "2"}})
    waiting.join(10)
    assert found == [first + 2]
    assert page.read(12345, 20.0)["number"] == first + 2
    assert page.read()["started"] != Page("staging").read()["started"]


def test_what_serves_is_remembered_with_the_way_back(tmp_path: Path) -> None:
    """Releases lengthen it, rollbacks shorten it, and going back by itself is remembered, too."""
    served = Served(release=recorded(1, 1), version="1")
    for number in (2, 3):
        served = served.after(recorded(number, number), str(number))
    assert [each.number for each in served.way] == ["2", "1"]
    back = served.after(recorded(2, 4, "rollback"), "2")
    assert [each.number for each in back.way] == ["1"]
    memory = Memory(tmp_path / "serving.json")
    memory.keep("tiny", back.model_copy(update={"override": Override(over=3, reason="r", asked_by="x")}))
    again = Memory(tmp_path / "serving.json").served["tiny"]
    assert again == memory.served["tiny"]
    assert again.after(recorded(2, 5, "rollback"), "2").override is None


def test_the_ledgers_way_back_counts_where_it_leads_past_what_serves() -> None:
    """A new agent learns it; one that is ahead of what it heard keeps its own."""
    served = Served(release=recorded(3, 9), version="3")
    heard = [recorded(4, 10), recorded(3, 9), recorded(2, 5)]
    assert [each.number for each in served.knowing(heard).way] == ["2"]
    assert served.knowing([recorded(4, 10)]) == served


def test_the_memory_of_an_older_agent_is_taken_over(tmp_path: Path) -> None:
    """It knew the release and the version, and no generation."""
    release = recorded(3, 9).release().model_dump(mode="json")
    path = tmp_path / "serving.json"
    path.write_text(json.dumps({"tiny": {"release": release, "version": "3"}}))
    served = Memory(path).served["tiny"]
    assert (served.release.number, served.release.generation, served.way) == ("3", 0, ())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"tiny": 1}', '{"tiny": {"release": {}, "version": "3"}}'])
def test_a_memory_that_cannot_be_read_is_empty(tmp_path: Path, text: str) -> None:
    """The agent then does what the ledger says, as a new one."""
    (tmp_path / "serving.json").write_text(text)
    assert Memory(tmp_path / "serving.json").served == {}
