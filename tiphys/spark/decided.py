"""How many rows a decision kept and how many it rejected for what: (month, reason) -> rows, the empty reason of those kept."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_REASONS_LOGGED = 50


def count(decided: DataFrame) -> Counter[tuple[str, str]]:
    """Count rows by their columns ``month`` and ``reason``, which is null in those kept: the one pass over the source."""
    found = decided.groupBy("month", "reason").count().collect()
    return Counter({(each["month"], each["reason"] or ""): each["count"] for each in found})


def by_month(counted: Counter[tuple[str, str]], *, good: bool) -> dict[str, int]:
    """Month -> rows that were kept (``good``) or rejected."""
    found: Counter[str] = Counter()
    for (month, reason), rows in counted.items():
        if good is (reason == ""):
            found[month] += rows
    return dict(found)


def log_reasons(log: logging.Logger, counted: Counter[tuple[str, str]], kept: str) -> None:
    """Tell how many rows were ``kept``, as the step calls it, and the commonest reasons of the others."""
    reasons: Counter[str] = Counter()
    for (_, reason), rows in counted.items():
        reasons[reason] += rows
    log.info("%d rows %s", reasons.pop("", 0), kept)
    for reason, rows in reasons.most_common(_REASONS_LOGGED):
        log.info("%d rows rejected: %s", rows, reason)
