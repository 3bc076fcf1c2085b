"""The status quo and LightGBM as torch modules, so that they can be served where they beat the network.

What they look up are buffers, made from past rides by the same functions as the baselines' own tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tiphys import trees
from tiphys.usecase import Candidate
from usecases.taxi_eta import baselines, lookups
from usecases.taxi_eta.lookups import HOURS, PAIRS, PLACES, WEEK_HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.trees import Trees
    from tiphys.usecase import Array, Examples

_TREES = "trees."


class StatusQuo(nn.Module):
    """Median of zone pair and hour."""

    seconds: Tensor

    def __init__(self, seconds: Array) -> None:
        """Take the table [pairs, 24]."""
        super().__init__()
        self.register_buffer("seconds", torch.tensor(seconds))

    def forward(
        self, pickup_zone: Tensor, dropoff_zone: Tensor, pickup_time: Tensor, passengers: Tensor, recent_pace: Tensor
    ) -> Tensor:
        """Return the duration in seconds, float32 [n]; zones outside the map are taken as its nearest number."""
        pickup, dropoff = pickup_zone.clamp(0, PLACES - 1), dropoff_zone.clamp(0, PLACES - 1)
        answer = self.seconds[lookups.pair_of(pickup, dropoff), lookups.hour_of(pickup_time)]
        return (
            answer + 0.0 * passengers + 0.0 * recent_pace
        )  # an input that nothing depends on would not be in the exported graph


class Boosted(nn.Module):
    """LightGBM's trees over a question and what past rides say of it."""

    pair: Tensor
    week_hour: Tensor
    miles: Tensor

    def __init__(self, quo: Array, pair: Array, week_hour: Array, miles: Array, grown: Trees) -> None:
        """Take the status quo [pairs, 24], log seconds of pairs and hours of the week, miles of pairs, and the trees."""
        super().__init__()
        self.quo = StatusQuo(quo)
        for name, values in (("pair", pair), ("week_hour", week_hour), ("miles", miles)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
        self.trees = grown

    def forward(
        self, pickup_zone: Tensor, dropoff_zone: Tensor, pickup_time: Tensor, passengers: Tensor, recent_pace: Tensor
    ) -> Tensor:
        """Return the duration in seconds, float32 [n]; zones outside the map are taken as its nearest number."""
        pickup, dropoff = pickup_zone.clamp(0, PLACES - 1), dropoff_zone.clamp(0, PLACES - 1)
        week_hour = lookups.week_hour_of(pickup_time)
        row = lookups.pair_of(pickup, dropoff)
        minute = (pickup_time // 60) % 1440
        asked = (pickup, dropoff, week_hour // HOURS, week_hour % HOURS, minute, passengers)
        quo = self.quo(pickup, dropoff, pickup_time, passengers, recent_pace)
        strong = (self.pair[row] + self.week_hour[week_hour]).exp()
        known = (quo, strong, self.miles[row])
        answer: Tensor = self.trees(torch.stack([*(each.float() for each in asked), *known], dim=1))
        return answer


def _status_quo(history: Examples) -> StatusQuo:
    return StatusQuo(lookups.status_quo(history))


def _boosted(history: Examples) -> Boosted:
    found = baselines.effects(history)
    return Boosted(
        lookups.status_quo(history),
        found.pair + found.level,
        found.week_hour,
        baselines.miles(history),
        trees.of_lightgbm(baselines.boosted(history)),
    )


def _blank_status_quo(_: Mapping[str, tuple[int, ...]]) -> StatusQuo:
    return StatusQuo(torch.zeros(PAIRS, HOURS).numpy())


def _blank_boosted(shapes: Mapping[str, tuple[int, ...]]) -> Boosted:
    grown = {name.removeprefix(_TREES): shape for name, shape in shapes.items() if name.startswith(_TREES)}
    table, pairs, hours = torch.zeros(PAIRS, HOURS).numpy(), torch.zeros(PAIRS).numpy(), torch.zeros(WEEK_HOURS).numpy()
    return Boosted(table, pairs, hours, pairs, trees.blank(grown))


CANDIDATES = {
    "lightgbm": Candidate(_boosted, _blank_boosted),
    "status_quo": Candidate(_status_quo, _blank_status_quo),
}
