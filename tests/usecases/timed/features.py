"""Water and the moment in, seconds out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.usecases.tiny import features
from tiphys.usecase import Examples, Feature

FEATURES = (*features.FEATURES, Feature("switched_on", "int64", "when it is switched on, seconds since 1970"))
TARGET = features.TARGET
COLUMNS = features.COLUMNS


def examples(table: Any) -> Examples:
    """Turn clean rows into examples."""
    found = features.examples(table)
    moment = table["switched_on"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return replace(found, features={**found.features, "switched_on": moment})
