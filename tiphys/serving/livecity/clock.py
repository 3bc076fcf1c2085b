"""The city's own clock: it begins at some moment and runs as many times faster than ours as one likes. It knows no rides."""

from __future__ import annotations

import threading
import time


class Clock:
    """Runs from the first call of :meth:`wait_until`; who is behind is not waited for and does not wait."""

    def __init__(self, start: float, speed: float) -> None:
        """Show ``start``, seconds since 1970; ``speed`` 1 is our own pace, 0 as fast as things get done."""
        self._start = self._last = start
        self._speed = speed
        self._began: float | None = None

    def wait_until(self, moment: float, stopped: threading.Event) -> None:
        """Return when it is ``moment``, or when we are to stop."""
        if self._began is None:
            self._began = time.monotonic()
        self._last = max(self._last, moment)
        if self._speed and (left := (moment - self.now()) / self._speed) > 0:
            stopped.wait(left)

    def now(self) -> float:
        """What it shows: without a speed, the latest moment that was waited for."""
        if not self._speed or self._began is None:
            return self._last
        return self._start + self._speed * (time.monotonic() - self._began)
