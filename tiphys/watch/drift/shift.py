"""Two samples of one column compared on their binned counts: how far they are apart, and whether that is chance.

The distance is the population stability index. The test is Pearson's chi-square with a correction for overdispersion (Rao &
Scott, "On chi-squared tests for multiway contingency tables with cell proportions estimated from survey data", Ann. Stat.
1984): days differ by more than chance, so n rows of one week are worth fewer than n. How many fewer is fitted on the
reference's own days and weeks, and grows with n: 100,000 rows do not alarm about what every week does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tiphys.watch.drift.sketch import DAY, STRATA, Array, Bins, Sketch, stratum_of

_PRIOR = 50.0
"""Rows of all hours that an hour's own share is drawn towards."""
_LEAST = 5.0
"""Expected count below which bins are taken together."""
_FLOOR = 1e-4
"""Share that an empty bin counts as in the index."""
_OF_THE_CLOCK = 0.9


@dataclass(frozen=True)
class Dispersion:
    """How much more shares differ between stretches of time than chance makes them: 0 is not at all."""

    day: float
    week: float

    def factor(self, rows: Array, days: float) -> Array:
        """What the chi-square statistic of so many rows in so many days is divided by; 1 at least."""
        return np.asarray(1.0 + np.maximum(0.0, rows - 1.0) * max(self.week, self.day / max(1.0, days)))


@dataclass(frozen=True)
class Shift:
    """How a column of a window differs from the reference."""

    name: str
    rows: int
    psi: float
    p: float
    now: Array
    """Share of each bin in the window."""
    expected: Array
    """Share of each bin that the reference has at the same hours."""
    labels: tuple[str, ...]
    tested: bool = True
    """False: nothing can be said, the column says what time it is and the window is no whole week."""


def expected_shares(reference: Array, weights: Array) -> Array:
    """Shares [..., bins] that a reference [STRATA, bins] has at the hours that occur ``weights`` [..., STRATA] often."""
    overall = reference.sum(axis=0) / max(1, reference.sum())
    by_hour = (reference + _PRIOR * overall) / (reference.sum(axis=1, keepdims=True) + _PRIOR)
    shares: Array = weights @ by_hour / np.maximum(1.0, weights.sum(axis=-1, keepdims=True))
    return shares


def is_of_the_clock(counts: Array) -> bool:
    """Whether a column hardly says more than what time it is: its entropy is nearly all explained by the hour."""
    total = float(_entropy(counts.sum(axis=0)))
    within = float(counts.sum(axis=1) @ _entropy(counts)) / max(1, counts.sum())
    return total > 0 and 1 - within / total > _OF_THE_CLOCK


def compare(reference: Sketch, now: Sketch, dispersion: Dispersion, days: float) -> Shift:
    """Compare a window's counts, of so many days, with the reference's."""
    clock = is_of_the_clock(reference.counts)
    found, shares, index, p = compared(reference.counts, now.counts, dispersion, days, clock=clock)
    return Shift(
        reference.bins.name, now.rows, float(index), float(p), found, shares, tuple(reference.bins.labels),
        tested=not clock or days >= 7,  # noqa: PLR2004 - a week
    )  # fmt: skip


def compared(
    reference: Array, now: Array, dispersion: Dispersion, days: float, *, clock: bool
) -> tuple[Array, Array, Array, Array]:
    """Compare windows' counts [..., STRATA, bins]: shares found and expected [..., bins], indices and p-values [...]."""
    counted = now.sum(axis=-2)
    weights = np.broadcast_to(reference.sum(axis=-1), now.shape[:-1]) if clock else now.sum(axis=-1)
    shares = expected_shares(reference, weights.astype(np.float64))
    rows = counted.sum(axis=-1)
    found = counted / np.maximum(1, rows)[..., None]
    statistic, freedom = pearson(counted, shares)
    worth = dispersion.factor(rows, days) * (1 + rows / max(1, int(reference.sum())))
    return found, shares, psi(found, shares), tail(statistic / worth, freedom)


def psi(now: Array, expected: Array) -> Array:
    """Population stability index of shares [..., bins]: sum of (a - b) log(a / b)."""
    a, b = np.maximum(now, _FLOOR), np.maximum(expected, _FLOOR)
    return np.asarray(((a - b) * np.log(a / b)).sum(axis=-1))


def pearson(counted: Array, shares: Array) -> tuple[Array, Array]:
    """Chi-square statistic of counts [..., bins] and its degrees of freedom; bins with less than five expected are one."""
    expected = shares * counted.sum(axis=-1, keepdims=True)
    few = expected < _LEAST
    pooled = [np.where(few, each, 0.0).sum(axis=-1) for each in (counted, expected)]
    each_bin = np.where(few, 0.0, (counted - expected) ** 2 / np.maximum(expected, _LEAST)).sum(axis=-1)
    statistic = each_bin + (pooled[0] - pooled[1]) ** 2 / np.maximum(pooled[1], 0.5)
    return statistic, np.maximum(1, (~few).sum(axis=-1) + few.any(axis=-1) - 1)


def tail(statistic: Array, freedom: Array) -> Array:
    """Chance that chi-square exceeds a value."""
    from scipy.special import gammaincc  # noqa: PLC0415 - a fifth of a second, for who tests

    return np.asarray(gammaincc(freedom / 2, statistic / 2))


def dispersion(bins: Bins, values: Array, moment: Array) -> Dispersion:
    """Fit how much a reference's own days and weeks differ beyond chance; none where it has less than three of them."""
    place, stratum = bins.at(values), stratum_of(moment)
    whole = np.bincount(stratum * bins.size + place, minlength=STRATA * bins.size).reshape(STRATA, bins.size)
    day = (moment // DAY).astype(np.int64)
    clock = is_of_the_clock(whole)
    parts = [_between(place, stratum, stretch, whole, clock=clock) for stretch in (day, (day + 3) // 7)]
    return Dispersion(0.0 if clock else parts[0], parts[1])


def _between(place: Array, stratum: Array, stretch: Array, whole: Array, *, clock: bool) -> float:
    """Mean of (chi-square / degrees of freedom - 1) / (rows - 1) over the stretches that are long enough."""
    found = []
    order = np.argsort(stretch, kind="stable")
    _, first, count = np.unique(stretch[order], return_index=True, return_counts=True)
    for begin, rows in zip(first, count, strict=True):
        if rows < max(50, np.median(count) / 2):
            continue
        chosen = order[begin : begin + rows]
        weights = whole.sum(axis=1) if clock else np.bincount(stratum[chosen], minlength=STRATA)
        shares = expected_shares(whole, weights.astype(np.float64))
        statistic, freedom = pearson(np.bincount(place[chosen], minlength=whole.shape[1]), shares)
        found.append(float(statistic / freedom - 1) / (rows - 1))
    return max(0.0, float(np.mean(found))) if len(found) >= 3 else 0.0  # noqa: PLR2004


def _entropy(counts: Array) -> Array:
    """Entropy of counts [..., bins], in nats."""
    shares = counts / np.maximum(1, counts.sum(axis=-1, keepdims=True))
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1))
