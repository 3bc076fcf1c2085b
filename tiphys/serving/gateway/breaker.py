"""When to stop asking who fails: closed while all is well, open for a while after failures, then one question as a trial."""

from __future__ import annotations

from collections import deque
from typing import Literal

State = Literal["closed", "open", "half_open"]

WINDOW = 20
"""Last answers that are looked at."""
MOST_FAILURES = 5
"""Failures among them that open it."""
REST = 0.5
"""Seconds that it stays open before a trial."""


class Breaker:
    """Of one arm. Times are seconds of a clock that never goes back."""

    __slots__ = ("_failures", "_outcomes", "_rest", "_since", "opened", "state")

    def __init__(self, rest: float | None = REST) -> None:
        """Begin closed; with ``rest`` None it never closes again by itself once it is open."""
        self._rest = rest
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._failures = 0
        self._since = 0.0
        self.state: State = "closed"
        self.opened = 0
        """How often it has opened."""

    def allows(self, now: float) -> bool:
        """Whether to ask now; the first yes after a rest is a trial, and there is no other until its outcome is known.

        A trial whose outcome never comes is followed by another after as long a rest.
        """
        if self.state == "closed":
            return True
        if self._rest is None or now - self._since < self._rest:
            return False
        self.state, self._since = "half_open", now
        return True

    def succeeded(self) -> None:
        """An answer was good."""
        if self.state == "closed":
            if self._failures or len(self._outcomes) < WINDOW:
                self._push(failed=False)
        elif self.state == "half_open":  # while it is open, what comes was asked before it opened
            self.state = "closed"
            self._outcomes.clear()
            self._failures = 0

    def failed(self, now: float) -> None:
        """An answer was bad, late, or did not come."""
        if self.state == "closed":
            self._push(failed=True)
            if self._failures < MOST_FAILURES:
                return
            self.opened += 1
        self.state, self._since = "open", now

    def _push(self, *, failed: bool) -> None:
        if len(self._outcomes) == WINDOW and self._outcomes[0]:
            self._failures -= 1
        self._outcomes.append(failed)
        self._failures += failed
