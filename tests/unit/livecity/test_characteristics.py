"""The live city is as its README says, and the same city as that of the files."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import usecases.taxi_eta
from tiphys.usecase import Arrival
from usecases.taxi_eta.city import build
from usecases.taxi_eta.data import LONGEST_S, SHORTEST_S
from usecases.taxi_eta.personas import PERSONAS
from usecases.taxi_eta.rides import HOURLY
from usecases.taxi_eta.scenarios import SCENARIOS
from usecases.taxi_eta.simulator import arrivals, trips
from usecases.taxi_eta.stream import STRANGER, bursts

pytestmark = [pytest.mark.unit, pytest.mark.xdist_group("live city")]

README = Path(usecases.taxi_eta.__file__).with_name("README.md").read_text(encoding="utf-8")
MONDAY = datetime(2019, 7, 1, tzinfo=UTC).timestamp()
DAY, HOUR = 86_400, 3600
DAYS, RATE, SEED = 14, 80.0, 1


def figures(heading: str, column: int) -> dict[str, float]:
    """A README table by its first header: first column's name -> the figure of another."""
    part = README.partition(f"| {heading}")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)`[^|]*\|(.*)\|$", part, re.MULTILINE)
    return {name: float(cells.split("|")[column]) for name, cells in rows}


SAID = figures("characteristic", 0)


@pytest.fixture(scope="module")
def live() -> list[Arrival]:
    """Two weeks of it."""
    return list(arrivals(MONDAY, MONDAY + DAYS * DAY, rate=RATE, seed=SEED))


def near(found: float, said: float, of: float) -> bool:
    """Whether a share of so many is what was said, up to four standard errors and the README's rounding."""
    return abs(found - said) <= 4 * np.sqrt(max(said * (1 - said), 1e-4) / of) + 0.0006


def test_arrivals_come_in_time_order_and_within_the_time(live: list[Arrival]) -> None:
    """Each is known only after it was asked, where anybody tells."""
    assert all(one.moment <= two.moment for one, two in pairwise(live))
    assert live[0].moment >= MONDAY
    assert live[-1].moment < MONDAY + DAYS * DAY
    assert all(each.known_at > each.moment for each in live)
    asked = [datetime.fromisoformat(each.request["pickup_time"]).replace(tzinfo=UTC).timestamp() for each in live]
    assert all(0 <= each.moment - pickup < 1 for each, pickup in zip(live, asked, strict=True))


def test_a_stream_that_begins_later_is_the_rest_of_one_that_began_before(live: list[Arrival]) -> None:
    """Also in the middle of an hour; another seed is another city."""
    start, end = MONDAY + 5000.5, MONDAY + 40_000
    later = list(arrivals(start, end, rate=RATE, seed=SEED))
    assert later == [each for each in live if start <= each.moment < end]
    assert list(arrivals(start, end, rate=RATE, seed=SEED + 1)) != later


def test_it_follows_the_rhythm(live: list[Arrival]) -> None:
    """Rides by hour and by weekday, bursts among them."""
    moment = np.array([each.moment - MONDAY for each in live])
    asked = RATE * DAYS * 24
    assert abs(len(live) / asked - SAID["rate"]) < 4 / np.sqrt(asked) + 0.02
    day = moment // DAY % 7
    by_day = np.bincount(day.astype(int), minlength=7) / (len(live) / 7)
    assert by_day[4] == pytest.approx(SAID["friday"], abs=0.06)
    assert by_day[6] == pytest.approx(SAID["sunday"], abs=0.06)
    hours = (moment[day < 5] // HOUR % 24).astype(int)
    shares = np.bincount(hours, minlength=24) / len(hours)
    assert np.corrcoef(shares, HOURLY[0])[0, 1] > 0.95
    assert shares[19] == pytest.approx(SAID["evening"], abs=0.01)
    assert shares[4] == pytest.approx(SAID["night"], abs=0.004)
    assert HOURLY[0].argmax() == 19


def test_bursts_are_as_many_and_as_long_as_said() -> None:
    """And bring what they are said to: a burst's hour has more rides than that hour of the other week."""
    found = np.concatenate([bursts(day, SEED) for day in range(18_000, 18_400)])
    length = (found[:, 1] - found[:, 0]) / 60
    assert len(found) / 400 == pytest.approx(SAID["bursts"], abs=4 * np.sqrt(SAID["bursts"] / 400))
    assert (length.min() >= SAID["shortest"], length.max() <= SAID["longest"]) == (True, True)
    assert length.mean() == pytest.approx((SAID["shortest"] + SAID["longest"]) / 2, abs=2)
    (begin, end) = found[0]
    within = sum(1 for _ in arrivals(begin, end, rate=20_000.0, seed=SEED))
    without = sum(1 for _ in arrivals(begin + 7 * DAY, end + 7 * DAY, rate=20_000.0, seed=SEED))
    assert within - without == pytest.approx(SAID["burst"] * 24 * 20_000, rel=0.1)


def test_reports_are_late_missing_and_wrong_as_often_as_said(live: list[Arrival]) -> None:
    """The operator's own meters are always right and in time."""
    told = [each for each in live if each.actual is not None]
    others = [each for each in told if not each.trusted]
    audited = [each for each in told if each.trusted]
    assert near(1 - len(told) / len(live), SAID["lost"], len(live))
    assert near(len(audited) / len(live), SAID["audited"], len(live))
    possible = [each for each in others if SHORTEST_S <= (each.actual or 0) <= LONGEST_S]
    assert near(1 - len(possible) / len(others), SAID["absurd"], len(others))
    assert all(SHORTEST_S <= (each.actual or 0) <= LONGEST_S for each in audited)
    lag = np.array([each.known_at - each.moment - (each.actual or 0) for each in possible])
    assert np.median(lag) == pytest.approx(SAID["lag"], rel=0.1)
    held = lag[lag > 400]
    assert near(len(held) / len(lag), SAID["held"] * np.exp(-400 / HOUR / SAID["held_for"]), len(lag))
    assert (held - 400).mean() / HOUR == pytest.approx(SAID["held_for"], rel=0.2)
    assert max(each.known_at - each.moment - (each.actual or 0) for each in audited) < 1000


def test_everybody_is_somebody(live: list[Arrival]) -> None:
    """Shares of the personas, and all of them."""
    said = figures("persona", 0)
    assert set(said) == {each.name for each in PERSONAS} | {STRANGER}
    found = {name: sum(each.persona == name for each in live) / len(live) for name in said}
    assert found == {name: pytest.approx(share, abs=0.02) for name, share in said.items()}


def test_it_is_the_city_of_the_files(live: list[Arrival]) -> None:
    """The same pairs are common, and take as long at the same hours, up to what nothing explains."""
    files = trips(build(SEED), "2019-07", 60_000, SEED)
    zones = np.bincount(files["pickup_location_id"].to_numpy(), minlength=266)[1:264]
    ours = np.bincount([each.request["pickup_zone"] for each in live], minlength=264)[1:264]
    assert np.corrcoef(zones, ours)[0, 1] > 0.97
    seconds = (
        (files["dropoff_datetime"].to_numpy() - files["pickup_datetime"].to_numpy())
        .astype("timedelta64[s]")
        .astype(int)
    )
    good = (seconds >= SHORTEST_S) & (seconds <= LONGEST_S)
    told = np.array([each.actual for each in live if SHORTEST_S <= (each.actual or 0) <= LONGEST_S])
    assert np.quantile(told, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(seconds[good], [0.1, 0.5, 0.9]), rel=0.04)


def test_scenarios_do_what_is_said_to_as_many_as_said(live: list[Arrival], often: Callable[[int], int]) -> None:
    """The README's figures, counted; and nobody else is touched."""
    factor, share = figures("scenario", 0), figures("scenario", 2)
    assert set(share) == set(SCENARIOS)
    told = [each for each in live[:: len(live) // often(len(live))] if each.actual is not None]
    for name, each in SCENARIOS.items():
        chance = np.random.default_rng(1)
        pairs = [(before, each.change(before, chance)) for before in told]
        touched = [
            (before, after) for before, after in pairs if after is not None and (after != before or "volume" in name)
        ]
        assert len(touched) / len(pairs) == pytest.approx(share[name], abs=0.02), name
        for before, after in touched[:500]:
            if name == "airport_rule":
                assert after.actual == before.actual + factor[name]
            elif name in {"slower_streets", "lockdown", "closed_tunnel", "false_outcomes"}:
                assert after.actual == pytest.approx(before.actual * factor[name])
                assert after.known_at >= after.moment
                assert name != "false_outcomes" or not after.trusted
            elif name == "unit_mixup":
                assert after.actual == pytest.approx(before.actual / 60, abs=0.051)
                assert factor[name] == pytest.approx(1 / 60, rel=0.003)
                assert not after.trusted
            elif name == "missing_field":
                assert set(before.request) - set(after.request) == {"passengers"}
            elif name == "stuck_clock":
                assert after.request["pickup_time"] in {"2019-07-01T00:00:00", "2019-07-08T00:00:00"}
            else:
                assert after == before
