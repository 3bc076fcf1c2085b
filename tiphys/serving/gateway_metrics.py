"""The gateway's figures for Prometheus: requests by route and status, and their latency."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)


class GatewayMetrics:
    """Counts of one gateway."""

    def __init__(self) -> None:
        """Start from nothing, in a registry of its own."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tiphys_gateway_requests", "Questions answered, by status.", ("route", "status"), registry=self._registry
        )
        self._errors = Counter(
            "tiphys_gateway_errors", "Questions that the service failed to answer.", ("route",), registry=self._registry
        )
        self._seconds = Histogram(
            "tiphys_gateway_request_seconds",
            "From the question's arrival to its answer, in seconds.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._bound: dict[tuple[str, int], Counter] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route, status)
        counter = self._bound.get(key)
        if counter is None:
            counter = self._bound[key] = self._requests.labels(route, str(status))
        counter.inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 500:  # noqa: PLR2004 - HTTP's own border
            self._errors.labels(route).inc()

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)
