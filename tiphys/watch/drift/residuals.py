"""What a model's errors looked like where it was evaluated: their level and spread by hour, by slice, from day to day.

An error is the log ratio of truth to answer (0.22 is a quarter too short), or their difference in units of the mean truth where
truths are not all above zero. Errors beyond one standard deviation count as one: a
sixth of the rows that are far out would drown what happens to all. The limits were chosen for errors that spread by 0.3 and
more; a model that is more precise is held to its own precision: its errors are counted in as much smaller a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.sketch import DAY, STRATA, Array, stratum_of

ALL = "all"
FIELDS = ("rows", "shift", "spread", "error", "inside")
"""Sums of a group: rows, errors, their distances from the centre, absolute errors in the target's unit, truths in their intervals."""
_CLIP = 1.0
_USUAL = 0.3
"""Robust standard deviation of errors from which on the unit of errors is one."""
_FINEST = 0.02
"""The smallest unit: of what is more precise than half a percent nobody wants to hear."""
_PRIOR_HOUR = 200.0
_PRIOR_DAYS, _PRIOR_TAU = 10.0, 0.06
_FEWEST = 100


@dataclass(frozen=True)
class Group:
    """A slice of the reference's errors, or all."""

    rows: int
    shift: float
    """Mean error."""
    sigma: float
    """Standard deviation of an error."""
    tau: float
    """Standard deviation of a day's mean beyond chance."""
    spread: float
    """Mean distance of an error from the centre."""
    spread_sigma: float
    spread_tau: float
    error: float
    """Mean absolute error in the target's unit."""
    inside: float
    """Share of truths within their intervals."""
    inside_tau: float
    """Standard deviation of a day's share beyond chance."""


@dataclass(frozen=True)
class Residuals:
    """All of it: the scale, the centre by hour, the groups."""

    ratio: bool
    """Whether errors are log ratios."""
    scale: float
    """The least that counts in a ratio; else what a difference is divided by."""
    unit: float
    """What errors are counted in: 1, or less for a precise model."""
    clip: float
    """Farthest that an error counts from its centre, in units."""
    centre: Array
    """Mean error by stratum, float64 [STRATA]."""
    groups: Mapping[str, Group]
    """By name, in the order of names: it is the order of the sums, and JSON keeps no other."""

    @classmethod
    def fit(cls, rows: Rows) -> Residuals:
        """Fit on rows that the model never saw; slices with fewer than a hundred of them are left out."""
        ratio = bool(len(rows.actual) and rows.actual.min() > 0)
        typical = float(np.abs(rows.actual).mean()) if len(rows.actual) else 1.0
        scale = max(1e-9, typical / 1000 if ratio else typical)
        raw = _error(rows.value, rows.actual, ratio, scale)
        middle = float(np.median(raw)) if len(raw) else 0.0
        sigma = 1.4826 * float(np.median(np.abs(raw - middle))) if len(raw) else 1.0
        unit = float(np.clip(sigma / _USUAL, _FINEST, 1.0))
        raw, middle, clip = raw / unit, middle / unit, _CLIP * max(sigma / unit, 1e-6)
        bounded = np.clip(raw, middle - clip, middle + clip)
        mean = float(bounded.mean()) if len(bounded) else 0.0
        stratum = stratum_of(rows.moment)
        total = np.bincount(stratum, bounded, minlength=STRATA)
        centre = (total + _PRIOR_HOUR * mean) / (np.bincount(stratum, minlength=STRATA) + _PRIOR_HOUR)
        blank = cls(ratio, scale, unit, clip, centre, {})
        fields = blank.fields(rows)
        day = (rows.moment // DAY).astype(np.int64)
        groups = {name: _group(fields, mask, day) for name, mask in sorted(rows.masks.items()) if mask.sum() >= _FEWEST}
        return cls(ratio, scale, unit, clip, centre, groups)

    def fields(self, rows: Rows) -> dict[str, Array]:
        """What each row adds to the sums, by the names of ``FIELDS``; all rows must have a finite answer and truth."""
        centre = self.centre[stratum_of(rows.moment)]
        raw = _error(rows.value, rows.actual, self.ratio, self.scale) / self.unit
        off = np.clip(raw - centre, -self.clip, self.clip)
        inside = (rows.actual >= rows.low) & (rows.actual <= rows.high)
        values = (np.ones(len(off)), off, np.abs(off), np.abs(rows.actual - rows.value), inside.astype(np.float64))
        return dict(zip(FIELDS, values, strict=True))

    def ledger(self, rows: Rows) -> Ledger:
        """Sum up rows by hour and group."""
        return Ledger.of(rows.moment, rows.masks, self.fields(rows), tuple(self.groups))

    def as_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        groups = {name: vars(each) for name, each in self.groups.items()}
        return {
            "ratio": self.ratio, "scale": self.scale, "unit": self.unit, "clip": self.clip,
            "centre": self.centre.tolist(), "groups": groups,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Residuals:
        """Read what :meth:`as_dict` wrote."""
        groups = {name: Group(**each) for name, each in sorted(held["groups"].items())}
        centre = np.array(held["centre"])
        return cls(held["ratio"], held["scale"], held.get("unit", 1.0), held["clip"], centre, groups)


@dataclass(frozen=True)
class Rows:
    """Answers with their truths: equally long float64 vectors; ``masks`` names groups of them, ``all`` among them."""

    moment: Array
    value: Array
    low: Array
    high: Array
    actual: Array
    masks: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.moment)

    def where(self, mask: Array) -> Rows:
        """Some of the rows."""
        masks = {name: each[mask] for name, each in self.masks.items()}
        return Rows(self.moment[mask], self.value[mask], self.low[mask], self.high[mask], self.actual[mask], masks)

    def finite(self) -> Rows:
        """Rows with a moment, an answer and a truth."""
        return self.where(np.isfinite(self.moment) & np.isfinite(self.value) & np.isfinite(self.actual))


def _error(value: Array, actual: Array, ratio: bool, scale: float) -> Array:  # noqa: FBT001 - two vectors and how
    if not ratio:
        return np.asarray((actual - value) / scale)
    return np.asarray(np.log(np.maximum(actual, scale)) - np.log(np.maximum(value, scale)))


def _group(fields: Mapping[str, Array], mask: Array, day: Array) -> Group:
    own = {name: values[mask] for name, values in fields.items()}
    tau = {name: _between(own[name], day[mask]) for name in ("shift", "spread", "inside")}
    return Group(
        rows=int(mask.sum()),
        shift=float(own["shift"].mean()),
        sigma=float(own["shift"].std()) or 1e-9,
        tau=tau["shift"],
        spread=float(own["spread"].mean()),
        spread_sigma=float(own["spread"].std()) or 1e-9,
        spread_tau=tau["spread"],
        error=float(own["error"].mean()),
        inside=float(own["inside"].mean()),
        inside_tau=tau["inside"],
    )


def _between(values: Array, day: Array) -> float:
    """Standard deviation of day means beyond what chance makes of it (method of moments), drawn to a prior where days are few."""
    present, number = np.unique(day, return_inverse=True)
    rows = np.bincount(number)
    means = np.bincount(number, values) / rows
    weight = rows / rows.sum()
    level = float((weight * means).sum())
    beyond = float((weight * (means - level) ** 2).sum() - values.var() * (weight / rows).sum())
    days = len(present)
    return float(np.sqrt((days * max(0.0, beyond) + _PRIOR_DAYS * _PRIOR_TAU**2) / (days + _PRIOR_DAYS)))
