"""Askers whose outcomes are unlike everybody else's: none of what they report is trained on. Plain NumPy.

The error of an answer relative to it, ``(actual - value) / |value|``, is compared by its median: an asker's against the
operator's own meters where those say enough, else against all others'. Whoever lies further from that than ``FAR`` robust
standard deviations (1.4826 times the median absolute deviation) is doubtful as a whole. When the world changes, it changes
for all askers, so this does not cry at drift; what many askers say together is the trusted holdout's business.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from tiphys.lake import live
from tiphys.lake.catalog import Lake

if TYPE_CHECKING:
    from components.collect_outcomes.settle import Tables
    from tiphys.usecase import Array

log = logging.getLogger(__name__)

ENOUGH = 30
"""Rows that an asker, or those that it is compared with, must have for a judgement."""
FAR = 3.0
DAYS = 28
"""Days of the own clock, up to the newest labelled row, that are looked at."""
_LEAST_SPREAD = 0.05
_COLUMNS = ("moment", "outcome_asker", "value", "actual", "trusted")


def mark_doubtful(tables: Tables, lake: Lake) -> None:
    """Mark the rows of askers that are unlike all others; rows that are doubtful already keep their reason."""
    name = tables.use_case.name
    if not live.rows(name, "labelled", lake):
        return
    newest = tables.open("labelled").selectExpr("max(moment) AS newest").collect()[0]["newest"]
    since = newest - timedelta(days=DAYS)
    rows = live.read(name, "labelled", since=since, columns=_COLUMNS, lake=lake)
    value = rows["value"].to_numpy()
    error = (rows["actual"].to_numpy() - value) / np.maximum(np.abs(value), 1e-9)
    found = unlike_others(
        np.asarray(rows["outcome_asker"].to_pylist(), dtype=object), error, rows["trusted"].to_numpy()
    )
    for asker, why in found.items():
        log.warning("%s: what it reports is not trained on", why)
        tables.spark.sql(
            f"UPDATE {tables.name('labelled')} SET doubtful = :why"  # noqa: S608 - a name of ours
            " WHERE outcome_asker = :asker AND NOT trusted AND doubtful = '' AND moment >= :since",
            {"why": why, "asker": asker, "since": since},
        )


def unlike_others(asker: Array, error: Array, trusted: Array) -> Mapping[str, str]:
    """Find the askers that are doubtful as a whole.

    Args:
        asker: who reported, text [n].
        error: relative errors, [n].
        trusted: whether the report is the operator's own, bool [n].

    Returns:
        asker -> why, for a person.
    """
    found = {}
    for name in sorted(set(asker[~trusted].tolist())):
        own = (asker == name) & ~trusted
        others = trusted if trusted.sum() >= ENOUGH else ~own
        few = not trusted.sum() >= ENOUGH and len(set(asker[others].tolist())) < 2  # noqa: PLR2004 - of two, who lies?
        if own.sum() < ENOUGH or others.sum() < ENOUGH or few:
            continue
        middle = np.median(error[others])
        spread = max(1.4826 * float(np.median(np.abs(error[others] - middle))), _LEAST_SPREAD)
        away = (float(np.median(error[own])) - float(middle)) / spread
        if abs(away) > FAR:
            found[name] = f"asker {name}: errors {away:+.1f} robust standard deviations from all others'"
    return found
