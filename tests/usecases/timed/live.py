"""How an answered question becomes a boiling: the question says when it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.usecases.tiny import live


def to_row(features: Mapping[str, int | float], actual: float, facts: Mapping[str, float]) -> dict[str, Any]:
    """Write a boiling."""
    return live.to_row(features, actual, {**facts, "switched_on": features["switched_on"]})


LIVE = replace(live.LIVE, moment="switched_on", facts={}, to_row=to_row)
