"""What the engine does to its state folder from outside a run: names, locks, requests, what is refused."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tiphys.cli import main
from tiphys.engine import Engine, EngineError, ManifestError, load_text
from tiphys.engine.control import delete, resubmit
from tiphys.engine.errors import StateLockedError
from tiphys.engine.lock import StateLock, is_held
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState

pytestmark = pytest.mark.unit
TEXT = """
kind: Workflow
metadata: {name: NAME}
spec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}
"""
OUTSIDE = ("../../victim", "..", "/victim", "a/b", "")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine two folders below the test's."""
    return Engine(tmp_path / "home" / "engine")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder beside the state folder, where `runs/../../victim` would lead if `runs` were the state folder's."""
    folder = tmp_path / "home" / "victim"
    folder.mkdir(parents=True)
    (folder / "precious").touch()
    return folder


def submit(engine: Engine, name: str = "wf", text: str = TEXT) -> str:
    """Write a run down."""
    return engine.submit(load_text(text.replace("NAME", name)))


def change(engine: Engine, statement: str, *values: object) -> None:
    """Change rows behind the engine's back."""
    engine.journal.close()
    database = sqlite3.connect(engine.state / "journal.db")
    database.execute(statement, values)
    database.commit()
    database.close()


@pytest.mark.parametrize("name", OUTSIDE[:-1])
def test_a_run_is_resubmitted_under_a_plain_name_only(engine: Engine, name: str) -> None:
    """The same names as for a first submission."""
    submit(engine)
    with pytest.raises(EngineError, match="is no name for a run"):
        resubmit(engine, "wf", as_name=name)
    assert [run.name for run in engine.runs()] == ["wf"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_folder_of_logs(engine: Engine, name: str) -> None:
    """Whoever asks for the log of such a run is refused."""
    with pytest.raises(ManifestError, match="is no name for a run"):
        engine.log_path(name, "node")


def test_nothing_outside_is_deleted_whatever_the_journal_says(engine: Engine, victim: Path) -> None:
    """Neither by `delete` nor as a ttlStrategy runs out."""
    submit(engine, text=TEXT.replace("spec: {", "spec: {ttlStrategy: {secondsAfterCompletion: 0}, "))
    outside = "../../victim"
    change(engine, "UPDATE progress SET run = ?", outside)
    change(engine, "UPDATE runs SET name = ?, phase = 'Succeeded', finished = ?", outside, time.time() - 60)
    change(engine, "UPDATE runs SET header = json_set(header, '$.name', ?)", outside)
    change(engine, "UPDATE progress SET body = json_set(body, '$.phase', 'Succeeded', '$.finished', 1.0)")
    (engine.state / "runs").mkdir()
    again = Engine(engine.state)
    assert [run.name for run in again.runs()] == [outside]
    with pytest.raises(EngineError, match="is no name for a run"):
        delete(again, outside)
    assert (victim / "precious").exists()


def finished(engine: Engine, name: str) -> RunState:
    """The run as its engine has just left it: one step has failed."""
    run = engine.get(name)
    run.nodes[name] = Node(name, name, name, "Pod", "Failed", template_name="main")
    run.phase, run.started, run.finished = "Failed", 1.0, 2.0
    run.dirty.add(name)
    engine.journal.save(run)
    return run


def test_a_stop_that_came_as_the_run_ended_does_not_stop_its_retry(engine: Engine) -> None:
    """Its last save forgets what nobody has taken; after that nothing more can be asked."""
    engine.journal.request(submit(engine), {"kind": "shutdown", "strategy": "Stop"})
    finished(engine, "wf")
    assert not engine.journal.request("wf", {"kind": "shutdown", "strategy": "Stop"})
    assert not engine.stop("wf")
    assert engine.retry("wf") == ["wf"]
    assert engine.journal.take_requests("wf") == []


def test_a_retry_forgets_requests_that_an_older_engine_has_left(engine: Engine) -> None:
    """What is asked after the retry counts."""
    finished(engine, submit(engine))
    change(engine, "INSERT INTO requests (run, body) VALUES ('wf', ?)", '{"kind": "shutdown", "strategy": "Stop"}')
    again = Engine(engine.state)
    again.retry("wf")
    assert again.stop("wf", terminate=True)
    assert again.journal.take_requests("wf") == [{"kind": "shutdown", "strategy": "Terminate"}]


def test_who_asks_about_the_lock_never_keeps_an_engine_from_starting(tmp_path: Path) -> None:
    """`list`, `get` and `watch` ask all the time; nor do they take one another for an engine."""
    with StateLock(tmp_path, "first"):
        assert is_held(tmp_path)
    over = threading.Event()
    held = []

    def ask() -> None:
        while not over.is_set():
            held.append(is_held(tmp_path))

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        while len(held) < 1000:  # nobody holds it: no answer may be yes
            pass
        assert not any(held)
        for _ in range(300):
            with StateLock(tmp_path, "tiphys run"):
                pass
    finally:
        over.set()


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    """After all tries."""
    with (
        StateLock(tmp_path, "tiphys run first"),
        pytest.raises(StateLockedError, match="tiphys run first"),
        StateLock(tmp_path, "second"),
    ):
        pass


def test_an_interrupted_run_of_another_name_is_another_run(engine: Engine) -> None:
    """`run FILE --name second` does not go on with `first`."""
    documents = load_text(TEXT.replace("NAME", "wf"))
    for name in ("first", "second"):
        engine.submit(documents, name=name)
    assert engine.unfinished(documents) == "second"
    assert engine.unfinished(documents, name="first") == "first"
    assert engine.unfinished(documents, name="third") is None


def test_which_steps_are_containers_makes_another_run_and_their_order_does_not(tmp_path: Path) -> None:
    """A run is found again under the same patterns; one of an older engine, which kept none, as ever."""
    documents = load_text(TEXT.replace("NAME", "wf"))

    def digest(*containers: str) -> str:
        return Engine(tmp_path, containers=containers).digest(documents)

    assert digest("a", "b") == digest("b", "a") != digest()
    assert digest() == hashlib.sha256(json.dumps([documents, "", {}], sort_keys=True).encode()).hexdigest()


def test_a_run_of_an_older_engine_knows_no_containers(engine: Engine) -> None:
    """Then the engine that drives it says where its steps run."""
    name = submit(engine)
    assert engine.get(name).containers == []
    change(engine, "UPDATE runs SET header = json_remove(header, '$.containers')")
    assert Engine(engine.state).get(name).containers is None


@pytest.mark.parametrize("command", ["run", "resubmit"])
def test_what_can_not_run_now_is_not_written_down(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """While another run is driven the command is refused, and leaves no Pending run behind."""
    submit(engine, "old")
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(TEXT.replace("NAME", "new"))
    monkeypatch.setattr("tiphys.cli.engine_access.open_engine", lambda **_: engine)
    with StateLock(engine.state, "tiphys run other", "other"):
        assert main([command, str(manifest) if command == "run" else "old"]) == 2
    assert [run.name for run in engine.runs()] == ["old"]


def test_the_metadata_of_the_spec_is_put_on_the_run(engine: Engine) -> None:
    """Labels with their tags filled in, annotations, and labelsFrom, which goes before the rest."""
    metadata = """workflowMetadata: {
      labels: {team: "{{workflow.parameters.team}}", tier: one}, annotations: {note: any text},
      labelsFrom: {tier: {expression: "workflow.labels.team + 'ish'"}}},
      arguments: {parameters: [{name: team, value: blue}]}, """
    run = engine.get(submit(engine, text=TEXT.replace("spec: {", "spec: {" + metadata)))
    assert run.labels == {"team": "blue", "tier": "blueish"}
    assert run.annotations == {"note": "any text"}


def test_a_label_of_the_spec_must_be_one(engine: Engine) -> None:
    """As for metadata.labels."""
    with pytest.raises(ManifestError, match='invalid label value "no label!" for label "team"'):
        submit(engine, text=TEXT.replace("spec: {", 'spec: {workflowMetadata: {labels: {team: "no label!"}}, '))


def test_parameters_are_checked_again_whenever_they_change(engine: Engine) -> None:
    """What `run -p` refuses, `retry -p` and `resubmit -p` refuse; the run stays as it was."""
    color = "arguments: {parameters: [{name: color, value: red, enum: [red, blue]}]}, "
    finished(engine, submit(engine, text=TEXT.replace("spec: {", "spec: {" + color)))
    with pytest.raises(ManifestError, match="should be present in"):
        engine.retry("wf", {"color": "green"})
    with pytest.raises(ManifestError, match="should be present in"):
        resubmit(engine, "wf", {"color": "green"})
    assert [(run.name, run.phase) for run in engine.runs()] == [("wf", "Failed")]
    assert engine.retry("wf", {"color": "blue"}) == ["wf"]


@pytest.mark.parametrize("damaged", ["[1", None, b"\x00\xff", '{"kind": "shutdown"}', "[]", "3"])
def test_a_damaged_request_is_passed_over(engine: Engine, damaged: object) -> None:
    """The one behind it counts."""
    submit(engine)
    change(engine, "INSERT INTO requests (run, body) VALUES ('wf', ?)", damaged)
    change(engine, "INSERT INTO requests (run, body) VALUES ('wf', ?)", '{"kind": "suspend"}')
    assert Engine(engine.state).journal.take_requests("wf") == [{"kind": "suspend"}]


@pytest.mark.parametrize("damaged", ["[1", None, b"\x00\xff"])
def test_damaged_notes_and_columns_leave_their_run_usable(engine: Engine, damaged: object) -> None:
    """Notes are advisory, and a list shows all runs."""
    submit(engine)
    submit(engine, "other")
    change(engine, "UPDATE runs SET notes = ?", damaged)
    change(engine, "UPDATE runs SET digest = NULL, created = 'long ago', phase = NULL")
    again = Engine(engine.state)
    assert len(again.notes("wf")) == 1
    assert {(run.name, run.created, run.phase) for run in again.runs()} == {("wf", 0.0, ""), ("other", 0.0, "")}
    assert again.get("wf").name == "wf"


def test_an_installed_template_that_can_not_be_used_is_in_nobodys_way(engine: Engine) -> None:
    """It refers to another that is not there: who refers to it is refused, all others are not."""
    poison = "kind: WorkflowTemplate\nmetadata: {name: poison}\nspec: {workflowTemplateRef: {name: nowhere}}\n"
    engine.apply(load_text(poison))
    assert "WorkflowTemplate/poison" not in engine.get(submit(engine)).templates
    user = TEXT.partition("container")[0] + "steps: [[{name: a, templateRef: {name: poison, template: t}}]]}]}"
    with pytest.raises(ManifestError, match=r"template reference poison\.t not found"):
        submit(engine, "user", user)
