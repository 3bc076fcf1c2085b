"""Simulated trips: the right schema, the same bytes for the same seed, rhythm, and about three bad rows in a hundred."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from pyarrow import csv

from usecases.taxi_eta.city import JFK, build, congestion
from usecases.taxi_eta.data import DATA
from usecases.taxi_eta.simulator import simulate, trips

pytestmark = pytest.mark.unit


def test_the_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    """And another seed others."""
    one = simulate(tmp_path / "1", 500, 7, "2018-12", "2019-01")
    two = simulate(tmp_path / "2", 500, 7, "2018-12", "2019-01")
    other = simulate(tmp_path / "3", 500, 8, "2018-12", "2019-01")
    assert [each.name for each in one] == ["yellow_tripdata_2018-12.csv.gz", "yellow_tripdata_2019-01.csv.gz"]
    assert [each.read_bytes() for each in one] == [each.read_bytes() for each in two]
    assert one[0].read_bytes() != other[0].read_bytes()


def test_files_have_the_columns_of_the_contract_in_its_order(tmp_path: Path) -> None:
    """Times without a zone; no congestion surcharge before 2019."""
    before, after = (csv.read_csv(path) for path in simulate(tmp_path, 400, 1, "2018-12", "2019-01"))
    assert before.column_names == [each.name for each in DATA.columns]
    assert (before.num_rows, after.num_rows) == (200, 200)
    assert before["congestion_surcharge"].null_count == 200
    assert after["congestion_surcharge"].null_count == 0
    assert set(pc.unique(pc.strftime(before["pickup_datetime"], format="%Y-%m")).to_pylist()) == {"2018-12"}


def test_about_three_rows_in_a_hundred_are_bad() -> None:
    """Unknown zones, no distance, times of a second or a day, or backwards."""
    table = trips(build(1), "2019-03", 20_000, 1)
    seconds = (
        (table["dropoff_datetime"].to_numpy() - table["pickup_datetime"].to_numpy())
        .astype("timedelta64[s]")
        .astype(int)
    )
    zones = np.maximum(table["pickup_location_id"].to_numpy(), table["dropoff_location_id"].to_numpy())
    bad = (seconds < 60) | (seconds > 10_800) | (zones > 263) | (table["trip_distance"].to_numpy() <= 0)
    assert 0.02 < bad.mean() < 0.04


def test_the_city_wakes_and_sleeps() -> None:
    """Many more rides at six in the evening than at four in the morning; streets are slow when people go to work."""
    hours = trips(build(1), "2019-03", 20_000, 1)["pickup_datetime"].to_numpy().astype("datetime64[h]").astype(int) % 24
    counted = np.bincount(hours, minlength=24)
    assert counted[18] > 4 * counted[4]
    rush, night, sunday = congestion(np.array([17.0, 4.0, 9.0]), np.array([1, 1, 6]))
    assert rush > 3 * night
    assert sunday < congestion(np.array([9.0]), np.array([1]))[0]


def test_every_zone_can_be_reached_and_airports_are_far() -> None:
    """The network is one piece; a farther way takes longer."""
    city = build(1)
    assert np.isfinite(city.seconds).all()
    assert city.demand.sum() == pytest.approx(1.0)
    assert np.corrcoef(city.miles.ravel(), city.seconds.ravel())[0, 1] > 0.8
    usual = np.average(city.miles, weights=city.demand)
    assert np.average(city.miles[JFK - 1], weights=city.demand[JFK - 1]) > 2 * usual


def test_no_month_is_no_data(tmp_path: Path) -> None:
    """Months in the wrong order are refused."""
    with pytest.raises(ValueError, match="months in order"):
        simulate(tmp_path, 100, 1, "2019-02", "2019-01")
