"""What became of all questions and outcomes so far: counts that add up, and the mean error. It is safe among threads."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Counts:
    """One look at it: ``asked = answered + sum(refused) + open``."""

    asked: int = 0
    answered: int = 0
    status_quo: int = 0
    """Of the answers: those that no model gave."""
    refused: Counter[str] = field(default_factory=Counter)
    """Questions without an answer, by reason."""
    reported: int = 0
    """Outcomes that the gateway took."""
    trusted: int = 0
    """Of these: those that the operator's own meters report."""
    lost: Counter[str] = field(default_factory=Counter)
    """Outcomes that it did not take, or of which nobody knows whether it did, by reason; none of them is sent again."""
    measured: int = 0
    error_sum: float = 0.0
    """Sum of the absolute errors of ``measured`` answers whose reported outcome can be true."""
    moment: float = 0.0
    """All that happens before it, seconds since 1970 by the city's clock, has been asked and reported."""

    @property
    def open(self) -> int:
        """Questions on their way."""
        return self.asked - self.answered - sum(self.refused.values())

    @property
    def mean_error(self) -> float:
        """Mean absolute error of the answers whose outcome was reported and can be true; 0 where there is none."""
        return self.error_sum / self.measured if self.measured else 0.0


class Tally:
    """Counts."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._lock = threading.Lock()
        self._counts = Counts()

    def look(self) -> Counts:
        """What there is now."""
        with self._lock:
            return replace(self._counts, refused=self._counts.refused.copy(), lost=self._counts.lost.copy())

    def asked(self) -> None:
        """A question set out."""
        with self._lock:
            self._counts = replace(self._counts, asked=self._counts.asked + 1)

    def answered(self, *, status_quo: bool) -> None:
        """It was answered."""
        with self._lock:
            found = self._counts
            self._counts = replace(found, answered=found.answered + 1, status_quo=found.status_quo + status_quo)

    def refused(self, reason: str) -> None:
        """It was not."""
        with self._lock:
            self._counts.refused[reason] += 1

    def reported(self, error: float | None, *, trusted: bool) -> None:
        """An outcome was taken; ``error`` is how far the answer was off, None where the outcome cannot be true."""
        with self._lock:
            found = self._counts
            self._counts = replace(
                found,
                reported=found.reported + 1,
                trusted=found.trusted + trusted,
                measured=found.measured + (error is not None),
                error_sum=found.error_sum + (error or 0.0),
            )

    def lost(self, reason: str) -> None:
        """An outcome was not taken, or who knows."""
        with self._lock:
            self._counts.lost[reason] += 1

    def passed(self, moment: float) -> None:
        """All before this moment has set out."""
        with self._lock:
            self._counts = replace(self._counts, moment=moment)
