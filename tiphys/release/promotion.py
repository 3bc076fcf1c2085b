"""Promotion: what staging serves goes into production, if everything that was found out about it lets it.

The one way into production, for the step ``promote`` and for ``tiphys release promote``: evidence, passport, compare-and-set,
waiting for the agent's word, a question. It asks no model itself: who promotes says how to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tiphys.errors import GateError, PermanentError, TiphysError
from tiphys.release import aliases, passport
from tiphys.release.client import LedgerClient
from tiphys.release.records import Environment, Observed, Recorded, Release
from tiphys.release.rollback import HISTORY, Asked, roll_back, withdraw
from tiphys.settings import TrackingSettings

log = logging.getLogger(__name__)

IN_PRODUCTION = "already in production"
"""What a canary comes to when production serves that very image."""

Ask = Callable[[Recorded], None]
"""Asks production one question; raises what is wrong with the answer."""


@dataclass(frozen=True)
class Promotion:
    """What came of it."""

    recorded: Recorded
    observed: Observed
    changed: bool
    """False: production served that very image before, and nothing was written."""
    warnings: list[str] = field(default_factory=list)

    @property
    def passport(self) -> str:
        """Digest of the passport that the release carries."""
        return self.recorded.passport


def candidate(ledger: LedgerClient, use_case: str) -> Recorded:
    """Return what staging serves of a use case.

    Raises:
        GateError: staging was released nothing, or its agent does not say that it serves that, from that image.
    """
    staging = ledger.current("staging")
    release = staging.releases.get(use_case)
    if release is None:
        message = f"staging was released nothing of {use_case}: tiphys run continuous-training"
        raise GateError(message)
    observed = staging.observed.get(release.model)
    if observed is None or (observed.state, observed.generation) != ("serving", release.generation):
        said = "nothing" if observed is None else f"{observed.state}: {observed.message}"
        message = (
            f"staging does not serve generation {release.generation} ({release.model_version}); its agent says {said}: "
            "nothing untested is promoted"
        )
        raise GateError(message)
    if observed.image != release.image:
        message = f"staging serves from {observed.image or 'no image'}, its release is of {release.image}: run the pipeline again"
        raise GateError(message)
    return release


def serves_already(production: Environment, release: Release) -> Recorded | None:
    """Return production's newest release if it is of that very image and was not refused."""
    newest = production.releases.get(release.use_case)
    if newest is None or not release.image or newest.image != release.image:
        return None
    observed = production.observed.get(newest.model)
    refused = observed is not None and (observed.state, observed.generation) == ("failed", newest.generation)
    return None if refused else newest


def gone_back_from(history: Sequence[Recorded], image: str) -> Recorded | None:
    """Return the rollback that ended an image's last time in production, if one did; the history is newest first."""
    after: Recorded | None = None
    for each in history:
        if image and each.image == image:
            return after if after is not None and after.kind == "rollback" else None
        after = each
    return None


def check_not_gone_back(ledger: LedgerClient, tested: Release) -> None:
    """Let a pipeline go on only with what nobody took back from production.

    Raises:
        GateError: somebody went back from that very image; who, why, and that a person may bring it back.
        RetryableError: the ledger is away.
    """
    history = ledger.history("production", HISTORY, use_case=tested.use_case)
    back = gone_back_from(history, tested.image)
    if back is not None:
        message = f"{back.asked_by or back.run} went back from {tested.model_version} (generation {back.generation}"
        remedy = f"a person may bring it back: tiphys release promote {tested.use_case}"
        raise GateError(f"{message}: {back.reason}), and the candidate is that very image; {remedy}")


@dataclass(frozen=True)
class Promoter:
    """Who may promote, and how production is asked once it serves."""

    ledger: LedgerClient
    """With a token that may write production."""
    key: str
    """The private key of passports."""
    ask: Ask
    """If it raises PermanentError, production goes back to what it served before."""
    tracking: TrackingSettings | None = None
    """Where MLflow is, whose alias follows; None leaves it alone."""

    def promote(self, tested: Release, asked: Asked, *, seconds: float = 120.0, canary: str = "") -> Promotion:
        """Release into production what was tested, and return when it answers.

        Args:
            tested: what staging serves.
            asked: who wants it.
            seconds: longest wait for production's agent.
            canary: what a pipeline's canary came to; empty: a person asks, who may bring back what was rolled back.

        Raises:
            GateError: a kind of evidence is missing or did not hold, somebody went back from that image, or production does
                not answer as it should.
            ConflictError: somebody else released the use case in between.
            PermanentError: the ledger or the agent refuses it.
            RetryableError: a server is away, or the model does not serve in time.
        """
        production = self.ledger.current("production")
        there = serves_already(production, tested)
        if there is None and canary:
            self._check_unattended(tested, canary)
        recorded = there or self.ledger.release_over(production, self._vouched(tested, asked))
        observed = self.ledger.wait_until_served(recorded, seconds)
        is_ours = there is not None and asked.once and there.run == asked.run[:200]
        if there and not is_ours:
            return Promotion(recorded, observed, changed=False)
        log.info("production serves %s: generation %d", recorded.model_version, recorded.generation)
        try:
            self.ask(recorded)
        except PermanentError as error:
            raise _taken_back(self.ledger, recorded, asked, error) from error
        return Promotion(recorded, observed, changed=True, warnings=self._afterwards(recorded, asked))

    def _vouched(self, tested: Release, asked: Asked) -> Release:
        """Make, sign and leave the passport; return the release that carries it."""
        evidence = self.ledger.weighed(tested.manifest_sha256)
        sealed = passport.seal(passport.state(tested, evidence, asked.by, asked.run), self.key)
        return Release(
            **tested.model_dump(include={"use_case", "model_version", "repository", "manifest_sha256", "image"}),
            passport=self.ledger.add_passport(sealed),
            reason=asked.reason[:1000],
            asked_by=asked.by[:200],
            run=asked.run[:200],
        )

    def _check_unattended(self, tested: Release, canary: str) -> None:
        """Let a pipeline write only what nobody decided against."""
        if canary == IN_PRODUCTION:
            message = f"production moved on since its canary found {tested.model_version} {IN_PRODUCTION}"
            raise GateError(f"{message}: nothing was tested against what serves now; run the pipeline again")
        check_not_gone_back(self.ledger, tested)

    def _afterwards(self, recorded: Recorded, asked: Asked) -> list[str]:
        """End the canary, whose model has become production's, and let MLflow's alias follow; neither undoes a promotion."""
        warnings = []
        reason = f"promoted: production generation {recorded.generation}"
        warnings.append(_without_canary(self.ledger, recorded, Asked(asked.by, asked.run, reason)))
        if self.tracking is not None:
            warnings.append(aliases.follow(recorded, self.tracking))
        return [each for each in warnings if each]


def _without_canary(ledger: LedgerClient, recorded: Recorded, asked: Asked) -> str:
    """End the canary's traffic; returns a warning where that failed."""
    try:
        withdraw(ledger, recorded.use_case, asked)
    except TiphysError as error:
        return f"the canary still has its traffic: {error}; tiphys release rollback canary"
    return ""


def _taken_back(ledger: LedgerClient, recorded: Recorded, asked: Asked, error: PermanentError) -> GateError:
    what = f"production does not answer as it should with {recorded.model_version}: {error}"
    reason = Asked("promote", asked.run, f"asked after its promotion: {error}")
    try:
        back = roll_back(ledger, "production", recorded.use_case, reason, leaving=recorded.generation)
        done = f"rolled back to {back.recorded.model_version}"
    except TiphysError as failed:
        done = f"and it could not be rolled back: {failed}"
    warning = _without_canary(ledger, recorded, reason)
    return GateError("; ".join(each for each in (what, done, warning) if each))
