"""CronWorkflows in a state folder: the clock is the test's, journal and objects are real."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, load_text
from tiphys.engine.control import delete
from tiphys.engine.nodes import Node
from tiphys.engine.run_state import RunState
from tiphys.engine.schedules.service import Schedules

pytestmark = pytest.mark.unit
Json = dict[str, Any]
NOON = datetime(2030, 5, 6, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
CRON = """
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: ["0 * * * *"]
  workflowSpec: {entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}
"""
TEMPLATE = """
kind: WorkflowTemplate
metadata: {name: shared}
spec:
  entrypoint: main
  arguments: {parameters: [{name: who, value: you}]}
  templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]
"""
BY_TEMPLATE = CRON.replace(
    '{entrypoint: main, templates: [{name: main, container: {image: "debian:12", command: ["true"]}}]}',
    "{workflowTemplateRef: {name: shared}, arguments: {parameters: [{name: who, value: me}]}}",
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine that drives nothing."""
    return Engine(tmp_path / "engine")


def install(engine: Engine, text: str, **spec: Any) -> None:
    """Put the CronWorkflow there, with more in its spec."""
    (document,) = load_text(text)
    document["spec"].update(spec)
    engine.apply([document])


def status(engine: Engine, name: str = "nightly") -> Json:
    """What the object says."""
    return {"active": [], **((engine.objects.get("CronWorkflow", name) or {}).get("status") or {})}


def names(engine: Engine) -> list[str]:
    """All runs, the oldest first."""
    return sorted(run.name for run in engine.runs())


def end(engine: Engine, name: str, phase: str = "Succeeded") -> None:
    """The run ends, as if it had been driven."""
    run: RunState = engine.get(name)
    run.phase, run.started, run.finished = phase, run.created, time.time()
    run.nodes[name] = Node(id=name, name=name, display_name=name, type="Pod", phase=phase)
    run.dirty.add(name)
    engine.journal.save(run)


def test_a_run_is_written_down_at_its_moment(engine: Engine) -> None:
    """With Argo's labels; the object says that it is active, under its uid."""
    install(engine, CRON)
    schedules = Schedules(engine)
    assert schedules.tick(NOON + 1) == NOON + HOUR
    schedules.tick(NOON + HOUR + 0.2)
    (name,) = names(engine)
    run = engine.get(name)
    assert name == f"nightly-{NOON + HOUR:.0f}"
    assert run.labels["workflows.argoproj.io/cron-workflow"] == "nightly"
    assert run.annotations["workflows.argoproj.io/scheduled-time"] == "2030-05-06T13:00:00Z"
    assert [each["uid"] for each in status(engine)["active"]] == [run.uid]
    end(engine, name)
    schedules.tick(NOON + HOUR + 60)
    assert (status(engine)["active"], status(engine)["succeeded"]) == ([], 1)


def test_a_run_of_a_template_has_its_parameters(engine: Engine) -> None:
    """WorkflowTemplateRef and arguments, as in a Workflow."""
    engine.apply(load_text(TEMPLATE))
    install(engine, BY_TEMPLATE)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    run = engine.get(names(engine)[0])
    assert run.spec["arguments"]["parameters"] == [{"name": "who", "value": "me"}]


def test_a_template_that_is_gone_is_told_at_the_moment(engine: Engine) -> None:
    """In Argo's words; back again, the next moment has its run."""
    install(engine, BY_TEMPLATE)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    (condition,) = status(engine)["conditions"]
    assert names(engine) == []
    assert condition["message"].startswith("cannot validate Workflow: WorkflowTemplate 'shared' is not known")
    engine.apply(load_text(TEMPLATE))
    schedules.tick(NOON + 2 * HOUR)
    assert len(names(engine)) == 1
    assert status(engine)["conditions"] is None


def test_a_name_that_another_run_has_is_told(engine: Engine) -> None:
    """The run that has it is left alone, and is not counted."""
    engine.submit(load_text(CRON.replace("CronWorkflow", "Workflow").replace("nightly", f"nightly-{NOON + HOUR:.0f}").replace(
        '  schedules: ["0 * * * *"]\n  workflowSpec: {', "  ").replace('command: ["true"]}}]}', 'command: ["true"]}}]')
        .replace("entrypoint: main, templates", "entrypoint: main\n  templates")))  # fmt: skip
    install(engine, CRON)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    (condition,) = status(engine)["conditions"]
    assert condition["type"] == "SubmissionError"
    assert "exists already" in condition["message"]
    assert status(engine)["active"] == []


def test_the_history_limits_let_the_oldest_runs_go(engine: Engine) -> None:
    """Their logs too."""
    install(engine, CRON, successfulJobsHistoryLimit=1)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    for hour in range(1, 4):
        schedules.tick(NOON + hour * HOUR)
        name = f"nightly-{NOON + hour * HOUR:.0f}"
        engine.folder(name).mkdir(parents=True)
        end(engine, name)
        schedules.tick(NOON + hour * HOUR + 1)
    assert names(engine) == [name]
    assert [path.name for path in engine.folder(name).parent.iterdir()] == [name]
    assert status(engine)["succeeded"] == 3


def test_replace_terminates_what_goes_on(engine: Engine) -> None:
    """The engine that drives it is asked to."""
    install(engine, CRON, concurrencyPolicy="Replace")
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    schedules.tick(NOON + 2 * HOUR)
    first, _ = names(engine)
    assert engine.journal.take_requests(first) == [{"kind": "shutdown", "strategy": "Terminate"}]


def test_a_run_that_somebody_deletes_is_not_active_any_more(engine: Engine) -> None:
    """Forbid does not wait for it for ever."""
    install(engine, CRON, concurrencyPolicy="Forbid")
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    delete(engine, names(engine)[0])
    schedules.tick(NOON + HOUR + 60)
    assert status(engine)["active"] == []
    schedules.tick(NOON + 2 * HOUR)
    assert len(names(engine)) == 1


def test_a_run_that_is_retried_is_active_again(engine: Engine) -> None:
    """As on Argo: whatever has the label and goes on counts."""
    install(engine, CRON)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    (name,) = names(engine)
    end(engine, name, "Failed")
    schedules.tick(NOON + HOUR + 60)
    assert status(engine)["active"] == []
    end(engine, name, "Running")
    schedules.tick(NOON + HOUR + 61)
    assert [each["name"] for each in status(engine)["active"]] == [name]


def test_a_manifest_that_is_applied_again_keeps_what_has_become_of_it(engine: Engine) -> None:
    """Status and marks are the engine's; a schedule that has changed counts at once."""
    install(engine, CRON)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    install(engine, CRON, schedules=["30 * * * *"])
    assert status(engine)["lastScheduledTime"] == "2030-05-06T13:00:00Z"
    schedules.tick(NOON + HOUR + 60)
    assert schedules.tick(NOON + HOUR + 60) == NOON + HOUR + 1800


def test_one_that_is_deleted_starts_nothing_and_made_anew_begins_anew(engine: Engine) -> None:
    """The runs of the old one are not the new one's."""
    install(engine, CRON, concurrencyPolicy="Forbid")
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    engine.objects.delete("CronWorkflow", "nightly")
    assert schedules.tick(NOON + 2 * HOUR) is None
    assert len(names(engine)) == 1
    change_creation(engine, names(engine)[0])
    install(engine, CRON, concurrencyPolicy="Forbid")
    schedules.tick(NOON + 2 * HOUR + 1)
    assert status(engine)["active"] == []
    schedules.tick(NOON + 3 * HOUR)
    assert len(names(engine)) == 2


def change_creation(engine: Engine, name: str) -> None:
    """Let the run be a minute older."""
    run = engine.get(name)
    run.created -= 60
    engine.journal._database.execute("UPDATE runs SET created = created - 60 WHERE name = ?", (name,))
    engine.journal.rewrite(run, [])


BROKEN = [
    {"spec": {"schedules": 5}}, {"spec": None}, {"spec": {"schedules": ["* * * *"], "workflowSpec": {}}}, {"spec": "x"},
    {"status": {"active": "nonsense", "succeeded": "x", "conditions": [1], "lastScheduledTime": 3, "phase": []}},
]  # fmt: skip


@pytest.mark.parametrize("damage", BROKEN)
def test_one_that_is_broken_does_not_keep_the_others(
    engine: Engine, damage: Json, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever wrote nonsense into its object: it is told there, and no traceback is needed."""
    install(engine, CRON)
    install(engine, CRON.replace("nightly", "a-broken"))
    engine.objects.update("CronWorkflow", "a-broken", lambda old: {**old, **damage})
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + HOUR)
    assert f"nightly-{NOON + HOUR:.0f}" in names(engine)
    assert [record.exc_info for record in caplog.records if record.exc_info] == []
    if "spec" in damage:
        assert status(engine, "a-broken")["conditions"][0]["type"] == "SpecError"


def test_nothing_is_read_while_nothing_is_due_or_new(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """To be woken for nothing costs two small questions."""
    install(engine, CRON)
    schedules = Schedules(engine)
    schedules.tick(NOON + 1)
    schedules.tick(NOON + 1)
    monkeypatch.setattr(engine.objects, "every", lambda _kind: pytest.fail("read"))
    assert schedules.tick(NOON + 2) == NOON + HOUR


class KilledError(BaseException):
    """Stands for the end of the process: nothing in the engine catches it."""


class Killer:
    """Dies at the Nth write, before or after it."""

    def __init__(self, engine: Engine, number: int, *, before: bool) -> None:
        """Writes are those of objects and of new runs."""
        self.number, self._before = number, before
        for owner, name in ((engine.objects, "update"), (engine.journal, "create"), (engine.journal, "delete")):
            self._wrap(owner, name)

    def _wrap(self, owner: Any, name: str) -> None:
        whole = getattr(owner, name)

        def write(*arguments: Any) -> Any:
            self.number -= 1
            if self.number < 0 and self._before:
                raise KilledError
            result = whole(*arguments)
            if self.number < 0:
                raise KilledError
            return result

        setattr(owner, name, write)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", range(14))
@pytest.mark.parametrize("deadline", [None, 86400])
def test_killed_at_any_write_each_moment_has_its_run_once(
    tmp_path: Path,
    number: int,
    before: bool,  # noqa: FBT001
    deadline: int | None,
) -> None:
    """Three moments, a run that ends, a history that forgets: whatever write is the last of an engine's life."""
    engine = Engine(tmp_path / "engine")
    install(engine, CRON, successfulJobsHistoryLimit=1, startingDeadlineSeconds=deadline)
    started: set[str] = set()

    def live(killer: int) -> bool:
        mine = Engine(tmp_path / "engine")
        Killer(mine, killer, before=before)
        schedules = Schedules(mine)
        try:
            for now in moments:
                schedules.tick(now)
                schedules.tick(now)
                started.update(names(engine))
                if now in (NOON + HOUR + 1, NOON + 2 * HOUR + 1) and names(engine):
                    end(engine, names(engine)[-1])
                reached.append(now)
        except KilledError:
            started.update(names(engine))
            return False
        return True

    moments = [
        NOON + 1,
        NOON + HOUR,
        NOON + HOUR + 1,
        NOON + HOUR + 2,
        NOON + 2 * HOUR,
        NOON + 2 * HOUR + 1,
        NOON + 3 * HOUR,
    ]
    reached: list[float] = []
    if not live(number):
        # A moment at which the engine died is looked at again by the next, as it is when the service lives again soon.
        moments = moments[len(reached) :]
        assert live(1000)
    wanted = {f"nightly-{NOON + hour * HOUR:.0f}" for hour in (1, 2, 3)}
    missed = wanted - started
    assert started <= wanted
    assert len(missed) <= 1, "only a moment that was not yet admitted may be missed"
    assert deadline is None or missed <= {f"nightly-{NOON + HOUR:.0f}"}, "what has run before is made up for"
    assert len(names(engine)) <= 2, "the history limit holds"
    assert {each["name"] for each in status(engine)["active"]} == {f"nightly-{NOON + 3 * HOUR:.0f}"} - missed
