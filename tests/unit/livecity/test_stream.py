"""Which arrivals there are: made up, changed from some moment on, or from files; and inputs of the step that make no sense."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.simulate.contract import Inputs
from components.simulate.step import arrivals as arrivals_of
from tests.usecases.tiny.simulator import arrivals, simulate
from tiphys.errors import DataError, SettingsError
from tiphys.serving.livecity import stream
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit

TINY = "tests.usecases.tiny"
KETTLE = UseCase(TINY)
MORNING = datetime(2024, 3, 1, 6, tzinfo=UTC).timestamp()
HOUR = 3600.0


def test_the_kettle_sleeps_at_night_and_is_the_same_every_time() -> None:
    """Hours are drawn one by one: a stream that begins later is the rest."""
    day = list(arrivals(MORNING - 6 * HOUR, MORNING + 18 * HOUR, rate=100, seed=3))
    assert {int(each.moment // HOUR) % 24 for each in day} == set(range(6, 23))
    assert len(day) == pytest.approx(2400, abs=200)
    assert list(arrivals(MORNING + 1.5, MORNING + 2 * HOUR, rate=100, seed=3)) == [
        each for each in day if MORNING + 1.5 <= each.moment < MORNING + 2 * HOUR
    ]
    assert list(stream.made_up(KETTLE, MORNING, MORNING + HOUR, rate=100, seed=3)) == [
        each for each in day if MORNING <= each.moment < MORNING + HOUR
    ]


def test_a_scenario_begins_when_it_is_said_to() -> None:
    """Before, nothing is changed; after, every boiling takes a quarter longer and is reported so much later."""
    plain = list(arrivals(MORNING, MORNING + 2 * HOUR, rate=200, seed=3))
    furred = list(stream.changed(plain, stream.scenario(KETTLE, "limescale"), MORNING + HOUR, 3))
    for before, after in zip(plain, furred, strict=True):
        if before.moment < MORNING + HOUR or before.actual is None:
            assert after == before
        else:
            assert after.actual == pytest.approx(1.25 * before.actual)
            assert after.known_at == pytest.approx(before.known_at + 0.25 * before.actual)


def test_a_scenario_does_the_same_to_a_city_that_begins_later() -> None:
    """Chance of its own, hour by hour."""
    change = stream.scenario(KETTLE, "unit_mixup")
    whole = stream.changed(arrivals(MORNING, MORNING + 3 * HOUR, rate=200, seed=3), change, MORNING, 3)
    later = stream.changed(arrivals(MORNING + HOUR, MORNING + 3 * HOUR, rate=200, seed=3), change, MORNING, 3)
    assert list(later) == [each for each in whole if each.moment >= MORNING + HOUR]


def test_a_fault_of_a_client_never_touches_the_trusted_meter() -> None:
    """About half of the others are mixed up."""
    plain = [each for each in arrivals(MORNING, MORNING + 5 * HOUR, rate=200, seed=3) if each.actual is not None]
    mixed = list(stream.changed(plain, stream.scenario(KETTLE, "unit_mixup"), MORNING, 3))
    pairs = list(zip(plain, mixed, strict=True))
    assert all(after == before for before, after in pairs if before.trusted)
    others = [after.actual != before.actual for before, after in pairs if not before.trusted]
    assert 0.4 < sum(others) / len(others) < 0.6


def test_a_scenario_that_is_not_known_is_named_with_those_that_are() -> None:
    """A spelling mistake is no quiet day."""
    with pytest.raises(
        SettingsError, match="no scenario 'limscale'; it has false_outcomes, limescale, missing_field, unit_mixup"
    ):
        stream.scenario(KETTLE, "limscale")


def test_files_are_replayed_in_the_order_of_their_time(tmp_path: Path) -> None:
    """All files of the folder, one window of time; what was measured then is reported now."""
    simulate(tmp_path, 2000, 4)
    (tmp_path / "README.txt").write_text("no data")
    start = datetime(2024, 1, 20, tzinfo=UTC).timestamp()
    end = datetime(2024, 2, 10, tzinfo=UTC).timestamp()
    found = list(stream.replayed(KETTLE, str(tmp_path), start, end))
    moments = [each.moment for each in found]
    assert moments == sorted(moments)
    assert start <= moments[0] < moments[-1] < end
    lines = [line.split(",") for path in tmp_path.glob("*.csv") for line in path.read_text().splitlines()[1:]]
    wanted = [line for line in lines if "2024-01-20" <= line[0] < "2024-02-10"]
    assert len(found) == len(wanted) > 200
    assert sorted(each.actual for each in found if each.actual) == sorted(float(line[3]) for line in wanted)


def test_rides_of_files_are_replayed_in_either_dialect(tmp_path: Path) -> None:
    """CSV, gzip CSV and Parquet; the official names as well as ours; a row that lacks a zone asks nothing."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    row = "2019-01-05 10:00:00,2019-01-05 10:20:00,1,4.2,161,138"
    names = "tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,PULocationID,DOLocationID"
    (tmp_path / "a.csv").write_text(f"\ufeff{names}\r\n{row}\r\n2019-01-05 09:00:00,2019-01-05 09:20:00,2,1.0,,138\r\n")
    moment = datetime(2019, 1, 5, 9, 30)  # noqa: DTZ001
    table = {
        "pickup_datetime": pa.array([moment], pa.timestamp("us")),
        "dropoff_datetime": pa.array([datetime(2019, 1, 5, 9, 40)], pa.timestamp("us")),  # noqa: DTZ001
        "passenger_count": pa.array([None], pa.float64()),
        "trip_distance": [1.5],
        "pickup_location_id": pa.array([7], pa.int32()),
        "dropoff_location_id": pa.array([264], pa.int32()),
    }
    parquet.write_table(pa.table(table), tmp_path / "b.parquet")
    start = datetime(2019, 1, 5, tzinfo=UTC).timestamp()
    one, two = stream.replayed(UseCase("taxi_eta"), str(tmp_path), start, start + 24 * HOUR)
    assert one.request == {"pickup_zone": 7, "dropoff_zone": 264, "pickup_time": "2019-01-05T09:30:00", "passengers": 1}
    assert (one.actual, one.facts) == (600.0, {"miles": 1.5})
    assert two.request == {
        "pickup_zone": 161,
        "dropoff_zone": 138,
        "pickup_time": "2019-01-05T10:00:00",
        "passengers": 1,
    }
    assert (two.actual, two.known_at - two.moment) == (1200.0, 1220.0)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no file that ends in"),
        ({"a.csv": b"switched_on,litres\n2024-01-01 10:00:00,1\n"}, "lacks 2 required columns"),
        ({"a.csv.gz": b"no gzip"}, "a.csv.gz is not what its name says"),
        ({"a.parquet": b"no parquet"}, "a.parquet is not what its name says"),
        ({"a.csv": b"switched_on,litres,celsius,seconds\nnever,1,20,300\n"}, "a.csv is not what its name says"),
        ({"a.csv": b"switched_on,litres,celsius,seconds\n2023-01-01 10:00:00,1,20,300\n"}, "give start and hours"),
        ({"a.csv": b""}, "lacks 4 required columns"),
    ],
)
def test_files_that_are_none_are_refused_before_anybody_asks(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    """By name, with what to do."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        stream.replayed(KETTLE, str(tmp_path), MORNING, MORNING + HOUR)


def test_the_step_lays_its_scenario_over_its_window() -> None:
    """Hours, questions and the scenario's moment are the inputs'."""
    inputs = Inputs.model_validate({
        "use_case": TINY, "start": "2024-03-01T06:00:00", "hours": "2", "rate": "200", "seed": "3", "scenario": "limescale",
        "scenario_from": "2024-03-01T07:00:00", "questions": "300",
    })  # fmt: skip
    found = list(arrivals_of(KETTLE, inputs))
    plain = list(arrivals(MORNING, MORNING + 2 * HOUR, rate=200, seed=3))[:300]
    assert len(found) == 300
    changed = [after.moment for before, after in zip(plain, found, strict=True) if before != after]
    assert changed
    assert min(changed) >= MORNING + HOUR


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "2019-07-01T00:00:00Z"},
        {"start": "soon"},
        {"hours": "0"},
        {"rate": "-1"},
        {"speed": "nan"},
        {"scenario_from": "2019-07-02T00:00:00"},
        {"at_once": "1000"},
    ],
)
def test_inputs_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    """A clock with a zone, no hours, a scenario's moment without the scenario."""
    with pytest.raises(ValidationError):
        Inputs.model_validate({"use_case": TINY, "start": "2019-07-01T00:00:00", **wrong})
