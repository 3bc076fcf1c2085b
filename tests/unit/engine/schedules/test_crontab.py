"""Schedules give the moments that robfig/cron, which Argo uses, gave: golden vectors, Argo's table, and properties."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.engine.schedules.crontab import Calendar, ScheduleError, parse_schedule

pytestmark = pytest.mark.unit
_VECTORS = Path(__file__).parents[3] / "vectors" / "cron.jsonl"
_MOMENTS = 6
_GO_TIME = re.compile(": (?:time: |unknown time zone )")
_LONGEST = 60  # characters of an error that a vector keeps
LOS_ANGELES = "CRON_TZ=America/Los_Angeles "
# Argo's documentation, cron-workflows.md, "Daylight Saving".
FORWARD = {
    "59 1 * * *": ["2020-03-08 01:59:00 -0800", "2020-03-09 01:59:00 -0700", "2020-03-10 01:59:00 -0700"],
    "0 2 * * *": ["2020-03-09 02:00:00 -0700", "2020-03-10 02:00:00 -0700", "2020-03-11 02:00:00 -0700"],
    "1 2 * * *": ["2020-03-09 02:01:00 -0700", "2020-03-10 02:01:00 -0700", "2020-03-11 02:01:00 -0700"],
}
BACK = {
    "59 1 * * *": ["2020-11-01 01:59:00 -0700", "2020-11-01 01:59:00 -0800", "2020-11-02 01:59:00 -0800"],
    "0 2 * * *": ["2020-11-01 02:00:00 -0800", "2020-11-02 02:00:00 -0800", "2020-11-03 02:00:00 -0800"],
    "1 2 * * *": ["2020-11-01 02:01:00 -0800", "2020-11-02 02:01:00 -0800", "2020-11-03 02:01:00 -0800"],
}


def following(text: str, moment: float, count: int = _MOMENTS) -> list[int]:
    """The moments that follow on one another."""
    schedule, found = parse_schedule(text), []
    for _ in range(count):
        following = schedule.next(moment)
        if following is None:
            break
        found.append(following)
        moment = following
    return found


def _answer(line: str) -> str:
    moment, _, text = line.partition(" ")
    try:
        return json.dumps(following(text, int(moment)), separators=(",", ":"))
    except ScheduleError as error:
        return str(error)


def _said(text: str) -> str:
    """An error as far as it is the library's own: what Go's time package adds is told in other words here."""
    return _GO_TIME.split(text)[0][:_LONGEST]


def test_every_vector_of_the_go_library_comes_out_the_same() -> None:
    """The same moments, also where clocks change, or the same refusal in the same words."""
    vectors: list[dict[str, Any]] = [json.loads(line) for line in _VECTORS.read_text().splitlines()[1:]]
    answers = [(vector["in"], _answer(vector["in"]), vector.get("out", vector.get("error"))) for vector in vectors]
    wrong = [
        f"{given!r}: {answer}, in Go {wanted}"
        for given, answer, wanted in answers
        if answer != wanted and not (answer[:1] != "[" != wanted[:1] and _said(answer) == _said(wanted))
    ]
    assert len(vectors) > 2000
    assert not wrong, f"{len(wrong)} of {len(vectors)} differ:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize(
    ("day", "text"), [*(("2020-03-08", text) for text in FORWARD), *(("2020-11-01", text) for text in BACK)]
)
def test_argos_table_of_clock_changes_holds(day: str, text: str) -> None:
    """An hour that is skipped has no run, an hour that comes twice has two."""
    zone = ZoneInfo("America/Los_Angeles")
    midnight = datetime.fromisoformat(day).replace(tzinfo=zone).timestamp()
    shown = [
        datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S %z")
        for moment in following(LOS_ANGELES + text, midnight, 3)
    ]
    assert shown == (FORWARD if day == "2020-03-08" else BACK)[text]


def test_without_a_zone_the_given_one_counts() -> None:
    """The machine's zone is an argument."""
    schedule = parse_schedule("0 9 * * *", ZoneInfo("Asia/Tokyo"))
    assert schedule.next(datetime(2024, 5, 1, tzinfo=UTC).timestamp()) == datetime(2024, 5, 2, tzinfo=UTC).timestamp()


def test_what_can_never_be_is_known_at_once() -> None:
    """The 30th of February has no moment, nor has a field without a value."""
    assert following("0 0 30 2 *", 0.0) == []
    assert following(", * * * *", 0.0) == []


FIELDS = st.tuples(
    st.sampled_from(["*", "*/7", "0", "30", "59", "3-9", "1,31"]),
    st.sampled_from(["*", "0", "1", "2", "3", "*/5", "22-23"]),
    st.sampled_from(["*", "1", "31", "*/2", "8-14"]),
    st.sampled_from(["*", "3", "10", "*/4"]),
    st.sampled_from(["*", "0", "6", "1-5"]),
)
ZONES = st.sampled_from(["UTC", "America/Los_Angeles", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe"])
MOMENTS = st.floats(1.2e9, 1.7e9)


@given(fields=FIELDS, zone=ZONES, moment=MOMENTS)
def test_a_following_moment_is_later_and_fits_its_fields(fields: tuple[str, ...], zone: str, moment: float) -> None:
    """Strictly later, on a full minute, and the wall clock shows what the schedule asks for."""
    schedule = parse_schedule(f"CRON_TZ={zone} {' '.join(fields)}")
    assert isinstance(schedule, Calendar)
    found = schedule.next(moment)
    if found is None:
        return
    wall = datetime.fromtimestamp(found, ZoneInfo(zone))
    assert found > moment
    assert wall.second == 0
    assert schedule.minutes >> wall.minute & 1
    assert schedule.hours >> wall.hour & 1
    assert schedule.months >> wall.month & 1


@given(fields=FIELDS, zone=ZONES, moment=MOMENTS, hours=st.floats(0, 400))
def test_the_latest_moment_is_the_last_that_follows(
    fields: tuple[str, ...], zone: str, moment: float, hours: float
) -> None:
    """What halving finds is what walking from moment to moment finds."""
    schedule, until = parse_schedule(f"CRON_TZ={zone} {' '.join(fields)}"), moment + hours * 3600
    walked, at = None, schedule.next(moment)
    while at is not None and at <= until:
        walked, at = at, schedule.next(at)
    assert schedule.latest(moment, until) == walked


@given(seconds=st.integers(1, 10**6), moment=MOMENTS, later=st.floats(0, 1e9))
def test_every_counts_in_whole_steps(seconds: int, moment: float, later: float) -> None:
    """The latest moment is a whole number of steps after where one looked, and none is left between it and the end."""
    schedule = parse_schedule(f"@every {seconds}s")
    latest = schedule.latest(moment, moment + later)
    assert schedule.next(moment) == int(moment) + seconds
    if latest is None:
        assert int(moment) + seconds > moment + later
    else:
        assert (latest - int(moment)) % seconds == 0
        assert latest <= moment + later < latest + seconds + 1
