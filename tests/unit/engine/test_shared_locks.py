"""Locks across runs: one holder at a time, the next one by priority and age, and nobody waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.engine.actions import ResumeSuspended, Suspend
from tiphys.engine.shared_locks import SharedLocks

pytestmark = pytest.mark.unit
LEAF = '  - {name: main, container: {image: "debian:12", command: ["true"]}}\n'
LOCKED = """  - name: main
    steps: [[{name: a, template: locked}]]
  - name: locked
    synchronization: {mutexes: [{name: one}]}
    container: {image: "debian:12", command: ["true"]}
"""
WHOLE = {"synchronization": {"mutexes": [{"name": "one"}]}}
TWO = {"synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "two"}}]}}


@pytest.fixture
def locks() -> SharedLocks:
    """The locks of one process."""
    return SharedLocks()


def ended(run: Any, locks: SharedLocks, phase: str = "Succeeded") -> None:
    """The one step of a run ends, and with it the run."""
    run.end(next(iter(run.waiting)), phase)
    locks.leave(run.run)
    for woken in list(run.woken):
        run.woken.remove(woken)
        woken.tell()


def test_whole_runs_take_turns_the_oldest_first(machine: Any, locks: SharedLocks) -> None:
    """One that waits is Pending and says for what, in Argo's words, and has not started."""
    first, third, second = (
        machine(LEAF, locks, name=name, created=created, **WHOLE)
        for name, created in (("first", 1.0), ("third", 3.0), ("second", 2.0))
    )
    assert [run.run.phase for run in (first, second, third)] == ["Running", "Pending", "Pending"]
    assert second.run.message == "Waiting for default/Mutex/one lock. Lock status: 0/1"
    assert second.run.started == 0.0
    ended(first, locks, "Failed")
    assert [run.run.phase for run in (first, second, third)] == ["Failed", "Running", "Pending"]
    assert second.run.message == ""
    ended(second, locks)
    ended(third, locks)
    assert third.run.phase == "Succeeded"


def test_a_higher_priority_goes_before_age(machine: Any, locks: SharedLocks) -> None:
    """As in Argo's queue."""
    holder = machine(LEAF, locks, name="holder", **WHOLE)
    old = machine(LEAF, locks, name="old", created=2.0, **WHOLE)
    urgent = machine(LEAF, locks, name="urgent", created=3.0, priority=5, **WHOLE)
    ended(holder, locks)
    assert [old.run.phase, urgent.run.phase] == ["Pending", "Running"]


def test_who_comes_new_does_not_overtake_those_who_wait(machine: Any, locks: SharedLocks) -> None:
    """Even if it asks in the moment in which the lock is free."""
    holder = machine(LEAF, locks, name="holder", created=1.0, **WHOLE)
    waiting = machine(LEAF, locks, name="waiting", created=2.0, **WHOLE)
    holder.end("holder")
    late = machine(LEAF, locks, name="late", created=3.0, **WHOLE)
    assert [waiting.run.phase, late.run.phase] == ["Running", "Pending"]


def test_steps_of_different_runs_share_a_lock(machine: Any, locks: SharedLocks) -> None:
    """And with whole runs; a run whose step waits for another run's lock does not hang."""
    one, two = machine(LOCKED, locks, name="one"), machine(LOCKED, locks, name="two", created=2.0)
    whole = machine(LEAF, locks, name="whole", created=3.0, **WHOLE)
    assert [one.started, two.started, whole.started] == [["one[0].a"], [], []]
    assert two.node("two[0].a").message == "Waiting for default/Mutex/one lock. Lock status: 0/1"
    ended(one, locks)
    assert [two.started, whole.started] == [["two[0].a"], []]
    ended(two, locks)
    assert whole.started == ["whole"]


def test_a_semaphore_counts_across_runs(machine: Any, locks: SharedLocks) -> None:
    """Its limit is that of the ConfigMap."""
    made = [machine(LEAF, locks, name=f"run{number}", created=float(number), **TWO) for number in range(4)]
    assert [run.run.phase for run in made] == ["Running", "Running", "Pending", "Pending"]
    ended(made[1], locks)
    assert [run.run.phase for run in made] == ["Running", "Succeeded", "Running", "Pending"]


@pytest.mark.parametrize("how", ["suspend", "terminate"])
def test_one_that_does_not_go_on_lets_the_next_one_pass(machine: Any, locks: SharedLocks, how: str) -> None:
    """Whoever waits in front and is suspended or ended is not waited for."""
    holder = machine(LOCKED, locks, name="holder")
    front = machine(LOCKED, locks, name="front", created=2.0)
    behind = machine(LOCKED, locks, name="behind", created=3.0)
    if how == "suspend":
        front.tell(Suspend())
    else:
        front.stop("Terminate")
        assert front.run.phase == "Failed"
    ended(holder, locks)
    assert behind.started == ["behind[0].a"]
    if how == "suspend":
        front.tell(ResumeSuspended())
        assert front.started == []
        ended(behind, locks)
        assert front.started == ["front[0].a"]


def test_a_run_that_waits_can_be_terminated(machine: Any, locks: SharedLocks) -> None:
    """It ends at once, with Argo's message; a Stop waits for its turn, as on Argo."""
    machine(LEAF, locks, name="holder", **WHOLE)
    waiting = machine(LEAF, locks, name="waiting", created=2.0, **WHOLE)
    waiting.stop("Stop")
    assert waiting.run.phase == "Pending"
    waiting.stop("Terminate")
    assert (waiting.run.phase, waiting.run.message) == ("Failed", "Stopped with strategy 'Terminate'")


def test_what_a_run_held_before_a_restart_it_still_holds(machine: Any) -> None:
    """The next process counts what the journal says, before any run takes a step."""
    before = SharedLocks()
    holder = machine(LEAF, before, name="holder", **WHOLE)
    after = SharedLocks()
    after.enter(holder.run, lambda: None)
    assert machine(LEAF, after, name="early", created=0.5, **WHOLE).run.phase == "Pending"


@given(order=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_never_more_than_the_limit_and_all_come_to_their_end(machine: Any, order: list[tuple[int, bool]]) -> None:
    """Whatever ends when, in whichever order runs come: the lock is never held too often, and nobody starves."""
    shared = SharedLocks()
    runs = [
        machine(LEAF, shared, name=f"run{number}", created=float(number), priority=priority, **TWO)
        for number, (priority, _) in enumerate(order[:6])
    ]
    for choice, fails in [*order, *((0, False),) * len(runs)]:
        going = [run for run in runs if run.waiting]
        assert len(going) == min(2, sum(not run.run.done for run in runs))
        if going:
            ended(going[choice % len(going)], shared, "Failed" if fails else "Succeeded")
    assert all(run.run.done for run in runs)
