"""The model: the status quo's answer times exp(residual), the residual a small network that starts at zero.

Before training it therefore *is* the status quo. Its lookups are buffers, computed from past rides; a training row's own
ride is never in the lookups it is trained with (they come from the other folds). Plain torch: how it is trained is
``training.py``'s matter, so that whoever only asks the model need not load Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tiphys import recent
from tiphys.usecase import TrainConfig
from usecases.taxi_eta import lookups
from usecases.taxi_eta.features import FEATURES
from usecases.taxi_eta.lookups import HOURS, PAIR_FACTS, PAIRS, PLACES, WEEK_HOURS
from usecases.taxi_eta.recent import RECENT

if TYPE_CHECKING:
    from tiphys.usecase import Array, Examples

CONFIG = TrainConfig(epochs=12, batch_size=2048, learning_rate=6e-3, weight_decay=1e-2, patience=3, folds=5, seed=7)

_WIDTH = 128
_EMBEDDING = 8
_LONGEST_RESIDUAL = 3.0
"""A ride is predicted at most e^3 times longer or shorter than the status quo says."""
_DAY_WAVES = 4
_WEEK_WAVES = 3
_CLOCK = 2 * (_DAY_WAVES + _WEEK_WAVES + 1) + 7
_KNOWN = 2 * PAIR_FACTS + 5
"""Numbers looked up for a row: facts of the pair and of the way back, three clock effects, their sum, the status quo."""
_TYPICAL_LOG_DURATION = 6.5
_USUALLY_OFF, _MOST_OFF = 0.08, 0.25
"""Standard deviation of the recent pace, and how much of it is believed."""
_HIDDEN = 0.2
"""Share of the training rows that do not know the recent pace, so that a question without it is nothing new."""


class Lookups(nn.Module):
    """Past rides as tensors: a question in, the status quo's answer and what else is known out."""

    status_quo: Tensor
    pair: Tensor
    week_hour: Tensor
    pickup_hour: Tensor
    dropoff_hour: Tensor

    def __init__(self, history: Examples | None) -> None:
        """Compute the tables from past rides; without any they are zeros of the same shapes, to be loaded into."""
        super().__init__()
        shapes = {
            "status_quo": (PAIRS, HOURS),
            "pair": (PAIRS, PAIR_FACTS),
            "week_hour": (WEEK_HOURS,),
            "pickup_hour": (PLACES * HOURS,),
            "dropoff_hour": (PLACES * HOURS,),
        }
        tables = None if history is None else lookups.fit(history)
        for name, shape in shapes.items():
            values = torch.zeros(shape) if tables is None else torch.from_numpy(getattr(tables, name))
            self.register_buffer(name, values)

    def forward(self, pickup: Tensor, dropoff: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return the status quo's duration [n] in seconds and the known numbers [n, _KNOWN]."""
        hour = lookups.hour_of(time)
        pair = lookups.pair_of(pickup, dropoff)
        quo = self.status_quo[pair, hour]
        facts, back = self.pair[pair], self.pair[lookups.pair_of(dropoff, pickup)]
        week = self.week_hour[lookups.week_hour_of(time)]
        start, end = self.pickup_hour[pickup * HOURS + hour], self.dropoff_hour[dropoff * HOURS + hour]
        center = facts.new_tensor([_TYPICAL_LOG_DURATION, 0.0, 0.0, 0.0])
        expected = facts[:, 0] + week + start + end - _TYPICAL_LOG_DURATION
        effects = torch.stack([week, start, end, expected, quo.clamp(min=1.0).log() - _TYPICAL_LOG_DURATION], dim=1)
        return quo, torch.cat([facts - center, back - center, effects], dim=1)


class EtaModel(nn.Module):
    """One question a row in, seconds out."""

    def __init__(self, history: Examples | None) -> None:
        """Make the network with a residual of zero; lookups from ``history``, or blank."""
        super().__init__()
        self.lookups = Lookups(history)
        self.pickup = nn.Embedding(PLACES, _EMBEDDING)
        self.dropoff = nn.Embedding(PLACES, _EMBEDDING)
        self.week_hour = nn.Embedding(WEEK_HOURS, _EMBEDDING)
        for table in (self.pickup, self.dropoff, self.week_hour):
            nn.init.normal_(table.weight, std=0.1)
        inputs = _KNOWN + _CLOCK + 3 * _EMBEDDING + 2
        self.deep = nn.Sequential(
            nn.Linear(inputs, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH // 2), nn.SiLU(),
        )  # fmt: skip
        self.residual = nn.Linear(_WIDTH // 2 + inputs, 1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)

    def forward(
        self, pickup_zone: Tensor, dropoff_zone: Tensor, pickup_time: Tensor, passengers: Tensor, recent_pace: Tensor
    ) -> Tensor:
        """Return the duration in seconds, float32 [n]; zones outside the map are taken as its nearest number."""
        pickup, dropoff = pickup_zone.clamp(0, PLACES - 1), dropoff_zone.clamp(0, PLACES - 1)
        quo, known = self.lookups(pickup, dropoff, pickup_time)
        return self.correct(quo, known, pickup, dropoff, pickup_time, passengers, recent_pace)

    def correct(  # noqa: PLR0913, PLR0917 - one tensor a feature, and what was looked up
        self,
        quo: Tensor,
        known: Tensor,
        pickup: Tensor,
        dropoff: Tensor,
        time: Tensor,
        passengers: Tensor,
        pace: Tensor,
    ) -> Tensor:
        """Return the status quo's answer corrected by the network; all vectors are [n], ``known`` is [n, _KNOWN]."""
        week_hour = self.week_hour(lookups.week_hour_of(time))
        people = passengers.clamp(0, 6).float()[:, None] / 3.0
        embedded = [self.pickup(pickup), self.dropoff(dropoff), week_hour]
        off = pace.clamp(-_MOST_OFF, _MOST_OFF)[:, None] / _USUALLY_OFF
        inputs = torch.cat([known, _clock(time), people, off, *embedded], dim=1)
        residual = self.residual(torch.cat([self.deep(inputs), inputs], dim=1))[:, 0]
        answer: Tensor = quo * residual.clamp(-_LONGEST_RESIDUAL, _LONGEST_RESIDUAL).exp()
        return answer


def build(_config: TrainConfig, history: Examples | None = None) -> EtaModel:
    """Make the model; without past rides its lookups are blank, for weights to be loaded into."""
    return EtaModel(history)


def training_rows(config: TrainConfig, history: Examples) -> dict[str, Array]:
    """Make what a training batch is cut from: the features, the target, and each row's lookups from the other folds."""
    fold = np.random.default_rng(config.seed).integers(0, config.folds, len(history))
    quo = np.zeros(len(history), np.float32)
    known = np.zeros((len(history), _KNOWN), np.float32)
    for number in range(config.folds):
        inside = fold == number
        question = [torch.from_numpy(history.features[each.name][inside]) for each in FEATURES[:3]]
        answers = Lookups(history.where(~inside))(*question)
        quo[inside], known[inside] = (each.numpy() for each in answers)
    pace = recent.hidden(RECENT, history.features[RECENT.name], _HIDDEN, config.seed)
    return {**history.features, RECENT.name: pace, "target": history.target, "status_quo": quo, "known": known}


def _clock(time: Tensor) -> Tensor:
    """Daily, weekly and yearly waves and the weekday as one-hot: [n, _CLOCK]."""
    minute = (time // 60) % 1440
    weekday = (time // 86400 + 3) % 7
    day = 2 * torch.pi * minute.float() / 1440
    week = 2 * torch.pi * (weekday * 1440 + minute).float() / 10080
    year = 2 * torch.pi * ((time // 86400) % 1461).float() / 365.25
    angles = [day * n for n in range(1, _DAY_WAVES + 1)] + [week * n for n in range(1, _WEEK_WAVES + 1)] + [year]
    waves = torch.stack([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    weekdays = (weekday[:, None] == torch.arange(7)[None, :]).float()
    return torch.cat([waves, weekdays], dim=1)
