"""How an answered question about a kettle becomes a boiling."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tiphys.usecase import Live


def to_row(features: Mapping[str, int | float], actual: float, facts: Mapping[str, float]) -> dict[str, Any]:
    """Write a boiling; who did not say when the kettle was switched on leaves the time out."""
    row: dict[str, Any] = {"litres": features["litres"], "celsius": features["celsius"], "seconds": actual}
    if "switched_on" in facts:
        begun = datetime.fromtimestamp(facts["switched_on"], UTC)
        row["switched_on"] = begun.strftime("%Y-%m-%d %H:%M:%S")
    return row


LIVE = Live(
    moment="",
    possible=(1.0, 3600.0),
    facts={"switched_on": "when the kettle was switched on, seconds since 1970"},
    to_row=to_row,
)
