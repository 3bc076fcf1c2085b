"""Who asks how long a ride takes: artificial riders of the canary, on real rides of the month that training never saw.

Stories say what a wrong or late answer costs them; together they cover what `slices.py` looks at. The zones are its.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tiphys.usecase import Persona
from usecases.taxi_eta import lookups
from usecases.taxi_eta.slices import JFK, LAGUARDIA, MANHATTAN, NEWARK

if TYPE_CHECKING:
    from tiphys.usecase import Array, Examples, Mask

_AIRPORTS = (NEWARK, JFK, LAGUARDIA)
_LARGE_PARTY = 3
_WORKDAYS = 5


def _hour(examples: Examples) -> Array:
    """Hour of the week of each ride, from Monday 0:00."""
    hour: Array = lookups.week_hour_of(examples.features["pickup_time"])
    return hour


def _touches(examples: Examples, *zones: int) -> Mask:
    """Rides that begin or end in one of the zones."""
    begins, ends = (np.isin(examples.features[name], zones) for name in ("pickup_zone", "dropoff_zone"))
    mask: Mask = begins | ends
    return mask


def _commutes(examples: Examples) -> Mask:
    hour = _hour(examples)
    rush = np.isin(hour % lookups.HOURS, (7, 8, 9, 16, 17, 18, 19))
    mask: Mask = rush & (hour // lookups.HOURS < _WORKDAYS)
    return mask


def _flies(examples: Examples) -> Mask:
    return _touches(examples, *_AIRPORTS)


def _goes_out(examples: Examples) -> Mask:
    mask: Mask = _hour(examples) % lookups.HOURS < 6  # noqa: PLR2004
    return mask


def _shops(examples: Examples) -> Mask:
    hour = _hour(examples) % lookups.HOURS
    within = np.isin(examples.features["pickup_zone"], list(MANHATTAN)) & np.isin(
        examples.features["dropoff_zone"], list(MANHATTAN)
    )
    mask: Mask = within & (hour >= 10) & (hour < 16)  # noqa: PLR2004
    return mask


def _crosses(examples: Examples) -> Mask:
    begins, ends = (np.isin(examples.features[name], list(MANHATTAN)) for name in ("pickup_zone", "dropoff_zone"))
    mask: Mask = begins != ends
    return mask


def _travels_together(examples: Examples) -> Mask:
    mask: Mask = examples.features["passengers"] >= _LARGE_PARTY
    return mask


PERSONAS = (
    Persona(
        "commuter",
        "Rides to the office and back on workdays in the rush hours. Decides between taxi and subway by the estimate, so ten "
        "minutes too few make her late for a meeting, and next time she takes the train.",
        _commutes,
        weight=3.0,
    ),
    Persona(
        "flyer",
        "Has a flight to catch, or has just landed. Moves the pin along the terminal's kerb, so he asks three times. "
        "Too short an estimate and he misses the flight; too long a one and he stands in a queue for an hour.",
        _flies,
        asks=3,
        weight=1.5,
    ),
    Persona(
        "night_owl",
        "Leaves bars and late shifts when streets are empty and buses are rare. Few rides like hers are in the data, and "
        "she waits outside, alone, for as long as the estimate says.",
        _goes_out,
        weight=1.0,
    ),
    Persona(
        "errand_runner",
        "Goes from shop to shop in Manhattan around noon, ten minutes each. A minute matters, and he asks for a second address "
        "before he decides to walk.",
        _shops,
        asks=2,
        weight=2.0,
    ),
    Persona(
        "visitor",
        "Crosses a river to see the family in Queens or Brooklyn, a way that she does not know. She trusts the estimate "
        "because she has nothing else, and tells her family when to put the food on.",
        _crosses,
        weight=1.5,
    ),
    Persona(
        "family",
        "Three or more with bags, who need a large car and book ahead. Everybody waits for the slowest, and a late answer of "
        "the app means that somebody orders a second car.",
        _travels_together,
        asks=2,
        weight=1.0,
    ),
)
