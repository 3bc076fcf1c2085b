"""Which months of a version a model is judged on, where nothing is known of a change. Plain Python; knows no table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.usecase import Array, Mask


def newest(months: Mapping[str, int], least: int) -> tuple[str, ...]:
    """Return the months to judge on, in order: the last that has all the rows of a month, and those after it that have only begun.

    A month that began with a few live rows would let chance decide alone; where no month is whole, the last one is all there is.

    Args:
        months: rows by month, like 2019-06.
        least: rows that a whole month has.
    """
    there = sorted(month for month, rows in months.items() if rows)
    whole = [month for month in there if months[month] >= least]
    return tuple(there[there.index(whole[-1]) :] if whole else there[-1:])


def span(months: tuple[str, ...]) -> str:
    """``2019-06``, or ``2019-05..2019-06``."""
    return months[0] if len(months) == 1 else f"{months[0]}..{months[-1]}"


def number(month: str) -> int:
    """2019-06 -> year * 12 + month - 1, as ``Examples.month`` counts."""
    year, _, rest = month.partition("-")
    return int(year) * 12 + int(rest) - 1


def within(month: Array, months: Sequence[str]) -> Mask:
    """Which rows, by their ``Examples.month``, are of these months."""
    import numpy as np  # noqa: PLC0415 - whoever only splits months need not load it

    return np.isin(month, [number(each) for each in months])
