"""Sums of live rows by hour of the use case's own clock: what the sequential tests go on from.

A day is held as one block of sums. Blocks of different rows of one day are added (two shards); a day that is looked at again is
replaced, so a run that is retried, or that sees labels which came late, counts nobody twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tiphys.watch.drift.sketch import DAY, HOUR, Array

HOURS = 24


@dataclass(frozen=True)
class Ledger:
    """Blocks of sums by day (days since 1970), float64 [groups, 24, fields]."""

    groups: tuple[str, ...]
    fields: tuple[str, ...]
    days: Mapping[int, Array] = field(default_factory=dict)

    @classmethod
    def of(
        cls, moment: Array, groups: Mapping[str, Array], fields: Mapping[str, Array], names: Sequence[str] = ()
    ) -> Ledger:
        """Sum up rows: ``groups`` are masks over them, ``fields`` their values. ``names`` orders the groups."""
        names = tuple(names or groups)
        day, hour = (moment // DAY).astype(np.int64), (moment % DAY // HOUR).astype(np.int64)
        present, number = np.unique(day, return_inverse=True)
        place = number * HOURS + hour
        blocks = np.zeros((len(present), len(names), HOURS, len(fields)))
        for row, name in enumerate(names):
            mask = groups.get(name, np.zeros(len(day), bool))
            for column, values in enumerate(fields.values()):
                summed = np.bincount(place[mask], values[mask], minlength=len(present) * HOURS)
                blocks[:, row, :, column] = summed.reshape(len(present), HOURS)
        return cls(names, tuple(fields), {int(each): blocks[at] for at, each in enumerate(present)})

    def __add__(self, other: Ledger) -> Ledger:
        """Merge with sums of other rows."""
        self._check(other)
        days = dict(self.days)
        for day, block in other.days.items():
            days[day] = days[day] + block if day in days else block
        return Ledger(self.groups, self.fields, days)

    def replaced(self, other: Ledger, first: float, last: float) -> Ledger:
        """Put the days of ``other`` in the place of all that is held of the hours from ``first`` to ``last`` (seconds)."""
        self._check(other)
        days = {day: self._without(day, block, first, last) for day, block in self.days.items()}
        kept = Ledger(self.groups, self.fields, {day: block for day, block in days.items() if block.any()})
        return kept + other

    def since(self, day: int) -> Ledger:
        """Forget what was before a day."""
        return Ledger(self.groups, self.fields, {key: block for key, block in self.days.items() if key >= day})

    def stacked(self) -> tuple[Array, Array]:
        """Days that are held, in order, and their sums [days, groups, 24, fields]."""
        order = np.array(sorted(self.days), np.int64)
        shape = (0, len(self.groups), HOURS, len(self.fields))
        return order, np.stack([self.days[int(day)] for day in order]) if len(order) else np.zeros(shape)

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types; sums are rounded to a millionth."""
        days = {str(day): np.round(block, 6).tolist() for day, block in sorted(self.days.items())}
        return {"groups": list(self.groups), "fields": list(self.fields), "days": days}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Ledger:
        """Read what :meth:`as_dict` wrote."""
        days = {int(day): np.array(block) for day, block in held["days"].items()}
        return cls(tuple(held["groups"]), tuple(held["fields"]), days)

    @staticmethod
    def _without(day: int, block: Array, first: float, last: float) -> Array:
        begins = day * DAY + HOUR * np.arange(HOURS)
        gone = (begins + HOUR > first) & (begins < last)
        return np.where(gone[None, :, None], 0.0, block)

    def _check(self, other: Ledger) -> None:
        if (self.groups, self.fields) != (other.groups, other.fields):
            message = (
                f"ledgers of {self.groups} and {other.groups} hold different sums: they are of different references"
            )
            raise ValueError(message)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.days))
