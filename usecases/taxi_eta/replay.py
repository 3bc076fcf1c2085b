"""Rides that really took place, asked about once more: each row of a file as somebody who asks when the ride begins.

Bad rows are replayed like all others: what the gateway does not refuse, the streams behind it have to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tiphys.usecase import Arrival
from usecases.taxi_eta.api import to_request
from usecases.taxi_eta.features import FEATURES, examples
from usecases.taxi_eta.recent import LAG_S

AUDITED = 20
"""One ride in so many is taken as an audited car's."""
PERSONA = "rider"
_NEEDED = ("pickup_datetime", "dropoff_datetime", "pickup_location_id", "dropoff_location_id", "trip_distance")


def replay(table: pa.Table) -> Iterator[Arrival]:
    """Arrivals of rows with the names of data.py, in their order; rows that lack what a question needs are left out."""
    for name in _NEEDED:
        table = table.filter(pc.is_valid(table[name]))
    seconds: Any = pc.seconds_between(table["pickup_datetime"], table["dropoff_datetime"])
    found = examples(table.append_column("duration_s", seconds))
    columns: list[list[Any]] = [found.features[each.name].tolist() for each in FEATURES]
    rows = zip(*columns, found.target.tolist(), found.hindsight["miles"].tolist(), strict=True)
    for number, (*values, duration, miles) in enumerate(rows):
        row = {each.name: value for each, value in zip(FEATURES, values, strict=True)}
        moment = float(row["pickup_time"])
        facts = {"miles": round(miles, 3)}
        trusted = number % AUDITED == 0
        yield Arrival(moment, PERSONA, to_request(row), duration, moment + duration + LAG_S, facts, trusted)
