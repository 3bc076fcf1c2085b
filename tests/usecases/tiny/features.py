"""Two numbers in, seconds out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tiphys.usecase import Examples, Feature, Target

FEATURES = (
    Feature("litres", "float32", "water in the kettle"),
    Feature("celsius", "int64", "temperature of the water, whole degrees"),
)
TARGET = Target("seconds", unit="s", close=20.0, description="seconds until the water boils")
COLUMNS = ("switched_on", "litres", "celsius", "seconds")


def examples(table: Any) -> Examples:
    """Turn clean rows into examples."""
    moment = table["switched_on"].to_numpy().astype("datetime64[M]")
    return Examples(
        {
            "litres": table["litres"].to_numpy().astype(np.float32),
            "celsius": table["celsius"].to_numpy().astype(np.int64),
        },
        table["seconds"].to_numpy().astype(np.float32),
        moment.astype(np.int32) + 1970 * 12,
    )
