"""What finished lately, as one number by group: the one function that training, the lake and the gateway agree on. NumPy.

``values`` knows of each finished one when it ended and when that became known; a step's value is made of those that were
known at the step and had ended within the window before it, against those of a far longer one: a change that lasts becomes
the usual, and is a retraining's to learn. Sums are of whole numbers, so the same ones give the same value to the last bit, in
whatever order and among whatever others they come. Knows no use case and no table.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array, Examples, LiveFeature

_ONE = 2**20
"""What is said is counted in parts of a millionth or so."""
_MOST = 2.0**20
_STEPS = 2**36
"""More than there are steps in the lifetime of a clock: group and step in one number."""


@dataclass(frozen=True)
class Finished:
    """What is known of finished ones: equally long vectors."""

    group: Array
    said: Array
    """What each says, int64, in parts of ``_ONE``."""
    ended: Array
    """Seconds of the own clock, float64."""
    known: Array
    """When that became known; never before it ended."""


def finished(  # noqa: PLR0913, PLR0917 - what is known of a finished one
    feature: LiveFeature,
    moment: str,
    features: Mapping[str, Array],
    actual: Array,
    facts: Mapping[str, Array],
    known: Array | None = None,
) -> Finished:
    """Keep of past rows what a live feature is made of.

    Args:
        feature: which one.
        moment: name of the feature that is the question's moment.
        features: of the questions.
        actual: true values, in seconds.
        facts: what else was reported, by its name.
        known: when that was, seconds of the own clock; None: ``lag_s`` after the end.
    """
    said = np.asarray(feature.says(features, actual, facts), np.float64)
    ended = features[moment].astype(np.float64) + actual.astype(np.float64)
    known = ended + feature.lag_s if known is None else np.maximum(known, ended)
    group = np.asarray(feature.group(features))
    good = np.isfinite(said) & (np.abs(said) <= _MOST) & (group >= 0) & (group < feature.groups)
    whole = np.rint(said[good] * _ONE).astype(np.int64)
    return Finished(group[good].astype(np.int64), whole, ended[good], known[good])


def values(feature: LiveFeature, past: Finished, group: Array, step: Array) -> tuple[Array, Array]:
    """Return the value, float32 [n], and how many it was made of, int64 [n], of each group [n] at each step [n].

    A step is a moment divided by ``step_s``.
    """
    key, place = np.unique(group.astype(np.int64) * _STEPS + step, return_inverse=True)
    said, count = _sums(past, feature.window_s, feature.step_s, key)
    usually, of = _sums(past, feature.level_s, feature.step_s, key)
    more = (said - count * (usually / np.maximum(of, 1))) / _ONE
    found = (feature.fallback + more / (count + feature.prior)).astype(np.float32)
    return found[place], count[place]


def _sums(past: Finished, window_s: int, step_s: int, asked: Array) -> tuple[Array, Array]:
    """Sum and number of what counts at each key.

    Each finished one comes in at the first step at which it is known, and goes at the first whose window begins at its end
    or later.
    """
    comes = np.ceil(past.known / step_s).astype(np.int64)
    goes = np.ceil((past.ended + window_s) / step_s).astype(np.int64)
    counts = comes < goes
    key, said = past.group[counts] * _STEPS, past.said[counts]
    at = np.concatenate([key + comes[counts], key + goes[counts]])
    order = np.argsort(at)
    one = np.ones(len(said), np.int64)
    number = np.concatenate([[0], np.cumsum(np.concatenate([one, -one])[order])])
    total = np.concatenate([[0], np.cumsum(np.concatenate([said, -said])[order])])
    # All of a group have gone by the end of its keys, so the sums begin at nothing with the next group.
    upto = np.searchsorted(at[order], asked, side="right")
    return total[upto], number[upto]


def filled(feature: LiveFeature, moment: str, rows: Examples) -> Examples:
    """Return past rows with the live feature as it would have been served, made of these very rows."""
    past = finished(feature, moment, rows.features, rows.target, rows.hindsight)
    group = np.asarray(feature.group(rows.features))
    inside = (group >= 0) & (group < feature.groups)
    found, _ = values(feature, past, np.where(inside, group, 0), rows.features[moment] // feature.step_s)
    served = np.where(inside, found, np.float32(feature.fallback)).astype(np.float32)
    return dataclasses.replace(rows, features={**rows.features, feature.name: served})


def hidden(feature: LiveFeature, value: Array, share: float, seed: int) -> Array:
    """Return values of which a share is the fallback, drawn by ``seed``: a model that trains on them can do without."""
    lost: Any = np.random.default_rng(seed).random(len(value)) < share
    return np.where(lost, np.float32(feature.fallback), value).astype(np.float32)
