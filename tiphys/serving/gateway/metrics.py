"""The gateway's figures for Prometheus: counted in plain numbers, put into the text format when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tiphys.serving.gateway.figures import Histogram

if TYPE_CHECKING:
    from tiphys.serving.gateway.recents import LiveInput

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)
"""Seconds."""
_SERVER_ERROR = 500


class Traffic:
    """What one route has answered."""

    __slots__ = ("arms", "seconds", "statuses")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.statuses: dict[int, int] = {}
        self.arms: dict[str, int] = {}
        """Arm, or ``status_quo`` -> answers that came from there."""
        self.seconds = Histogram(BUCKETS)

    def count(self, status: int, seconds: float) -> None:
        """Count one response."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.add(seconds)

    def answered_by(self, arm: str) -> None:
        """Count where an answer came from."""
        self.arms[arm] = self.arms.get(arm, 0) + 1


Gauges = Callable[[], Iterable[tuple[str, str, float]]]
"""(name, meaning, value) of what is looked at when somebody asks; names that end in ``_total`` are counters."""


class Metrics(Collector):
    """All routes' figures."""

    def __init__(self, gauges: Gauges, live: Mapping[str, LiveInput] | None = None) -> None:
        """Be asked in a registry of its own; ``live`` are the live features by their use case."""
        self._live = {} if live is None else live
        self.routes: dict[str, Traffic] = {}
        self._gauges = gauges
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def route(self, path: str) -> Traffic:
        """The figures of one route."""
        return self.routes.setdefault(path, Traffic())

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for."""
        requests = CounterMetricFamily(
            "tiphys_gateway_requests", "Requests answered, by status.", labels=("route", "status")
        )
        errors = CounterMetricFamily(
            "tiphys_gateway_errors", "Requests that the service failed to answer.", labels=("route",)
        )
        answers = CounterMetricFamily("tiphys_gateway_answers", "Answers, by what gave them.", labels=("route", "arm"))
        seconds = HistogramMetricFamily(
            "tiphys_gateway_request_seconds", "From a request's head to its answer, in seconds.", labels=("route",)
        )
        for path, traffic in list(self.routes.items()):
            for status, count in list(traffic.statuses.items()):
                requests.add_metric((path, str(status)), count)
            errors.add_metric(
                (path,), sum(n for status, n in list(traffic.statuses.items()) if status >= _SERVER_ERROR)
            )
            for arm, count in list(traffic.arms.items()):
                answers.add_metric((path, arm), count)
            seconds.add_metric((path,), _cumulative(traffic.seconds), traffic.seconds.sum)
        yield from (requests, errors, answers, seconds)
        yield from self._live_features()
        for name, meaning, value in self._gauges():
            if name.endswith("_total"):
                yield CounterMetricFamily(name.removesuffix("_total"), meaning, value)
            else:
                yield GaugeMetricFamily(name, meaning, value)

    def _live_features(self) -> Iterable[Metric]:
        used = CounterMetricFamily(
            "tiphys_gateway_live_features",
            "Questions by what was known of the live feature.",
            labels=("use_case", "state"),
        )
        age = GaugeMetricFamily(
            "tiphys_gateway_live_feature_age_seconds",
            "Since the newest values were made, by the wall clock.",
            labels=("use_case",),
        )
        for name, each in list(self._live.items()):
            for state, count in each.counts.items():
                used.add_metric((name, state), count)
            if each.values is not None:
                age.add_metric((name,), time.time() - each.values.made_at.timestamp())
        yield from (used, age)


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    found, total = [], 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
