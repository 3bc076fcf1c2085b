"""The kettle's world, whose questions say when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.usecases.tiny import simulator
from tiphys.usecase import Arrival

simulate = simulator.simulate


def arrivals(start: float, end: float, *, rate: float, seed: int) -> Iterator[Arrival]:
    """Boilings live, as the kettle's without a clock."""
    for each in simulator.arrivals(start, end, rate=rate, seed=seed):
        yield replace(each, request={**each.request, "switched_on": round(each.moment)})
