"""One look at a window: stable weeks are quiet, each kind of change is found and named, and nothing known is not all well."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tiphys.watch.drift import findings
from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.reference import Reference
from tiphys.watch.drift.residuals import Residuals
from tiphys.watch.drift.sketch import DAY, Array
from tiphys.watch.drift.summary import Window
from tiphys.watch.drift.watch import Look, State, look

pytestmark = pytest.mark.unit

Weeks = Callable[..., Window]
Changed = Callable[..., Window]


def kinds(found: Look) -> set[tuple[str, str]]:
    """What alarms."""
    return {(each.kind, each.subject) for each in found.alarms}


def only(window: Window, mask: Array) -> Window:
    """Some of a window's rows."""
    vectors = {name: getattr(window, name)[mask] for name in ("moment", "value", "low", "high", "ours")}
    columns = {name: each[mask] for name, each in window.columns.items()}
    return replace(window, columns=columns, labelled=window.labelled.where(mask), **vectors)


def after(reference: Reference, weeks: Weeks, change: Callable[[Window], Window], quiet: int = 2) -> Look:
    """A look at a changed week after some quiet ones."""
    state = State.new(reference)
    for number in range(quiet):
        found = look(reference, weeks(number), state)
        assert found.verdict == "stable", found.alarms
        state = found.state
    return look(reference, change(weeks(quiet)), state)


def test_stable_weeks_are_quiet_however_many_rows_they_have(reference: Reference, week: Weeks) -> None:
    """Ten weeks of 300 rides a day, and one of 15,000 a day: what every week does is no news."""
    state = State.new(reference)
    for number in range(10):
        found = look(reference, week(number), state)
        state = found.state
        assert found.verdict == "stable", found.alarms
    assert look(reference, week(10, 15_000), State.new(reference)).verdict == "stable"


@pytest.mark.parametrize(("factor", "subject"), [(1.25, "all"), (0.7, "all:shorter")])
def test_other_truths_are_an_error_and_a_shift_of_the_label(
    reference: Reference, week: Weeks, changed: Changed, factor: float, subject: str
) -> None:
    """A quarter longer, or much shorter: the running test says so with the rows that it took."""
    found = after(reference, week, lambda window: changed(window, actual=window.labelled.actual * factor))
    assert ("error", subject) in kinds(found)
    check = next(each for each in found.alarms if each.subject == subject)
    assert check.severity == "critical"
    assert 0 < check.labelled <= 3 * 2100
    assert check.since >= week(1).since


def test_a_slice_that_alone_changes_is_named(reference: Reference, week: Weeks, changed: Changed) -> None:
    """Only far rides take longer: what they are called stands in the alert."""

    def farther(window: Window) -> Window:
        rows = window.labelled
        return changed(window, actual=np.where(rows.masks["far"], 1.6, 1.0) * rows.actual)

    found = after(reference, week, farther, quiet=1)
    assert ("error", "far") in kinds(found)
    (far,) = (each for each in found.alarms if each.subject == "far")
    track = next(each for each in found.tracks if (each.group, each.direction) == ("far", "longer"))
    assert track.labelled < track.everybody == far.labelled  # a training learns from all rides since then


def test_a_column_that_changes_is_named_with_what_changed(reference: Reference, week: Weeks, changed: Changed) -> None:
    """Another mix of zones; another unit of miles, which is also beyond all that was seen."""

    def moved(window: Window) -> Window:
        zone = np.where(np.arange(len(window.moment)) % 2 == 0, 4.0, window.columns["zone"])
        return changed(window, zone=zone)

    assert kinds(after(reference, week, moved)) == {("data", "zone")}
    found = after(reference, week, lambda window: changed(window, miles=window.columns["miles"] * 1.609))
    assert ("data", "miles") in kinds(found)


@pytest.mark.parametrize("number", [100.0, 101.0])
def test_values_that_cannot_be_are_a_matter_of_quality(
    reference: Reference, week: Weeks, changed: Changed, number: float
) -> None:
    """Missing in one row of ten, never seen in one of ten, one and the same in all."""

    def spoiled(value: float) -> Callable[[Window], Window]:
        return lambda window: changed(
            window, zone=np.where(np.arange(len(window.moment)) % 10 == 0, value, window.columns["zone"])
        )

    assert ("quality", "zone") in kinds(after(reference, week, spoiled(np.nan)))
    assert ("quality", "zone") in kinds(after(reference, week, spoiled(number)))
    same = after(reference, week, lambda window: changed(window, miles=np.full(len(window.moment), 2.0)))
    assert "every row has the same value" in next(
        each.text for each in same.alarms if (each.kind, each.subject) == ("quality", "miles")
    )


def test_reports_that_cannot_be_true_are_a_matter_of_quality(reference: Reference, week: Weeks) -> None:
    """They label nothing, so the errors do not show them: one in ten is an alarm, one in a hundred is usual."""
    rows = len(week().labelled)
    for refused, seen in ((rows // 9, True), (rows // 99, False)):
        found = kinds(look(reference, replace(week(), refused=refused), State.new(reference)))
        assert (("quality", "outcomes") in found) is seen


def test_a_clock_that_stands_still_or_runs_away_is_found(reference: Reference, week: Weeks) -> None:
    """A third of the questions at one moment; a third asked now about another week."""

    def stuck(window: Window) -> Window:
        moment = np.where(np.arange(len(window.moment)) % 3 == 0, window.since, window.moment)
        return replace(window, moment=moment)

    assert ("quality", "clock") in kinds(after(reference, week, stuck))
    assert ("quality", "clock:elsewhere") in kinds(
        after(reference, week, lambda window: replace(window, elsewhere=0.3))
    )


def test_a_day_with_a_fifth_of_the_rows_is_a_collapse_and_none_at_all_is_critical(
    reference: Reference, week: Weeks
) -> None:
    """The last day counts; weeks before it say what is normal."""

    def thin(window: Window) -> Window:
        last = window.moment >= window.until - DAY
        return only(window, ~last | (np.arange(len(last)) % 5 == 0))

    found = after(reference, week, thin)
    assert ("volume", "all") in kinds(found)
    nothing = after(reference, week, lambda window: only(window, np.zeros(len(window.moment), bool)))
    assert nothing.verdict == "drift"
    assert [(each.kind, each.severity) for each in nothing.alarms] == [("volume", "critical")]


def test_old_evidence_is_no_news_in_a_window_without_truths(
    reference: Reference, week: Weeks, changed: Changed
) -> None:
    """Errors had grown; then truths stop coming: that is not said again, and not forgotten when they come again."""
    slow = changed(week(), actual=week().labelled.actual * 1.4)
    found = look(reference, slow, State.new(reference))
    assert ("error", "all") in kinds(found)
    mute = week(1)
    mute = replace(mute, labelled=mute.labelled.where(np.zeros(2100, bool)))
    later = look(reference, mute, found.state)
    assert not any(kind == "error" for kind, _ in kinds(later))
    again = changed(week(2), actual=week(2).labelled.actual * 1.4)
    assert ("error", "all") in kinds(look(reference, again, later.state))


def test_nothing_ever_seen_is_not_stable(reference: Reference, week: Weeks) -> None:
    """No rows and no past: no alarm, and no all-clear."""
    found = look(reference, only(week(), np.zeros(2100, bool)), State.new(reference))
    assert (found.verdict, found.alarms) == ("not enough", [])
    few = look(reference, only(week(), np.arange(2100) % 42 == 0), State.new(reference))
    assert few.verdict == "not enough"


def test_intervals_that_hold_too_few_truths_are_found(reference: Reference, week: Weeks) -> None:
    """Twice as sure as they should be."""

    def surer(window: Window) -> Window:
        rows = window.labelled
        narrow = replace(rows, low=np.sqrt(rows.low * rows.value), high=np.sqrt(rows.high * rows.value))
        return replace(window, labelled=narrow)

    assert kinds(after(reference, week, surer)) == {("calibration", "all")}


def test_harder_questions_are_expected_to_be_answered_worse_before_any_truth_is_known(
    reference: Reference, week: Weeks
) -> None:
    """Longer rides only, no truths yet: the expected error rises, and the answers have moved."""

    def hard(window: Window) -> Window:
        far = only(window, window.labelled.masks["far"])
        return replace(far, labelled=far.labelled.where(np.zeros(len(far.moment), bool)))

    found = after(reference, week, hard)
    assert {("prediction", "expected error"), ("prediction", "answer")} <= kinds(found)


def test_a_column_of_the_clock_is_not_judged_in_half_a_week(reference: Reference, week: Weeks) -> None:
    """Three days of a week look different by the hour and weekday, which is no drift; the other columns are judged."""
    window = week()
    part = only(window, window.moment < window.since + 3.2 * DAY)
    found = look(reference, replace(part, until=part.since + 3.2 * DAY), State.new(reference))
    states = {each.subject: each.state for each in found.checks if each.kind == "data"}
    assert states == {"zone": "fine", "miles": "fine", "hour": "unknown"}
    hour = only(window, window.columns["hour"] == window.columns["hour"][0])
    found = look(reference, replace(hour, until=hour.since + 3.2 * DAY), State.new(reference))
    assert ("quality", "hour") not in kinds(found)


def test_a_retry_has_the_same_ids_and_truths_that_come_late_are_counted_once(
    reference: Reference, week: Weeks, changed: Changed
) -> None:
    """The same window again, from the state that the first look left."""
    slow = changed(week(), actual=week().labelled.actual * 1.4)
    half = replace(slow, labelled=slow.labelled.where(np.arange(2100) % 2 == 0))
    state = look(reference, half, State.new(reference)).state
    once = look(reference, slow, state)
    twice = look(reference, slow, once.state)
    assert State.from_dict(once.state.as_dict()).as_dict() == twice.state.as_dict()
    ids = [
        {findings.identity(findings.alert(each, reference.about, slow.since, slow.until)) for each in found.alarms}
        for found in (once, twice)
    ]
    assert ids[0] == ids[1] != set()
    other = findings.alert(once.alarms[0], reference.about, slow.since, slow.until + 3600)
    assert findings.identity(other) not in ids[0]


def test_a_reference_survives_json_under_the_same_address(reference: Reference, week: Weeks) -> None:
    """What is read judges alike, and a truth that is NaN is left out."""
    again = Reference.load(reference.dump())
    assert again.address == reference.address
    window = week()
    actual = np.where(np.arange(2100) % 7 == 0, np.nan, window.labelled.actual)
    window = replace(window, labelled=replace(window.labelled, actual=actual))
    a, b = (look(each, window, State.new(each)) for each in (reference, again))
    assert a.figures == b.figures
    assert a.labelled == 1800
    with pytest.raises(ValueError, match="format"):
        Reference.load(b'{"format": 0}')


def test_what_was_kept_before_a_reference_was_read_again_goes_on(week: Weeks) -> None:
    """The order of slices is theirs, not that of who named them first: JSON keeps another."""
    window = week()
    slices = {name: np.ones(len(window.labelled.actual), bool) for name in ("weekend", "night", "all")}
    residuals = Residuals.fit(replace(window.labelled, masks=slices))
    again = Residuals.from_dict(json.loads(json.dumps(residuals.as_dict(), sort_keys=True)))
    kept = Ledger.from_dict(residuals.ledger(window.labelled).as_dict())
    assert list(residuals.groups) == ["all", "night", "weekend"]
    assert (kept + again.ledger(window.labelled)).groups == kept.groups
