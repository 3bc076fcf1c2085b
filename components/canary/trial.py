"""The trial itself: riders ask, figures come in, and a few times a second somebody looks whether it is decided.

Live askers get the candidate only after some artificial riders found nothing. It ends at a verdict, at the last ride, or at the
deadline, whichever comes first.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import urllib3

from components.canary.lease import Lease
from components.canary.riders import Riders
from tiphys.watch.answers import Finding, Judgement
from tiphys.watch.comparison import Comparison
from tiphys.watch.live import Live

LOOK_SECONDS = 0.25
POLL_SECONDS = 1.0
BEFORE_LIVE = 50
"""Questions of artificial riders without harm, before the first live asker gets the candidate."""
_OK = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What was known at one moment."""

    seconds: float
    questions: int
    verdict: str
    findings: tuple[Finding, ...]


@dataclass
class Trial:
    """What came of it so far."""

    comparison: Comparison
    live: Live
    looks: list[Look] = field(default_factory=list)
    personas: Counter[str] = field(default_factory=Counter)
    arms: list[dict[str, Any]] = field(default_factory=list)
    """The gateway's last count of each arm."""
    seconds: float = 0.0

    def judge(self) -> Judgement:
        """Put riders and the gateway's own count together."""
        judgement = self.comparison.judge()
        beside = tuple(self.live.findings())
        harm = tuple(each.says for each in beside if each.state == "harm" and not self.comparison.excuses(each))
        verdict = "rollback" if harm else judgement.verdict
        reasons = (
            (*(judgement.reasons if judgement.verdict == "rollback" else ()), *harm) if harm else judgement.reasons
        )
        return replace(judgement, verdict=verdict, reasons=reasons, findings=(*judgement.findings, *beside))


def hold(  # noqa: PLR0913 - these are what a trial takes
    trial: Trial,
    riders: Riders,
    lease: Lease,
    counts: Callable[[], dict[str, Any]],
    *,
    version: str,
    live: tuple[float, float],
    seconds: float,
) -> Judgement:
    """Run the trial.

    Args:
        trial: what to fill.
        riders: who asks.
        lease: the candidate's stay.
        counts: fetches the gateway's counts; an empty object while it is away.
        version: the candidate's, as the gateway names it.
        live: share and shadow of the live questions, once riders found nothing.
        seconds: longest time.

    Raises:
        PermanentError: we may not ask, or somebody else took the canary.
        RetryableError: the ledger is away.
    """
    began = polled = time.monotonic()
    trial.live.take(counts(), version, lease.first)
    riders.start()
    try:
        while True:
            over = riders.over
            _take(trial, riders)
            now = time.monotonic()
            if now - polled >= POLL_SECONDS or over:
                polled = now
                told = counts()
                trial.live.take(told, version, lease.first)
                trial.arms = told.get("arms", trial.arms)
                lease.keep()
            trial.seconds = now - began
            judgement = trial.judge()
            trial.looks.append(Look(trial.seconds, trial.comparison.asked, judgement.verdict, judgement.findings))
            if judgement.verdict != "not_enough" or over or trial.seconds > seconds:
                return judgement
            if trial.comparison.asked >= BEFORE_LIVE:
                lease.admit(*live)
            time.sleep(LOOK_SECONDS)
    finally:
        riders.stop()


def _take(trial: Trial, riders: Riders) -> None:
    found = riders.fetch()
    trial.personas.update(each.persona for each in found)
    trial.comparison.add(each.pair for each in found)


def counts_of(admin_url: str, token: str, use_case: str) -> Callable[[], dict[str, Any]]:
    """How to fetch ``GET /admin/v1/arms``; while the gateway is away there are none, which proves nothing either way."""
    pool = urllib3.PoolManager(headers={"Authorization": f"Bearer {token}"}, retries=False, timeout=2.0)
    url = f"{admin_url.rstrip('/')}/admin/v1/arms"

    def fetch() -> dict[str, Any]:
        try:
            reply = pool.request("GET", url, fields={"use_case": use_case})
            found: dict[str, Any] = json.loads(reply.data) if reply.status == _OK else {}
        except (urllib3.exceptions.HTTPError, ValueError):
            return {}
        return found

    return fetch
