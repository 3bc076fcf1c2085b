"""What riders are told when no model answers: the status quo's table, in plain NumPy.

The table of zone pairs and hours has a row of its own for each pair that was ever ridden; all others share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from usecases.taxi_eta import lookups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.usecase import Array, Examples


def fit(history: Examples) -> dict[str, Array]:
    """Return ``seconds`` float32 [distinct rows, 24 hours] and ``row`` int32 [pairs], each pair's row of it."""
    seconds, row = np.unique(lookups.status_quo(history), axis=0, return_inverse=True)
    return {"seconds": seconds, "row": row.reshape(-1).astype(np.int32)}


def answer(arrays: Mapping[str, Array], row: Mapping[str, int | float]) -> float:
    """Return seconds for one row of features; zones outside the map are taken as its nearest number."""
    pickup, dropoff = (min(max(int(row[name]), 0), lookups.PLACES - 1) for name in ("pickup_zone", "dropoff_zone"))
    pair = lookups.pair_of(pickup, dropoff)
    return float(arrays["seconds"][arrays["row"][pair], lookups.hour_of(int(row["pickup_time"]))])
