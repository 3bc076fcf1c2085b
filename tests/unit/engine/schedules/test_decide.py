"""What a CronWorkflow does, by a clock that the test holds: no process, no file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiphys.engine.schedules.cron_workflow import LAST_USED, Child, child_name, child_workflow, moment_of, next_moment
from tiphys.engine.schedules.crontab import parse_schedule
from tiphys.engine.schedules.decide import Watch, admit, look, refused, started

pytestmark = pytest.mark.unit
Json = dict[str, Any]
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def at(text: str, zone: str = "UTC") -> float:
    """Seconds since the epoch of a wall clock's time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@dataclass
class Clockwork:
    """A CronWorkflow, its runs, and an engine that lives until `die`."""

    spec: Json
    cron: Json = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    watch: Watch | None = None
    wake: float | None = None
    ended: list[str] = field(default_factory=list)
    problem: str = ""

    def __post_init__(self) -> None:
        metadata = {"name": "c", "uid": "u", "creationTimestamp": "2020-01-01T00:00:00Z", "labels": {"team": "blue"}}
        self.cron = {"kind": "CronWorkflow", "metadata": metadata, "spec": self.spec}

    def tick(self, now: float, *, submits: bool = True) -> list[int]:
        """One look; the moments for which runs were started. With `submits` false the engine dies before it submits."""
        found = look(self.cron, list(self.children.values()), self.watch, now)
        self.cron = found.cron
        begun = [moment for moment in found.again if self._submit(moment)]
        if found.due is not None:
            admission = admit(self.cron, found.due, now, self.problem)
            self.cron = admission.cron
            self.ended += admission.end
            if admission.start and not submits:
                self.die()
                return []
            if admission.start and self._submit(found.due):
                begun.append(found.due)
        for name in found.forget:
            del self.children[name]
        self.watch, self.wake = found.watch, found.wake
        return begun

    def _submit(self, moment: int) -> bool:
        name = child_name(self.cron, moment)
        fresh = name not in self.children
        self.children.setdefault(name, Child(name, f"uid-{moment}", "Running", float(moment)))
        self.cron = started(self.cron, self.children[name])
        return fresh

    def end(self, moment: int, phase: str = "Succeeded") -> None:
        """The run for a moment ends."""
        name = child_name(self.cron, moment)
        self.children[name] = replace(self.children[name], phase=phase, finished=float(moment) + 1)

    def die(self) -> None:
        """The engine is gone, with all that it has not written down."""
        self.watch = None

    def until(self, begin: float, end: float) -> list[int]:
        """Live from `begin` to `end`, woken when it asks to be; what was started."""
        found, now = self.tick(begin), begin
        while self.wake is not None and self.wake <= end:
            now = max(now, self.wake)
            found += self.tick(now)
        return found

    @property
    def status(self) -> Json:
        """What the object says."""
        found: Json = self.cron["status"]
        return found


def clockwork(*schedules: str, **spec: Any) -> Clockwork:
    """A CronWorkflow of these schedules."""
    return Clockwork({"schedules": list(schedules), "workflowSpec": {"entrypoint": "main"}, **spec})


def test_a_new_one_starts_nothing_before_its_first_moment() -> None:
    """What passed before it was there is not made up for."""
    machine = clockwork("0 * * * *", startingDeadlineSeconds=86400)
    assert machine.tick(NOON + 1) == []
    assert machine.wake == NOON + HOUR
    assert machine.tick(NOON + HOUR - 0.1) == []
    assert machine.tick(NOON + HOUR) == [NOON + HOUR]
    assert machine.wake == NOON + 2 * HOUR


def test_a_run_has_the_name_labels_and_annotations_that_argo_gives() -> None:
    """Its name says for which moment it is."""
    spec = {"workflowMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "workflowSpec": {"entrypoint": "x"}}
    cron = {
        "apiVersion": "argoproj.io/v1alpha1",
        "metadata": {"name": "c", "labels": {"mine": "1", "workflows.argoproj.io/creator": "me"}},
        "spec": spec,
    }
    made = child_workflow(cron, 1615836720)
    assert made["metadata"] == {
        "name": "c-1615836720",
        "labels": {"workflows.argoproj.io/creator": "me", "workflows.argoproj.io/cron-workflow": "c", "a": "b"},
        "annotations": {"workflows.argoproj.io/scheduled-time": "2021-03-15T19:32:00Z", "c": "d"},
    }
    assert made["spec"] == {"entrypoint": "x"}
    assert moment_of(cron, "c-1615836720") == 1615836720
    assert moment_of(cron, "c-x") is None
    assert moment_of(cron, "d-1") is None


def test_the_status_says_what_argos_says() -> None:
    """Active runs, the last moment, the counters, the phase, and which schedule was used."""
    machine = clockwork("0 * * * *", timezone="Europe/Berlin")
    machine.until(NOON + 1, NOON + HOUR)
    (reference,) = machine.status["active"]
    assert (reference["kind"], reference["name"], reference["uid"]) == ("Workflow", *_names(NOON + HOUR))
    assert machine.status["lastScheduledTime"] == "2024-05-06T13:00:00Z"
    assert machine.status["phase"] == "Active"
    assert machine.cron["metadata"]["annotations"][LAST_USED] == "CRON_TZ=Europe/Berlin 0 * * * *"
    machine.end(int(NOON + HOUR), "Failed")
    machine.tick(NOON + HOUR + 5)
    assert (machine.status["active"], machine.status["failed"], machine.status["succeeded"]) == ([], 1, 0)


def _names(moment: float) -> tuple[str, str]:
    return f"c-{moment:.0f}", f"uid-{moment:.0f}"


def test_allow_lets_runs_stand_side_by_side() -> None:
    """The default, as on Argo."""
    machine = clockwork("* * * * *")
    assert len(machine.until(NOON + 1, NOON + 180)) == 3
    assert len(machine.status["active"]) == 3


def test_forbid_starts_nothing_while_a_run_goes_on() -> None:
    """The moment is gone, unless startingDeadlineSeconds keeps it."""
    machine = clockwork("* * * * *", concurrencyPolicy="Forbid")
    assert machine.until(NOON + 1, NOON + 180) == [NOON + 60]
    machine.end(int(NOON + 60))
    assert machine.tick(NOON + 185) == []
    assert machine.until(NOON + 186, NOON + 240) == [NOON + 240]


def test_forbid_with_a_deadline_starts_late_when_the_run_has_ended() -> None:
    """As on Argo the moment is looked at again when something has changed."""
    machine = clockwork("0 * * * *", concurrencyPolicy="Forbid", startingDeadlineSeconds=600)
    machine.until(NOON + 1, NOON + 2 * HOUR)
    machine.end(int(NOON + HOUR))
    assert machine.tick(NOON + 2 * HOUR + 599) == [NOON + 2 * HOUR]


def test_replace_ends_the_runs_that_go_on() -> None:
    """All of them, then the new one starts."""
    machine = clockwork("* * * * *", concurrencyPolicy="Replace")
    assert len(machine.until(NOON + 1, NOON + 120)) == 2
    assert machine.ended == [f"c-{NOON + 60:.0f}"]


def test_a_suspended_one_starts_nothing_and_makes_up_for_nothing() -> None:
    """Resumed, it waits for its next moment."""
    machine = clockwork("* * * * *", suspend=True)
    assert machine.until(NOON + 1, NOON + 180) == []
    assert machine.wake is None
    machine.cron["spec"] = {**machine.spec, "suspend": False}
    assert machine.tick(NOON + 181) == []
    assert machine.wake == NOON + 240


@pytest.mark.parametrize(
    ("deadline", "down", "made_up_for"),
    [
        (None, 65, []),
        (0, 65, []),
        (5, 65, []),
        (6, 65, [120]),
        (10_000, 65, [120]),
        (10_000, 3605, [3660]),
        (4, 3605, []),
    ],
)
def test_after_downtime_only_the_last_missed_run_starts_and_only_before_its_deadline(
    deadline: int | None, down: int, made_up_for: list[int]
) -> None:
    """Argo's example: down from 12:01:00 for a time; how long after the last moment it lives again decides."""
    spec = {} if deadline is None else {"startingDeadlineSeconds": deadline}
    machine = clockwork("* * * * *", **spec)
    machine.until(NOON + 1, NOON + 60)
    machine.die()
    assert machine.tick(NOON + 60 + down) == [NOON + moment for moment in made_up_for]
    assert machine.tick(NOON + 61 + down) == []


def test_one_run_makes_up_for_what_several_schedules_have_missed() -> None:
    """The latest moment of all of them."""
    machine = clockwork("0 * * * *", "30 * * * *", startingDeadlineSeconds=86400)
    machine.until(NOON + 1, NOON + 1800)
    machine.die()
    assert machine.tick(NOON + 5 * HOUR + 60) == [NOON + 5 * HOUR]
    assert machine.tick(NOON + 5 * HOUR + 61) == []


def test_schedules_that_are_new_have_missed_nothing() -> None:
    """As on Argo, whatever startingDeadlineSeconds says."""
    machine = clockwork("0 * * * *", startingDeadlineSeconds=86400)
    machine.until(NOON + 1, NOON + HOUR)
    machine.cron["spec"] = {**machine.spec, "schedules": ["30 * * * *"]}
    assert machine.tick(NOON + 2 * HOUR + 60) == []
    assert machine.wake == NOON + 2 * HOUR + 1800


def test_a_machine_that_slept_makes_up_for_at_most_one_run() -> None:
    """Sleep is downtime: nothing without startingDeadlineSeconds, else the last one."""
    for deadline, wanted in ((0, []), (86400, [NOON + 20 * HOUR])):
        machine = clockwork("0 * * * *", startingDeadlineSeconds=deadline)
        machine.until(NOON + 1, NOON + HOUR)
        assert machine.tick(NOON + 20 * HOUR + 600) == wanted
        assert machine.tick(NOON + 20 * HOUR + 601) == []
        assert machine.wake == NOON + 21 * HOUR


def test_an_engine_that_is_a_little_late_is_on_time() -> None:
    """A busy moment costs no run, whatever the deadline; the run's name says when it should have been."""
    machine = clockwork("0 * * * *", startingDeadlineSeconds=0)
    machine.tick(NOON + 1)
    assert machine.tick(NOON + HOUR + 59) == [NOON + HOUR]


def test_a_clock_that_is_set_back_by_an_hour_starts_nothing_twice() -> None:
    """It waits until the clock has come as far again."""
    machine = clockwork("*/10 * * * *", startingDeadlineSeconds=86400)
    machine.until(NOON + 1, NOON + HOUR)
    assert machine.until(NOON + 5, NOON + HOUR + 1) == []
    machine.die()
    assert machine.until(NOON + 10, NOON + HOUR + 1) == []
    assert machine.until(NOON + HOUR + 2, NOON + HOUR + 600) == [NOON + HOUR + 600]


def test_a_clock_that_was_years_ahead_does_not_stop_everything_for_years() -> None:
    """Corrected by more than a day, it goes on from there."""
    machine = clockwork("0 * * * *")
    machine.until(NOON + 900 * DAY + 1, NOON + 900 * DAY + HOUR)
    assert machine.until(NOON + 1, NOON + HOUR) == [NOON + HOUR]
    machine.die()
    assert machine.until(NOON + HOUR + 1, NOON + 2 * HOUR) == [NOON + 2 * HOUR]


def test_every_counts_from_the_last_run_also_over_a_restart() -> None:
    """And from now where its step is over, as nothing is made up for."""
    machine = clockwork("@every 1h")
    assert machine.until(NOON + 0.5, NOON + HOUR + 1) == [NOON + HOUR]
    machine.die()
    machine.tick(NOON + HOUR + 60)
    assert machine.wake == NOON + 2 * HOUR
    machine.die()
    machine.tick(NOON + 5 * HOUR + 60)
    assert machine.wake == NOON + 6 * HOUR + 60


def test_waking_often_does_not_put_every_off() -> None:
    """Whoever wakes the engine, the moment stays."""
    machine = clockwork("@every 10s")
    found = [moment for second in range(100) for moment in machine.tick(NOON + second / 2)]
    assert found == [NOON + 10, NOON + 20, NOON + 30, NOON + 40]


def test_two_schedules_of_one_moment_start_one_run() -> None:
    """A moment has one name."""
    assert clockwork("0 * * * *", "@hourly", "*/30 * * * *").until(NOON + 1, NOON + HOUR) == [NOON + 1800, NOON + HOUR]


def test_a_stop_strategy_ends_it_for_good() -> None:
    """The label and the phase say so; no moment counts any more."""
    machine = clockwork("* * * * *", stopStrategy={"expression": "cronworkflow.failed >= 2"})
    for _ in range(2):
        machine.end(
            machine.until(NOON + 1 if machine.wake is None else machine.wake - 1, machine.wake or NOON + 60)[0],
            "Failed",
        )
    assert machine.tick(NOON + 121) == []
    assert machine.status["phase"] == "Stopped"
    assert machine.cron["metadata"]["labels"] == {"team": "blue", "cronworkflows.argoproj.io/completed": "true"}
    assert machine.wake is None
    assert machine.until(NOON + 122, NOON + HOUR) == []


def test_a_stop_strategy_that_fails_starts_nothing_and_says_why() -> None:
    """A condition of the object, in Argo's words."""
    machine = clockwork("* * * * *", stopStrategy={"expression": "cronworkflow.nothing > 1"})
    assert machine.until(NOON + 1, NOON + 60) == []
    (condition,) = machine.status["conditions"]
    assert condition["type"] == "SpecError"
    assert condition["message"].startswith(
        "failed to check CronWorkflow 'c' stopping condition: failed to evaluate stop expression:"
    )


def test_when_decides_at_each_moment() -> None:
    """A moment for which it does not hold has no run, and the next is asked anew."""
    even = "{{= cronworkflow.lastScheduledTime == nil || (now() - cronworkflow.lastScheduledTime).Seconds() > 3600 }}"
    found = clockwork("*/30 * * * *", when=even).until(NOON + 1, NOON + 4 * HOUR)
    assert found == [NOON + 1800, NOON + 1800 + 1.5 * HOUR, NOON + 1800 + 3 * HOUR]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("{{cronworkflow.failed}} == 0", "run policy error: failed to resolve {{cronworkflow.failed}} to string"),
        ("{{nothing}}", "run policy error: failed to resolve {{nothing}}"),
        ('{{= "a" == "a" }}', "run policy error: failed to unmarshall JSON expression"),
        ("{{cronworkflow.name}}", "run policy error: Expected boolean evaluation for 'c'. Got c"),
    ],
)
def test_when_that_fails_is_told_and_counted(when: str, message: str) -> None:
    """As on Argo: a SubmissionError, and one failure more."""
    machine = clockwork("* * * * *", when=when)
    assert machine.until(NOON + 1, NOON + 60) == []
    (condition,) = machine.status["conditions"]
    assert (condition["type"], machine.status["failed"]) == ("SubmissionError", 1)
    assert condition["message"].startswith(message)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("{{= cronworkflow.failed == 0 }}", True),
        ("{{cronworkflow.name}} == c && {{= cronworkflow.labels.team ?? 'none' }} == none", True),
        ("{{= cronworkflow.succeeded > 0 }}", False),
        ("{{cronworkflow.namespace}} == ''", False),
        ("true", True),
        ("false", False),
    ],
)
def test_when_sees_what_argo_lets_it_see(when: str, holds: bool) -> None:  # noqa: FBT001
    """Beside labels.json the labels are hidden, as there."""
    assert bool(clockwork("* * * * *", when=when).until(NOON + 1, NOON + 60)) == holds


def test_a_workflow_that_is_wrong_is_told_and_starts_nothing() -> None:
    """Mended, it starts, and the condition goes."""
    machine = clockwork("* * * * *")
    machine.problem = "cannot validate Workflow: nonsense"
    assert machine.until(NOON + 1, NOON + 60) == []
    assert machine.status["conditions"] == [{"type": "SpecError", "message": machine.problem, "status": "True"}]
    machine.problem = ""
    assert machine.until(NOON + 61, NOON + 120) == [NOON + 120]
    assert machine.status["conditions"] is None


def test_a_run_that_could_not_be_submitted_is_told() -> None:
    """It is not active, and was not the last one."""
    machine = clockwork("* * * * *")
    machine.until(NOON + 1, NOON + 60)
    cron = refused(
        admit(machine.cron, int(NOON + 120), NOON + 120).cron, int(NOON + 120), "Failed to submit Workflow: x"
    )
    assert [each["name"] for each in cron["status"]["active"]] == [f"c-{NOON + 60:.0f}"]
    assert cron["status"]["lastScheduledTime"] == "2024-05-06T12:01:00Z"
    assert (cron["status"]["failed"], cron["status"]["conditions"][0]["type"]) == (1, "SubmissionError")


@pytest.mark.parametrize(
    ("limits", "kept"), [({}, (3, 1)), ({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 2}, (0, 2))]
)
def test_the_oldest_runs_go_when_there_are_too_many(limits: Json, kept: tuple[int, int]) -> None:
    """Three that succeeded and one that did not are kept where nothing is said; those that go on always."""
    machine = clockwork("* * * * *", **limits)
    for index in range(10):
        (moment,) = machine.until(NOON + 60 * index + 1, NOON + 60 * index + 60)
        if index < 9:
            machine.end(moment, "Failed" if index % 2 else "Succeeded")
    machine.tick(NOON + 601)
    phases = [child.phase for child in machine.children.values()]
    assert (phases.count("Succeeded"), phases.count("Failed"), phases.count("Running")) == (*kept, 1)
    assert machine.status["succeeded"] + machine.status["failed"] == 9


def test_what_was_admitted_starts_once_whenever_the_engine_dies() -> None:
    """Before it submits the run, or after that but before it has written so down."""
    machine = clockwork("0 * * * *")
    machine.tick(NOON + 1)
    machine.tick(NOON + HOUR, submits=False)
    assert machine.children == {}
    assert machine.tick(NOON + 3 * HOUR + 1) == [NOON + HOUR]
    machine = clockwork("0 * * * *", startingDeadlineSeconds=86400)
    machine.tick(NOON + 1)
    machine.tick(NOON + HOUR, submits=False)
    machine.children["c-x"] = Child("c-x")
    name = f"c-{NOON + HOUR:.0f}"
    machine.children = {name: Child(name, "u", "Succeeded", NOON + HOUR, NOON + HOUR + 5)}
    assert machine.tick(NOON + HOUR + 60) == []
    assert (machine.status["lastScheduledTime"], machine.status["succeeded"]) == ("2024-05-06T13:00:00Z", 1)


def test_a_schedule_that_is_none_is_told() -> None:
    """As a condition; nothing else of the object is lost."""
    machine = clockwork("not a schedule")
    assert machine.tick(NOON) == []
    assert machine.status["conditions"][0]["type"] == "SpecError"
    assert machine.wake is None


LOS_ANGELES = "America/Los_Angeles"


@pytest.mark.parametrize(
    ("schedule", "first", "wanted"),
    [
        (
            "59 1 * * *",
            "2020-03-08T00:00",
            ["2020-03-08T01:59-08:00", "2020-03-09T01:59-07:00", "2020-03-10T01:59-07:00"],
        ),
        (
            "0 2 * * *",
            "2020-03-08T00:00",
            ["2020-03-09T02:00-07:00", "2020-03-10T02:00-07:00", "2020-03-11T02:00-07:00"],
        ),
        (
            "1 2 * * *",
            "2020-03-08T00:00",
            ["2020-03-09T02:01-07:00", "2020-03-10T02:01-07:00", "2020-03-11T02:01-07:00"],
        ),
        (
            "59 1 * * *",
            "2020-11-01T00:00",
            ["2020-11-01T01:59-07:00", "2020-11-01T01:59-08:00", "2020-11-02T01:59-08:00"],
        ),
        (
            "0 2 * * *",
            "2020-11-01T00:00",
            ["2020-11-01T02:00-08:00", "2020-11-02T02:00-08:00", "2020-11-03T02:00-08:00"],
        ),
        (
            "1 2 * * *",
            "2020-11-01T00:00",
            ["2020-11-01T02:01-08:00", "2020-11-02T02:01-08:00", "2020-11-03T02:01-08:00"],
        ),
    ],
)
def test_runs_start_as_argos_table_of_clock_changes_says(schedule: str, first: str, wanted: list[str]) -> None:
    """The table of Argo's documentation, through the whole of a living engine."""
    begin = at(first, LOS_ANGELES)
    found = clockwork(schedule, timezone=LOS_ANGELES).until(begin, begin + 4 * DAY)[:3]
    assert found == [datetime.fromisoformat(text).timestamp() for text in wanted]


def test_argos_recipes_run_once_a_day_through_clock_changes() -> None:
    """Two conditions of its documentation: for an hour that is skipped, and for one that comes twice."""
    skipped = (
        "{{= cronworkflow.lastScheduledTime == nil || (now() - cronworkflow.lastScheduledTime).Seconds() > 3600 }}"
    )
    begin = at("2020-03-07T00:00", LOS_ANGELES)
    found = clockwork("30 2 * * *", "0 3 * * *", timezone=LOS_ANGELES, when=skipped).until(begin, begin + 3 * DAY)
    shown = [datetime.fromtimestamp(moment, ZoneInfo(LOS_ANGELES)).strftime("%d %H:%M") for moment in found]
    assert shown == ["07 02:30", "08 03:00", "09 02:30"]
    twice = skipped.replace("3600", "7200")
    begin = at("2020-10-31T00:00", LOS_ANGELES)
    found = clockwork("30 1 * * *", timezone=LOS_ANGELES, when=twice).until(begin, begin + 3 * DAY)
    shown = [datetime.fromtimestamp(moment, ZoneInfo(LOS_ANGELES)).strftime("%d %H:%M %Z") for moment in found]
    assert shown == ["31 01:30 PDT", "01 01:30 PDT", "02 01:30 PST"]


def test_next_is_told_for_the_command_line() -> None:
    """None for one that is suspended or has stopped."""
    cron: Json = {"metadata": {"name": "c"}, "spec": {"schedules": ["0 * * * *", "30 * * * *"]}}
    assert next_moment(cron, NOON) == NOON + 1800
    assert next_moment({**cron, "spec": {**cron["spec"], "suspend": True}}, NOON) is None
    assert next_moment({**cron, "status": {"phase": "Stopped"}}, NOON) is None


SCHEDULES = st.lists(
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 */2 * * *", "30 1 * * *", "@every 90s", "@hourly", "15 3 * * 0"]),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip


@given(
    schedules=SCHEDULES,
    gaps=st.lists(st.floats(0.01, 30000), min_size=1, max_size=40),
    deaths=st.sets(st.integers(0, 39)),
)
def test_no_moment_has_two_runs_and_none_is_run_that_is_no_moment(
    schedules: list[str], gaps: list[float], deaths: set[int]
) -> None:
    """However an engine is woken, sleeps and dies: at most one run a look, each for a moment of its own, in order."""
    machine, now, found = clockwork(*schedules, startingDeadlineSeconds=600), NOON + 0.5, []
    machine.tick(now)
    for index, gap in enumerate(gaps):
        now += gap
        if index in deaths:
            machine.die()
        begun = machine.tick(now)
        assert len(begun) <= 1
        assert all(now - 600 < moment <= now for moment in begun)
        found += begun
    assert found == sorted(set(found))
    calendars = [parse_schedule(text) for text in schedules if "every" not in text]
    if len(calendars) == len(schedules):
        assert all(any(calendar.next(moment - 1) == moment for calendar in calendars) for moment in found)


@settings(max_examples=15)
@given(schedules=SCHEDULES, naps=st.lists(st.floats(0.01, 59.9), min_size=50, max_size=200))
def test_an_engine_that_never_sleeps_long_misses_no_moment(schedules: list[str], naps: list[float]) -> None:
    """Each moment of each schedule has its run, once."""
    machine, now = clockwork(*(text for text in schedules if "every" not in text), "*/3 * * * *"), NOON + 0.5
    machine.tick(now)
    found: list[int] = []
    for nap in naps:
        now += nap
        found += machine.tick(now)
    calendars = [parse_schedule(text) for text in machine.spec["schedules"]]
    wanted: set[int] = set()
    for calendar in calendars:
        moment = calendar.next(NOON + 0.5)
        while moment is not None and moment <= now:
            wanted.add(moment)
            moment = calendar.next(moment)
    assert found == sorted(wanted)
