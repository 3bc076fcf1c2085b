"""Who may ask what through the V2 inference protocol, and which version answers: the same for HTTP and gRPC.

Tensor clients follow the agents' pages: who names no version gets the one that answers now. They get no share of a canary,
because nothing here reads a tensor: a candidate that answers NaN would reach them, and each such answer would count as a good
one of its breaker's twenty. Who wants the canary names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiphys.serving.gateway.admission import Admission, Budget
from tiphys.serving.gateway.arms import Arms
from tiphys.serving.gateway.keys import RIDERS, TESTERS, Role
from tiphys.serving.gateway.messages import Response, refusal
from tiphys.serving.gateway.metrics import Metrics, Traffic

MESSAGE_CAP = 4 * 2**20
"""Most bytes of a question."""
ANSWER_SECONDS = 10.0
"""Longest that a caller may wait, whatever its own deadline: batches take longer than a rider's question."""
MOST_IN_FLIGHT = 128
"""Questions through both protocols that may be on their way at once."""
HELD_CAP = 128 * 2**20
"""Bytes of unfinished and unanswered questions of both protocols that all callers together may leave here."""

_VERSION = re.compile(r"[0-9]{1,18}")
"""Longest decimal that fits Triton's signed 64 bits whatever its digits."""


@dataclass(frozen=True, slots=True)
class Try:
    """One version to ask."""

    environment: str
    version: str
    """Empty where no model is asked for."""


class Desk:
    """Decides on every question of both protocols."""

    def __init__(self, arms: Arms, metrics: Metrics) -> None:
        """Decide by what the agents say."""
        self.arms = arms
        self.admission = Admission(MOST_IN_FLIGHT)
        self.budget = Budget(HELD_CAP)
        self._metrics = metrics
        self._traffic: dict[tuple[str, str], Traffic] = {}

    @staticmethod
    def roles(environment: str) -> frozenset[Role]:
        """Who may ask there."""
        return RIDERS if environment == "production" else TESTERS

    def choose(self, environment: str, model: str, version: str) -> Try | Response:
        """Say which version of a model to ask; ``version`` is empty if the asker names none."""
        arm = self.arms.arm(environment, model)
        if arm is None:
            return refusal(404, "not_found", f"no model {model[:100]!r} is served in {environment}")
        if version and not _VERSION.fullmatch(version):
            return refusal(400, "version", "a version is a number")
        return Try(environment, version or arm.version)

    def count(self, protocol: str, environment: str, status: int, seconds: float) -> None:
        """Count an answer; ``status`` is HTTP's, or what HTTP would have said."""
        traffic = self._traffic.get((protocol, environment))
        if traffic is None:
            traffic = self._traffic[protocol, environment] = self._metrics.route(
                f"v2 {protocol} {environment}".rstrip()
            )
        traffic.count(status, seconds)

    def successor(self, asked: Try, model: str, version: str) -> Try | None:
        """Whom to ask instead of a version that Triton no longer has: the one that took its place meanwhile, if any.

        Who named a ``version`` gets no other.
        """
        now = self.arms.arm(asked.environment, model) if model and not version else None
        return None if now is None or now.version == asked.version else Try(asked.environment, now.version)
