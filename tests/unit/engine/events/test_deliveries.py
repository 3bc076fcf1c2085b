"""Events in a state folder: kept before they are answered, delivered until they are done, started once."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, load_text
from tiphys.engine.errors import EventRefusedError, EventsFullError, StateLockedError
from tiphys.engine.events import Deliveries, accept, history, store
from tiphys.engine.events.store import EventStore

pytestmark = pytest.mark.unit
Json = dict[str, Any]
TEMPLATE = """
kind: WorkflowTemplate
metadata: {name: shared}
spec:
  entrypoint: main
  arguments: {parameters: [{name: message}]}
  templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]
"""
BINDING = """
kind: WorkflowEventBinding
metadata: {name: NAME}
spec:
  event: {selector: 'SELECTOR'}
  submit:
    workflowTemplateRef: {name: shared}
    arguments: {parameters: [{name: message, valueFrom: {event: payload.message}}]}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine that drives nothing, with a template."""
    found = Engine(tmp_path / "engine")
    found.apply(load_text(TEMPLATE))
    return found


def bind(engine: Engine, name: str = "b", selector: str = 'discriminator == "data"', **submit: Any) -> None:
    """Install a binding, with more under its `submit`."""
    (document,) = load_text(BINDING.replace("NAME", name).replace("SELECTOR", selector.replace("'", "''")))
    document["spec"]["submit"].update(submit)
    engine.apply([document])


def send(engine: Engine, payload: Any = None, discriminator: str = "data", identity: str = "") -> str:
    """An event comes in."""
    wanted = {"message": "hello"} if payload is None else payload
    return accept(engine, "default", discriminator, wanted, {"x-kind": ["push"]}, identity)


def deliver(engine: Engine) -> None:
    """Tick until it wants no more."""
    deliveries = Deliveries(engine)
    while deliveries.tick(2e9) is not None:
        pass
    deliveries.close()


def runs(engine: Engine) -> list[str]:
    """The messages of all runs, sorted."""
    found = [engine.get(run.name).spec["arguments"]["parameters"] for run in engine.runs()]
    return sorted(entry["value"] for entries in found for entry in entries)


def outcome(engine: Engine, event: str) -> list[Json]:
    """What came of an event."""
    return next(each.outcome for each in history(engine.state) if each.id == event)


def test_an_event_starts_a_run_with_its_values(engine: Engine) -> None:
    """With the label of its binding; the event knows the run's name."""
    bind(engine)
    made = send(engine)
    deliver(engine)
    (run,) = engine.runs()
    assert runs(engine) == ["hello"]
    assert run.labels["workflows.argoproj.io/workflow-event-binding"] == "b"
    assert run.labels["workflows.argoproj.io/workflow-template"] == "shared"
    assert outcome(engine, made) == [{"binding": "b", "run": run.name}]
    deliver(engine)
    assert len(engine.runs()) == 1


def test_an_event_that_nobody_wants_is_done(engine: Engine) -> None:
    """A binding that comes later does not get it."""
    bind(engine)
    made = send(engine, discriminator="other")
    deliver(engine)
    bind(engine, "late", "true")
    deliver(engine)
    assert (runs(engine), outcome(engine, made)) == ([], [])


def test_bindings_count_as_they_are_when_an_event_is_delivered(engine: Engine) -> None:
    """One that is installed while it waits gets it."""
    send(engine)
    bind(engine)
    deliver(engine)
    assert runs(engine) == ["hello"]


def test_a_binding_that_fails_does_not_stop_the_others(engine: Engine) -> None:
    """Each error stands beside its binding."""
    bind(engine, "a", "payload.message.deeper == 1")
    bind(engine, "b", "payload.message")
    bind(engine, "c")
    bind(engine, "d", workflowTemplateRef={"name": "gone"})
    bind(engine, "e", arguments={"parameters": [{"name": "message", "valueFrom": {"event": "payload.nothing.x"}}]})
    bind(engine, "f", arguments={})
    made = send(engine)
    deliver(engine)
    found = {step["binding"]: step.get("error", "") for step in outcome(engine, made)}
    assert found["c"] == ""
    assert found["d"].startswith("failed to get workflow template:")
    assert found["e"].startswith('failed to evaluate workflow template parameter "message" expression:')
    assert found["f"].startswith("failed to create workflow: spec.arguments.message.value")
    assert all(
        "failed to evaluate workflow template expression" in found[name] or "cast" in found[name] for name in "ab"
    )
    assert runs(engine) == ["hello"]


@pytest.mark.parametrize("error", [RuntimeError("no such thing"), StateLockedError("no such thing")])
def test_a_run_that_can_not_be_made_is_an_error_of_its_event(
    engine: Engine, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: the event is done with it, and those after it are delivered."""
    bind(engine)
    first, second = send(engine, {"message": "first"}), send(engine)
    create = engine.journal.create

    def failing(run: Any, *arguments: Any) -> Any:
        if run.spec["arguments"]["parameters"][0]["value"] == "first":
            raise error
        return create(run, *arguments)

    monkeypatch.setattr(engine.journal, "create", failing)
    deliver(engine)
    assert runs(engine) == ["hello"]
    assert "no such thing" in outcome(engine, first)[0]["error"]
    assert "run" in outcome(engine, second)[0]


def test_an_event_waits_while_nothing_can_be_written(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no error of an event: it is delivered when there is room again."""
    bind(engine)
    send(engine)

    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(engine.journal, "create", full)
        with pytest.raises(sqlite3.OperationalError):
            deliver(engine)
    deliver(engine)
    assert runs(engine) == ["hello"]


def test_a_payload_that_writes_tags_starts_nothing(engine: Engine) -> None:
    """And it is told why."""
    bind(engine)
    made = send(engine, {"message": "{{workflow.name}}"})
    deliver(engine)
    assert runs(engine) == []
    assert "would be filled in as a tag" in outcome(engine, made)[0]["error"]


def test_a_binding_of_another_namespace_does_not_get_it(engine: Engine) -> None:
    """One that names none is where the engine is."""
    bind(engine)
    accept(engine, "elsewhere", "data", {"message": "hello"})
    deliver(engine)
    assert runs(engine) == []


def test_the_same_id_again_starts_nothing_for_ever(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the event itself has been forgotten; another discriminator is another sender."""
    monkeypatch.setattr(store, "KEPT", 1)
    bind(engine, selector="true")
    first = send(engine, identity="m1")
    assert send(engine, {"message": "other"}, identity="m1") == first
    deliver(engine)
    for number in range(3):
        send(engine, {"message": f"between {number}"})
    deliver(engine)
    assert first not in [event.id for event in history(engine.state)]
    assert send(Engine(engine.state), identity="m1") == first
    send(engine, discriminator="other", identity="m1")
    deliver(engine)
    assert runs(engine) == ["between 0", "between 1", "between 2", "hello", "hello"]


def test_without_an_id_each_is_an_event_of_its_own(engine: Engine) -> None:
    """Even with the same payload."""
    bind(engine)
    assert len({send(engine) for _ in range(3)}) == 3
    deliver(engine)
    assert runs(engine) == ["hello"] * 3


def test_a_hundred_at_once_with_one_id_are_one_event(engine: Engine) -> None:
    """From threads with connections of their own."""
    bind(engine)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(send(engine, identity="m1"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found))) == (100, 1)
    deliver(engine)
    assert runs(engine) == ["hello"]


def test_one_tick_delivers_some_and_asks_to_be_called_at_once(engine: Engine) -> None:
    """Runs that go on do not wait for a flood of events; none is lost."""
    bind(engine)
    for number in range(12):
        send(engine, {"message": str(number)})
    deliveries = Deliveries(engine)
    assert deliveries.tick(2e9) == 2e9
    assert 0 < len(engine.runs()) < 12
    deliver(engine)
    assert len(runs(engine)) == 12


def test_a_name_that_is_taken_is_an_error_of_its_event(engine: Engine) -> None:
    """As on Argo: the run that has it stays as it is."""
    bind(engine, metadata={"name": 'payload.message + "-world"'})
    first, second = send(engine), send(engine)
    deliver(engine)
    assert [run.name for run in engine.runs()] == ["hello-world"]
    assert outcome(engine, first) == [{"binding": "b", "run": "hello-world"}]
    assert "exists already" in outcome(engine, second)[0]["error"]


@pytest.mark.parametrize("name", ["../../x", "A B", "x" * 64, ""])
def test_a_name_that_is_none_is_an_error_of_its_event(engine: Engine, name: str) -> None:
    """No payload leads a run out of its folder."""
    bind(engine, metadata={"name": "payload.message"})
    made = send(engine, {"message": name})
    deliver(engine)
    if name:
        assert runs(engine) == []
        assert "error" in outcome(engine, made)[0]
    else:
        assert [run.name[:7] for run in engine.runs()] == ["shared-"], "an empty name is none: one is made"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("x" * (1 << 20), "bytes, 1048576 are allowed"),
        (float("nan"), "nothing that JSON could carry"),
        ({"a": {1, 2}}, "nothing that JSON could carry"),
        (json.loads("[" * 200 + "]" * 200), "levels deep"),
    ],
)
def test_a_payload_that_is_too_much_is_refused(engine: Engine, payload: Any, message: str) -> None:
    """Nothing is kept of it."""
    with pytest.raises(EventRefusedError, match=message):
        send(engine, payload)
    assert history(engine.state) == []


@pytest.mark.parametrize(("discriminator", "identity"), [("x" * 254, ""), ("a\nb", ""), ("", "x" * 513), ("", "a\0b")])
def test_a_name_or_id_that_is_too_much_is_refused(engine: Engine, discriminator: str, identity: str) -> None:
    """They are shown, and compared."""
    with pytest.raises(EventRefusedError, match="printable characters"):
        send(engine, discriminator=discriminator, identity=identity)


@pytest.mark.parametrize(
    "payload", [None, [], "text", 1, True, 1e308, {"message": "\ud800 \x00"}, {"": {"": []}}, 10**400]
)
def test_any_json_is_an_event(engine: Engine, payload: Any) -> None:
    """What a selector can't read is its error, and the next event is delivered."""
    bind(engine)
    made = accept(engine, "default", "data", payload)
    send(engine)
    deliver(engine)
    assert "hello" in runs(engine)
    assert all(event.done for event in history(engine.state))
    assert isinstance(outcome(engine, made), list)


def test_too_many_that_wait_are_refused_until_some_are_delivered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that was refused may be sent again; one that is known is no more."""
    monkeypatch.setattr(store, "MOST_WAITING", 2)
    bind(engine)
    first = send(engine, identity="m1")
    send(engine)
    with pytest.raises(EventsFullError, match="2 events wait"):
        send(engine, identity="m3")
    assert send(engine, identity="m1") == first
    deliver(engine)
    send(engine, identity="m3")
    deliver(engine)
    assert len(runs(engine)) == 3


def test_what_is_kept_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest events with the beginning of their payload; those that wait are kept whole."""
    monkeypatch.setattr(store, "KEPT", 3)
    for number in range(6):
        send(engine, {"message": str(number), "more": "x" * 10_000})
    deliver(engine)
    found = history(engine.state)
    assert [event.payload[:14] for event in found] == ['{"message":"5"', '{"message":"4"', '{"message":"3"']
    assert {len(event.payload) for event in found} == {store.SHOWN_PAYLOAD}


class KilledError(BaseException):
    """Stands for the end of the process: nothing in the engine catches it."""


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", range(16))
def test_killed_at_any_write_each_binding_starts_its_run_once(
    engine: Engine,
    number: int,
    before: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three events for two bindings; after the death a binding and its template are others, which must not matter."""
    bind(engine, "a")
    bind(engine, "b", "true", metadata={"generateName": '"made-by-b-"'})
    for event in range(3):
        send(engine, {"message": str(event)})
    left = number

    def dying(whole: Any) -> Any:
        def write(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0 and before:
                raise KilledError
            result = whole(*arguments, **named)
            if left < 0:
                raise KilledError
            return result

        return write

    mine = Engine(engine.state)
    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "intend", dying(EventStore.intend))
        patch.setattr(EventStore, "finish", dying(EventStore.finish))
        patch.setattr(mine.journal, "create", dying(mine.journal.create))
        killed = False
        try:
            deliver(mine)
        except KilledError:
            killed = True
    assert killed == (number < 12)
    begun = {run.name for run in engine.runs()}
    bind(engine, "b", "true", metadata={"generateName": '"now-other-"'})
    deliver(Engine(engine.state))
    assert begun <= {run.name for run in engine.runs()}
    assert runs(engine) == ["0", "0", "1", "1", "2", "2"]
    assert all(event.done and len(event.outcome) == 2 for event in history(engine.state))
    assert all("run" in step for event in history(engine.state) for step in event.outcome)
