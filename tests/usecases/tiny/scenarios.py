"""How the kettle may change, or those who ask about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tiphys.usecase import Arrival, Scenario

if TYPE_CHECKING:
    import numpy as np


def _limescale(arrival: Arrival, _chance: np.random.Generator) -> Arrival:
    if arrival.actual is None:
        return arrival
    return replace(arrival, actual=arrival.actual * 1.25, known_at=arrival.known_at + arrival.actual * 0.25)


def _minutes(arrival: Arrival, chance: np.random.Generator) -> Arrival:
    mixed = chance.random() < 0.5 and not arrival.trusted and arrival.actual is not None
    return replace(arrival, actual=(arrival.actual or 0.0) / 60) if mixed else arrival


def _lies(arrival: Arrival, _chance: np.random.Generator) -> Arrival:
    if arrival.trusted or arrival.actual is None:
        return arrival
    return replace(arrival, actual=arrival.actual * 1.6, known_at=arrival.known_at + arrival.actual * 0.6)


def _broken_thermometer(arrival: Arrival, chance: np.random.Generator) -> Arrival:
    return replace(arrival, request={**arrival.request, "celsius": 0}) if chance.random() < 0.6 else arrival


SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario("limescale", "The kettle is furred: all takes a quarter longer, for good.", ("error",), _limescale),
        Scenario("unit_mixup", "A client reports minutes instead of seconds.", ("quality", "error"), _minutes),
        Scenario("false_outcomes", "Somebody has all clients report that it took far longer.", ("error",), _lies),
        Scenario(
            "missing_field", "A client does not measure: it says 0 degrees.", ("data", "error"), _broken_thermometer
        ),
    )
}
