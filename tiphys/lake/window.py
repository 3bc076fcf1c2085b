"""Which rows of a version a model is made from after the world changed, how much they count, and which are kept back.

A :class:`Window` travels between steps as one text, empty for none: then the split by months holds (``components/train``).
With one, the rows since ``recent_from`` are cut by time: the newest fifth to judge on, the fifth before to stop on; all
before is to learn from. Older rows still know the shape of the world, so they stay, but as it is now: their outcomes are
multiplied by ``level``, and the recent ones get a share of the weight. Plain NumPy; knows no use case.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tiphys.errors import DataError
from tiphys.usecase import Examples, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiphys.lake.dataset import Dataset
    from tiphys.usecase import Array, UseCase

LEAST_RECENT = 250
"""Rows since the change that a retraining needs: fifty to judge on and to make intervals from, as many to stop on."""
_DAY_S = 86400.0
_PARTS = 5
"""One part in so many of the recent rows is for judging, one for stopping."""


def moment_of(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 moment; without a zone it is by the use case's own clock.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Window(BaseModel):
    """What a retraining learns from. Moments are ISO 8601 by the use case's own clock; empty: no bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recent_from: str
    """Since when the world is another one."""
    since: str = ""
    """Rows before are left out."""
    half_life_days: float | None = Field(None, gt=0)
    """Rows from before the change lose half of their weight in so many days; None: they do not."""
    recent_share: float | None = Field(None, gt=0, lt=1)
    """Share of all weight that the recent rows have; None: each row counts like any other."""
    level: float = Field(1.0, gt=0)
    """What outcomes from before the change are multiplied by."""

    @field_validator("recent_from", "since")
    @classmethod
    def _is_moment(cls, text: str) -> str:
        if text:
            moment_of(text)
        return text

    @property
    def begins(self) -> float:
        """The moment of the change, seconds since 1970."""
        return moment_of(self.recent_from)

    def __str__(self) -> str:
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def parse(cls, text: str) -> Window | None:
        """Read what ``str`` wrote; None for an empty text.

        Raises:
            DataError: it is no window.
        """
        if not text:
            return None
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            message = f"{text!r} is no window: {error.errors()[0]['msg']}; it is what the step train told as 'window'"
            raise DataError(message) from None


@dataclass(frozen=True)
class Timed:
    """Rows in order of time."""

    rows: Examples
    moment: Array
    """Seconds since 1970 of each row, float64, ascending."""

    def where(self, mask: Array) -> Timed:
        """Rows for which ``mask`` holds."""
        return Timed(self.rows.where(mask), self.moment[mask])


@dataclass(frozen=True)
class Cut:
    """Rows to learn from, to stop on, and to judge on, one after another in time."""

    train: Timed
    validation: Timed
    test: Timed


def read(use_case: UseCase, dataset: Dataset, since: str = "") -> Timed:
    """Read a version's rows with their moments, in order of time; rows of one moment stay in the version's order.

    Raises:
        DataError: no row is left, or the use case's ``examples`` does not give a row for each row.
    """
    time = use_case.data.time
    months = [month for month in dataset.months if month >= since[:7]]
    table = dataset.read([*use_case.columns, *([] if time in use_case.columns else [time])], months)
    moment = table[time].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    rows = use_case.past(table.select(list(use_case.columns)))
    if len(rows) != len(moment):
        message = (
            f"use case {use_case.name!r}: examples() gave {len(rows)} rows of {len(moment)}: each row needs its own"
        )
        raise DataError(message)
    order = np.argsort(moment, kind="stable")
    found = Timed(rows.where(order), moment[order])
    return found if not since else found.where(found.moment >= moment_of(since))


def cut(found: Timed, recent_from: str) -> Cut:
    """Cut by time; rows of one moment are never parted.

    Raises:
        DataError: there are too few rows since ``recent_from``, or none before.
    """
    begins = moment_of(recent_from)
    recent = int((found.moment >= begins).sum())
    old = len(found.moment) - recent
    if recent < LEAST_RECENT or not old:
        message = (
            f"{recent} rows since {recent_from} and {old} before: a retraining needs {LEAST_RECENT} since the change and some "
            "before it; collect more outcomes, or give an earlier recent-from"
        )
        raise DataError(message)
    part = recent // _PARTS
    second, third = (found.moment[len(found.moment) - each] for each in (2 * part, part))
    before, after = found.moment < second, found.moment >= third
    made = Cut(found.where(before), found.where(~before & ~after), found.where(after))
    if not len(made.validation.rows) or not (made.train.moment >= begins).any():
        message = f"most of the {recent} rows since {recent_from} are of one moment: they cannot be cut by time"
        raise DataError(message)
    return made


def prepared(found: Timed, window: Window) -> Timed:
    """Return rows to learn from as a window has them: without the oldest, the older ones at today's level, all weighted."""
    kept = found if not window.since else found.where(found.moment >= moment_of(window.since))
    recent = kept.moment >= window.begins
    target = np.where(recent, kept.rows.target, kept.rows.target * window.level).astype(np.float32)
    rows = dataclasses.replace(kept.rows, target=target, weight=_weights(kept.moment, recent, window))
    return Timed(rows, kept.moment)


def together(parts: Sequence[Timed]) -> Timed:
    """Put rows of several parts after one another."""
    return Timed(joined([each.rows for each in parts]), np.concatenate([each.moment for each in parts]))


def _weights(moment: Array, recent: Array, window: Window) -> Array | None:
    if window.half_life_days is None and window.recent_share is None:
        return None
    age = np.maximum(window.begins - moment, 0.0) / _DAY_S
    weight = np.ones(len(moment)) if window.half_life_days is None else 0.5 ** (age / window.half_life_days)
    if window.recent_share is not None and recent.any() and not recent.all():
        odds = window.recent_share / (1 - window.recent_share)
        weight[recent] *= odds * weight[~recent].sum() / weight[recent].sum()
    found: Array = weight / weight.mean()
    return found
