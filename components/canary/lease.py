"""The candidate's stay in the canary: released with an end, prolonged while somebody judges, withdrawn at a refusal.

Whoever dies here leaves nothing behind: the traffic ends at ``until``. It knows the ledger and no gateway.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from tiphys.errors import PermanentError
from tiphys.release.client import LedgerClient
from tiphys.release.records import Observed, Recorded, Release
from tiphys.release.rollback import Asked, withdraw

log = logging.getLogger(__name__)


class Lease:
    """One candidate's stay."""

    def __init__(self, ledger: LedgerClient, tested: Recorded, asked: Asked, seconds: float) -> None:
        """Know what is released, who wants it, and how long traffic goes on after the judge's last sign of life."""
        self._seconds = seconds
        self._ledger = ledger
        self._tested = tested
        self._asked = asked
        self._share = self._shadow = 0.0
        self._recorded: Recorded | None = None
        self.first = 0
        """Generation of the first release: all later ones of this stay are larger."""

    def begin(self, seconds: float) -> Observed:
        """Release without any share, and wait until it serves.

        Raises:
            PermanentError: the agent refuses it, or somebody else released in between.
            RetryableError: a server is away, or it does not serve in time.
        """
        recorded = self._release()
        self.first = recorded.generation
        return self._ledger.wait_until_served(recorded, seconds)

    def admit(self, share: float, shadow: float) -> None:
        """Let live askers in. Raises as :meth:`begin`."""
        if (share, shadow) != (self._share, self._shadow):
            self._share, self._shadow = share, shadow
            self._release()

    def keep(self) -> None:
        """Prolong it when half of the time is over. Raises as :meth:`begin`."""
        recorded = self._recorded
        if recorded is not None and recorded.until is not None:
            left = (recorded.until - datetime.now(UTC)).total_seconds()
            if left < self._seconds / 2:
                self._release()

    def withdraw(self, reason: str) -> None:
        """End the traffic; by now, whoever else may have released is not our concern."""
        newest = self._ledger.current("canary").releases.get(self._tested.use_case)
        if self._recorded is None or newest is None or newest.generation != self._recorded.generation:
            return
        withdraw(self._ledger, self._tested.use_case, Asked(self._asked.by, self._asked.run, reason))
        log.info("the candidate is out of traffic")

    def _release(self) -> Recorded:
        seen = self._ledger.current("canary")
        newest = seen.releases.get(self._tested.use_case)
        if self._recorded is not None and (newest is None or newest.generation != self._recorded.generation):
            found = "nothing" if newest is None else f"generation {newest.generation} ({newest.kind})"
            message = f"somebody else took the canary: it is at {found}, not at generation {self._recorded.generation}"
            raise PermanentError(message)
        release = Release(
            **self._tested.model_dump(include={"use_case", "model_version", "repository", "manifest_sha256", "image"}),
            share=self._share,
            shadow=self._shadow,
            until=datetime.now(UTC) + timedelta(seconds=self._seconds),
            reason=self._asked.reason,
            asked_by=self._asked.by,
            run=self._asked.run,
        )
        self._recorded = self._ledger.release_over(seen, release)
        return self._recorded
