"""Whether to train: what each rule refuses, and what holds whatever comes in whatever order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tiphys.usecase import Policy
from tiphys.watch.governor.clock import Clock, Mark, resumed
from tiphys.watch.governor.decide import Decision, Event, State, Training, decide, elapsed, spoken

pytestmark = pytest.mark.unit
POLICY = Policy(
    debounce_s=60.0, cooldown_s=600.0, budget=3, budget_s=7200.0, min_labelled=20,
    reasons=dict.fromkeys(("debounce_s", "cooldown_s", "budget", "budget_s", "min_labelled"), "a test"),
)  # fmt: skip
ALERT = Event(1, "first", "alert", "tiny", 1000.0, "error", "all", labelled=100)
ASKED = Event(2, "asked", "person", "tiny", 1000.0)


def training(began: float, *, ended: bool = True) -> Training:
    """One that was started before."""
    return Training("retrain-tiny-before", "before", began, ended, "Succeeded" if ended else "Running")


def test_an_alert_settles_before_it_is_decided() -> None:
    """Then it starts a training, and says what for."""
    assert decide(State(), ALERT, POLICY, 1059.0) == Decision(
        "wait", "it has 1 s to settle: more of the same may come", until=1060.0
    )
    decided = decide(State(together=4), ALERT, POLICY, 1060.0)
    assert decided.verdict == "yes"
    assert decided.reason.startswith(
        "error of all moved, with 100 labelled rows since; no training runs, none began before"
    )
    assert decided.counted["alerts"] == 4


def test_alerts_of_one_fingerprint_are_one() -> None:
    """What comes while the first settles is decided with it; what comes later is another."""
    again = replace(ALERT, number=2, id="second", received=1030.0)
    decided = decide(State(first=ALERT), again, POLICY, 1030.0)
    assert (decided.verdict, decided.counted) == ("no", {"one_with": "first"})
    assert "one with first, which came 30 s before" in decided.reason
    later = replace(ALERT, number=3, id="third", received=1061.0)
    assert decide(State(first=ALERT), later, POLICY, 2000.0).verdict == "wait"


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        (State((training(900.0, ended=False),)), ALERT, "which before started 7.67 min ago, is running"),
        (State((training(900.0, ended=False),)), ASKED, "is running"),
        (State(), replace(ALERT, labelled=19), "19 labelled rows have come since the drift began, and a training needs 20"),
        (State((training(900.0),)), ALERT, "began 7.67 min ago, and the cool-down is 10 min"),
        (State((training(900.0),)), replace(ASKED, trigger="schedule"), "the cool-down is 10 min"),
        (State((training(0.0), training(-700.0), training(-1400.0))), ALERT, "3 trainings began within 2 h, and the budget is 3"),
        (State((training(0.0), training(-700.0), training(-1400.0))), ASKED, "the budget is 3"),
        (State(), replace(ALERT, kind="volume"), "a training does not bring back those who ask"),
        (State(), replace(ALERT, kind="quality"), "look at who sends it"),
    ],
)  # fmt: skip
def test_what_speaks_against_a_training_is_said(state: State, event: Event, reason: str) -> None:
    """Each no has its reason with the figures."""
    decided = decide(state, event, POLICY, 1360.0)
    assert decided.verdict == "no"
    assert reason in decided.reason


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State((training(900.0),)), ASKED),
        (State((training(760.0),)), ALERT),
        (State(), replace(ALERT, labelled=None)),
        (State((training(0.0), training(-700.0), training(-6000.0))), ALERT),
    ],
    ids=["a person within the cool-down", "cool-down just over", "labelled rows unknown", "one left the budget"],
)
def test_what_does_not_speak_against_it(state: State, event: Event) -> None:
    """The other side of each line."""
    assert decide(state, event, POLICY, 1360.0).verdict == "yes"


def test_no_duration_is_negative() -> None:
    """A clock that was set back makes everything recent, not long ago."""
    assert elapsed(100.0, 50.0) == 0.0
    assert decide(State((training(5000.0),)), ALERT, POLICY, 1100.0).reason.startswith(
        "training retrain-tiny-before began 0 s ago"
    )
    assert decide(State(), ALERT, POLICY, 10.0).verdict == "wait"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 s"), (-5.0, "0 s"), (59.0, "59 s"), (90.0, "1.5 min"), (86400.0, "1 day"), (2e6, "23.1 days")]
)  # fmt: skip
def test_durations_are_spoken(seconds: float, text: str) -> None:
    """One unit, three digits."""
    assert spoken(seconds) == text


class Governor(RuleBasedStateMachine):
    """Events, ends of trainings, clocks that are set and restarts in any order; time is counted apart, as nobody sets it."""

    def __init__(self) -> None:
        """Nothing has been yet."""
        super().__init__()
        self.time, self.offset, self.latest = 0.0, 1e9, 0.0
        self.start(None)
        self.waiting: list[Event] = []
        self.decided: dict[str, Decision] = {}
        self.trainings: list[Training] = []
        self.began: list[tuple[float, str]] = []  # in true time, and what triggered it
        self.number = 0

    def start(self, last: Mark | None) -> None:
        """Start the governor's process."""
        self.mark = resumed(last, self.latest, self.time + self.offset, 1.0)
        self.highest = self.offset
        self.clock = Clock(self.mark, lambda: self.time)

    def now(self) -> float:
        """The governor's clock, which never goes back."""
        now = self.clock.now()
        assert now >= self.latest
        self.latest = now
        return now

    @rule(seconds=st.floats(0.0, 2000.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.time += seconds

    @rule(seconds=st.floats(-1e6, 1e6))
    def set_the_wall_clock(self, seconds: float) -> None:
        """Somebody sets it, either way."""
        self.offset += seconds

    @rule(back=st.floats(0.0, 1e6))
    def restart(self, back: float) -> None:
        """The process ends and begins anew, with a wall clock that is not ahead of what it was."""
        self.now()
        self.offset = min(self.offset, self.highest) - back
        self.start(self.mark)

    @rule(
        kind=st.sampled_from(["error", "data", "volume"]),
        subject=st.sampled_from(["all", "cold"]),
        labelled=st.sampled_from([None, 5, 20, 500]),
    )
    def alert(self, kind: str, subject: str, labelled: int | None) -> None:
        """One comes."""
        self.number += 1
        self.waiting.append(Event(self.number, f"e{self.number}", "alert", "tiny", self.now(), kind, subject, labelled))

    @rule(trigger=st.sampled_from(["schedule", "person"]))
    def ask(self, trigger: str) -> None:
        """Somebody asks for one."""
        self.number += 1
        self.waiting.append(Event(self.number, f"e{self.number}", trigger, "tiny", self.now()))  # type: ignore[arg-type]

    @precondition(lambda self: any(not each.ended for each in self.trainings))
    @rule(phase=st.sampled_from(["Succeeded", "Failed"]))
    def end(self, phase: str) -> None:
        """The training ends."""
        self.trainings = [replace(each, ended=True, phase=phase) for each in self.trainings]

    @rule()
    def look(self) -> None:
        """Everything that waits is looked at, in the order in which it came."""
        firsts: dict[tuple[str, str, str] | None, Event] = {}
        left = []
        for event in self.waiting:
            first = firsts.get(event.fingerprint) if event.fingerprint else None
            now = self.now()
            decision = decide(State(tuple(reversed(self.trainings)), first), event, POLICY, now)
            if decision.verdict == "wait":
                left.append(event)
                firsts.setdefault(event.fingerprint, event)
                continue
            assert event.id not in self.decided
            assert decision.reason
            self.decided[event.id] = decision
            if decision.verdict == "yes":
                self.trainings.append(Training(f"run-{event.id}", event.id, now, ended=False))
                self.began.append((self.time, event.trigger))
        self.waiting = left

    @invariant()
    def never_two_at_once(self) -> None:
        """Single flight."""
        assert sum(not each.ended for each in self.trainings) <= 1

    @invariant()
    def the_budget_holds(self) -> None:
        """In true time, whatever the clocks said."""
        for began, _ in self.began:
            assert sum(began - POLICY.budget_s < each <= began for each, _ in self.began) <= POLICY.budget

    @invariant()
    def the_cool_down_holds(self) -> None:
        """In true time, for all but a person."""
        for (before, _), (began, trigger) in zip(self.began, self.began[1:], strict=False):
            assert trigger == "person" or began - before >= POLICY.cooldown_s - 1e-3

    def teardown(self) -> None:
        """When all has settled, every event has its decision, and those that wait for nothing have none twice."""
        for _ in range(3):
            self.time += POLICY.debounce_s + 1.0
            self.look()
        assert not self.waiting
        assert len(self.decided) == self.number


Governor.TestCase.settings = settings(stateful_step_count=40, suppress_health_check=list(HealthCheck))
TestGovernor = Governor.TestCase
