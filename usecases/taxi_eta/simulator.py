"""Make trips of the schema of ``data.py``: one gzip CSV a month, with rhythm, airports, traffic and three per cent bad rows.

The same arguments make the same bytes; a month depends on the seed and its own share of rows, not on the other months.
README.md beside this file says what is modelled, and what is not. The same city live is in stream.py: ``arrivals``.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from usecases.taxi_eta.city import City, build
from usecases.taxi_eta.rides import LONGEST_S, PASSENGERS, SHORTEST_S, distances, durations, rhythm, weekday_of
from usecases.taxi_eta.stream import arrivals

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tiphys.usecase import Arrival

    Array = npt.NDArray[Any]

__all__ = ["arrivals", "replay", "simulate", "trips"]

FIRST, LAST = "2018-01", "2019-06"
ROWS = 200_000
BAD_SHARE = 0.03

_SURCHARGE_FROM = "2019-01"
_QUICK = 1
"""Level of gzip: the default one takes three times as long as all the rest, for files a fifth smaller."""
_KINDS = ("backwards", "second", "day", "still", "refund", "unknown_from", "unknown_to")
_KIND_SHARES = (0.05, 0.27, 0.07, 0.06, 0.05, 0.4, 0.1)


def simulate(
    folder: Path, rows: int = ROWS, seed: int = 1, first_month: str = FIRST, last_month: str = LAST
) -> list[Path]:
    """Write the months' files into a folder, which is made, and answer with their paths.

    Raises:
        ValueError: there is no month between the two, or no row for each.
    """
    months = _months(first_month, last_month)
    if not months or rows < len(months):
        message = f"{rows} rows from {first_month} to {last_month}: give months in order, and a row for each at least"
        raise ValueError(message)
    folder.mkdir(parents=True, exist_ok=True)
    city = build(seed)
    shares = [rows // len(months) + (number < rows % len(months)) for number in range(len(months))]
    return [_write(folder, month, trips(city, month, count, seed)) for month, count in zip(months, shares, strict=True)]


def trips(city: City, month: str, rows: int, seed: int) -> pa.Table:
    """One month's trips, bad rows among them, as the table that becomes its file."""
    import pyarrow as pa  # noqa: PLC0415 - half a second, for who simulates

    chance = np.random.default_rng([seed, int(month[:4]), int(month[5:])])
    pickup, hour, weekday = _times(chance, month, rows)
    ride = chance.choice(city.demand.size, rows, p=city.demand.ravel())
    start, end = np.divmod(ride, len(city.demand))
    seconds = durations(chance, city, (start, end), (hour, weekday), int(month[5:]))
    miles = distances(chance, city, (start, end))
    trip = {
        "seconds": np.clip(seconds, SHORTEST_S, LONGEST_S).astype(np.int64),
        "miles": np.round(np.maximum(miles, 0.05), 2),
        "start": start + 1,
        "end": end + 1,
        "fare": np.round((2.5 + 2.5 * miles + 0.5 * seconds / 60 / (1 + miles)) * 2) / 2,
    }
    _spoil(chance, trip)
    return pa.table(_columns(chance, month, pickup, trip))


def replay(table: pa.Table) -> Iterator[Arrival]:
    """Rows of such files, or of real ones, as people who ask: see replay.py."""
    from usecases.taxi_eta.replay import replay as replayed  # noqa: PLC0415 - as above

    return replayed(table)


def _months(first: str, last: str) -> list[str]:
    span = np.arange(np.datetime64(first, "M"), np.datetime64(last, "M") + 1)
    return [str(month) for month in span]


def _times(chance: np.random.Generator, month: str, rows: int) -> tuple[Array, Array, Array]:
    """Pick-up (seconds since 1970), hour of the day (float) and weekday of each trip, by the weekly rhythm."""
    first = np.datetime64(month, "M")
    days = np.arange(first.astype("datetime64[D]"), (first + 1).astype("datetime64[D]"))
    weekdays = weekday_of(days.astype(np.int64))
    weight = rhythm(weekdays).ravel()
    slot = chance.choice(weight.size, rows, p=weight / weight.sum())
    second = chance.integers(0, 3600, rows)
    pickup = days[slot // 24].astype("datetime64[s]").astype(np.int64) + slot % 24 * 3600 + second
    return pickup, slot % 24 + second / 3600, weekdays[slot // 24]


def _spoil(chance: np.random.Generator, trip: dict[str, Array]) -> None:
    """Turn about three rows in a hundred into what meters really report."""
    rows = len(trip["seconds"])
    bad = np.flatnonzero(chance.random(rows) < BAD_SHARE)
    kind = chance.choice(len(_KINDS), len(bad), p=_KIND_SHARES)
    chosen = {name: bad[kind == number] for number, name in enumerate(_KINDS)}
    trip["seconds"][chosen["backwards"]] = -chance.integers(0, 3600, len(chosen["backwards"]))
    trip["seconds"][chosen["second"]] = chance.integers(1, 60, len(chosen["second"]))
    trip["seconds"][chosen["day"]] = 86_400 - chance.integers(0, 600, len(chosen["day"]))
    trip["miles"][chosen["still"]] = 0.0
    trip["fare"][chosen["refund"]] *= -1
    trip["start"][chosen["unknown_from"]] = 264
    trip["end"][np.concatenate([chosen["unknown_from"], chosen["unknown_to"]])] = 265


def _columns(chance: np.random.Generator, month: str, pickup: Array, trip: dict[str, Array]) -> dict[str, Any]:
    """The columns of a file, in the order of the real ones."""
    import pyarrow as pa  # noqa: PLC0415

    rows = len(pickup)
    hour = pickup // 3600 % 24
    card = chance.random(rows) < 0.7  # noqa: PLR2004 - share of rides paid by card
    sign = np.sign(trip["fare"])
    extra = sign * np.where((hour >= 20) | (hour < 6), 0.5, np.where((hour >= 16) & (hour < 20), 1.0, 0.0))  # noqa: PLR2004
    airport = (trip["start"] == 132) | (trip["end"] == 132)  # noqa: PLR2004 - JFK has a tariff of its own
    tip = np.where(card & (sign > 0), np.round(trip["fare"] * chance.uniform(0.1, 0.3, rows), 2), 0.0)
    tolls = np.where((trip["miles"] > 8) & (chance.random(rows) < 0.5), 5.76, 0.0)  # noqa: PLR2004 - the far side of a bridge
    since_2019 = month >= _SURCHARGE_FROM
    surcharge = sign * 2.5 * since_2019
    return {
        "vendor_id": chance.integers(1, 3, rows),
        "pickup_datetime": pa.array(pickup, pa.timestamp("s")),
        "dropoff_datetime": pa.array(pickup + trip["seconds"], pa.timestamp("s")),
        "passenger_count": chance.choice(PASSENGERS[0], rows, p=PASSENGERS[1]),
        "trip_distance": trip["miles"],
        "rate_code_id": np.where(airport, 2, 1),
        "store_and_fwd_flag": pa.array(np.where(chance.random(rows) < 0.004, "Y", "N")),  # noqa: PLR2004
        "pickup_location_id": trip["start"],
        "dropoff_location_id": trip["end"],
        "payment_type": np.where(card, 1, 2),
        "fare_amount": trip["fare"],
        "extra": extra,
        "mta_tax": sign * 0.5,
        "tip_amount": tip,
        "tolls_amount": tolls,
        "improvement_surcharge": sign * 0.3,
        "total_amount": np.round(trip["fare"] + extra + sign * 0.8 + tip + tolls + surcharge, 2),
        "congestion_surcharge": pa.array(surcharge) if since_2019 else pa.nulls(rows, pa.float64()),
    }


def _write(folder: Path, month: str, table: pa.Table) -> Path:
    """Write a file, which appears whole or not at all."""
    from pyarrow import csv  # noqa: PLC0415

    path = folder / f"yellow_tripdata_{month}.csv.gz"
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file, gzip.GzipFile("", "wb", _QUICK, file, mtime=0) as stream:
        stream.write((",".join(table.column_names) + "\n").encode())
        csv.write_csv(table, cast("IO[bytes]", stream), csv.WriteOptions(include_header=False, quoting_style="none"))
    part.replace(path)
    return path
