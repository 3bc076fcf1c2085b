"""Whether to train: pure. Every duration is in seconds of the governor's clock, and none is ever negative."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tiphys.usecase import Policy

Trigger = Literal["alert", "schedule", "person"]
Verdict = Literal["yes", "no", "wait"]

_NOT_BY_TRAINING = {
    "volume": "a training does not bring back those who ask: look at the gateway and at what is in front of it",
    "quality": "a training would learn the mistakes in what is sent: look at who sends it",
}
"""Kinds of alert that a training is no answer to, and what is."""
_STEPS = ((86400.0, "day"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True)
class Event:
    """What the decision needs to know of one."""

    number: int
    id: str
    trigger: Trigger
    use_case: str
    received: float
    """By the governor's clock."""
    kind: str = ""
    subject: str = ""
    labelled: int | None = None
    """Labelled rows since the drift began; None: the sender could not know."""
    text: str = ""

    @property
    def fingerprint(self) -> tuple[str, str, str] | None:
        """What makes two alerts the same; requests are all different."""
        return (self.use_case, self.kind, self.subject) if self.trigger == "alert" else None


@dataclass(frozen=True)
class Training:
    """One that the governor started, or means to start."""

    run: str
    event: str
    began: float
    ended: bool
    phase: str = ""


@dataclass(frozen=True)
class State:
    """What has been, as far as one event is concerned."""

    trainings: tuple[Training, ...] = ()
    """Of its use case, newest first."""
    first: Event | None = None
    """The alert of the same fingerprint that came before it and is, or was, decided for both."""
    together: int = 1
    """Alerts that are one with it, itself among them."""


@dataclass(frozen=True)
class Decision:
    """What is to be done, why, and what was counted. ``wait`` is no decision: ask again at ``until``."""

    verdict: Verdict
    reason: str
    until: float = 0.0
    counted: dict[str, Any] = field(default_factory=dict)


def decide(state: State, event: Event, policy: Policy, now: float) -> Decision:
    """Say whether this event starts a training.

    An alert waits until it has settled; then, as any request, it must find no training in flight and room in the budget. Only
    alerts need enough labelled rows, and a person may ask within the cool-down.
    """
    alert = event.trigger == "alert"
    if alert and (early := _before_it_settles(state, event, policy, now)) is not None:
        return early
    counted = _counted(state, event, policy, now)
    if against := _in_flight(state, now):
        return Decision("no", against, counted=counted)
    if alert and event.labelled is not None and event.labelled < policy.min_labelled:
        told = (
            f"{event.labelled:,} labelled rows have come since the drift began"
            if event.labelled
            else f"an alert of {event.kind} counts no labelled rows"
        )
        reason = f"{told}, and a training needs {policy.min_labelled:,} to learn anything new"
        return Decision("no", reason, counted=counted)
    if event.trigger != "person" and counted["since_last_s"] is not None:
        since, run = counted["since_last_s"], state.trainings[0].run
        if since < policy.cooldown_s:
            reason = f"training {run} began {spoken(since)} ago, and the cool-down is {spoken(policy.cooldown_s)}"
            return Decision("no", reason, counted=counted)
    if counted["in_budget"] >= policy.budget:
        reason = f"{counted['in_budget']} trainings began within {spoken(policy.budget_s)}, and the budget is {policy.budget}"
        return Decision("no", reason, counted=counted)
    return Decision("yes", _why(event, policy, counted), counted=counted)


def spoken(seconds: float) -> str:
    """A duration for a person: ``45 s``, ``3 h``, ``2.5 days``."""
    seconds = max(0.0, seconds)
    size, unit = next(((size, unit) for size, unit in _STEPS if seconds >= size), _STEPS[-1])
    count = f"{seconds / size:.3g}"
    return f"{count} {unit}s" if unit == "day" and count != "1" else f"{count} {unit}"


def elapsed(since: float, now: float) -> float:
    """Seconds from one moment to another; 0 where the clock was set back in between."""
    return max(0.0, now - since)


def _before_it_settles(state: State, event: Event, policy: Policy, now: float) -> Decision | None:
    if why := _NOT_BY_TRAINING.get(event.kind):
        return Decision("no", why)
    first = state.first
    if first is not None:
        if elapsed(first.received, event.received) <= policy.debounce_s:
            reason = f"it is one with {first.id}, which came {spoken(elapsed(first.received, event.received))} before: that is decided for both"
            return Decision("no", reason, counted={"one_with": first.id})
        return Decision("wait", f"{first.id} is decided first", until=first.received + policy.debounce_s)
    if elapsed(event.received, now) < policy.debounce_s:
        left = policy.debounce_s - elapsed(event.received, now)
        return Decision(
            "wait",
            f"it has {spoken(left)} to settle: more of the same may come",
            until=event.received + policy.debounce_s,
        )
    return None


def _in_flight(state: State, now: float) -> str:
    for each in state.trainings:
        if not each.ended:
            phase = f"is {each.phase.lower()}" if each.phase else "is on its way"
            return f"training {each.run}, which {each.event} started {spoken(elapsed(each.began, now))} ago, {phase}"
    return ""


def _counted(state: State, event: Event, policy: Policy, now: float) -> dict[str, Any]:
    """What is held against the policy, for the record."""
    last = state.trainings[0] if state.trainings else None
    return {
        "alerts": state.together,
        "labelled": event.labelled,
        "min_labelled": policy.min_labelled,
        "since_last_s": None if last is None else round(elapsed(last.began, now), 3),
        "cooldown_s": policy.cooldown_s,
        "in_budget": sum(elapsed(each.began, now) < policy.budget_s for each in state.trainings),
        "budget": policy.budget,
        "budget_s": policy.budget_s,
    }


def _why(event: Event, policy: Policy, counted: dict[str, Any]) -> str:
    if event.trigger == "alert":
        rows = "" if event.labelled is None else f", with {event.labelled:,} labelled rows since"
        what = f"{event.kind} of {event.subject} moved{rows}"
    else:
        what = f"{'a schedule' if event.trigger == 'schedule' else 'a person'} asked for it"
    since = counted["since_last_s"]
    last = "none began before" if since is None else f"the last began {spoken(since)} ago"
    return f"{what}; no training runs, {last}, and it is number {counted['in_budget'] + 1} of {policy.budget} within {spoken(policy.budget_s)}"
