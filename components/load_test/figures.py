"""What the samples of a load test come to: percentiles, rate, errors, and whether the SLO holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tiphys.usecase import LoadProfile

_ENOUGH = 0.95
"""Share of the wanted rate that must have been asked: a test that asks less than it should proves nothing."""


@dataclass(frozen=True)
class Figures:
    """One load test in numbers; latencies in ms."""

    seconds: float
    count: int
    errors: int
    rate: float
    p50: float
    p95: float
    p99: float
    slowest: float
    reasons: Mapping[str, int]
    """Error -> how often."""
    by_second: Sequence[tuple[int, int, float]]
    """(second, answers, p95 of that second)."""


def summarise(seconds: float, rows: Sequence[tuple[float, float, str]]) -> Figures:
    """Compute the figures of (second, latency in ms, error or nothing) rows; errors count as answers, too."""
    latencies = sorted(latency for _, latency, _ in rows)
    errors = Counter(error for _, _, error in rows if error)
    return Figures(
        seconds=seconds,
        count=len(rows),
        errors=errors.total(),
        rate=(len(rows) - errors.total()) / seconds if seconds > 0 else 0.0,
        p50=percentile(latencies, 0.50),
        p95=percentile(latencies, 0.95),
        p99=percentile(latencies, 0.99),
        slowest=latencies[-1] if latencies else math.nan,
        reasons=dict(errors.most_common(10)),
        by_second=list(_by_second(rows)),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the ordered values do not exceed (nearest rank)."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _by_second(rows: Sequence[tuple[float, float, str]]) -> Iterator[tuple[int, int, float]]:
    seconds: dict[int, list[float]] = {}
    for second, latency, _ in rows:
        seconds.setdefault(int(second), []).append(latency)
    for second, latencies in sorted(seconds.items()):
        yield second, len(latencies), percentile(sorted(latencies), 0.95)


@dataclass(frozen=True)
class Demand:
    """One line of the SLO, and whether it holds. No data is no success."""

    name: str
    wanted: str
    found: str
    held: bool
    reason: str


def demands(figures: Figures, profile: LoadProfile) -> list[Demand]:
    """Hold the figures to the use case's SLO."""
    share = figures.errors / figures.count if figures.count else math.nan
    listed = [
        Demand(
            "rate",
            f">= {profile.rate * _ENOUGH:.0f}/s of {profile.rate:.0f}/s",
            f"{figures.rate:.1f}/s",
            figures.rate >= profile.rate * _ENOUGH,
            profile.reasons.get("rate", ""),
        ),
        _at_most("p95_ms", figures.p95, profile.p95_ms, profile),
        Demand(
            "max_error_share",
            f"<= {profile.max_error_share:.2%} errors",
            f"{figures.errors} of {figures.count}",
            share <= profile.max_error_share,
            profile.reasons.get("max_error_share", ""),
        ),
    ]
    if profile.max_p99_ms is not None:
        listed.append(_at_most("max_p99_ms", figures.p99, profile.max_p99_ms, profile))
    return listed


def _at_most(name: str, found: float, limit: float, profile: LoadProfile) -> Demand:
    return Demand(name, f"<= {limit:g} ms", f"{found:.1f} ms", found <= limit, profile.reasons.get(name, ""))
