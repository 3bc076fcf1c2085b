"""The gateway's door as one asker sees it: asks, waits as long as it is told to, and says what came of it.

A question that may have got lost is asked again. An outcome that may have been taken is not sent again: told twice, it
would count twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from tiphys.errors import PermanentError, RetryableError
from tiphys.serving.gateway_client import GatewayClient, Reply, UnreachedError

PATIENCE = 120.0
"""Seconds for which a question or an outcome is tried while the gateway is away or has no room."""
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 2.0
_HURRY = 5.0
"""The same, once all is to stop."""
_REFUSED_KEY = (401, 403)
_FULL = (429, 503)

MAYBE = "no reply came"
AWAY = "the gateway was away"


class Door:
    """One API key's way in. Several threads may ask at once; told to wait, all of them do."""

    def __init__(self, gateway: GatewayClient, stopped: threading.Event, patience: float = PATIENCE) -> None:
        """Ask at ``gateway``; when ``stopped`` is set, nothing is waited for very long any more."""
        self._gateway = gateway
        self._stopped = stopped
        self._patience = patience
        self._last_call: float | None = None
        self._open_at = 0.0

    def ask(self, path: str, question: Mapping[str, Any], *, rider: str = "", once: bool = False) -> Reply | str:
        """Return the reply, which may be a refusal that is meant; or why there is none.

        ``rider`` is who we ask for; ``once``: it is not sent again once it may have arrived.

        Raises:
            PermanentError: the gateway does not know our key, or lets it not ask this.
        """
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        headers = {"X-Rider-Id": rider} if rider else None
        while True:
            time.sleep(max(0.0, min(self._open_at - time.monotonic(), _LAST_PAUSE)))
            wait, why = pause, AWAY
            try:
                reply = self._gateway.ask(path, question, headers=headers)
            except UnreachedError:
                pass
            except RetryableError:
                if once:
                    return MAYBE
            else:
                if reply.status in _REFUSED_KEY:
                    message = f"the gateway refuses our key for {path} ({reply.status}: {reply.error})"
                    raise PermanentError(message)
                if reply.status not in _FULL:
                    return reply
                wait, why = reply.retry_after or pause, reply.code
            if time.monotonic() + wait > min(deadline, self._end()):
                return why
            self._open_at = max(self._open_at, time.monotonic() + wait)
            pause = min(2 * pause, _LAST_PAUSE)

    def _end(self) -> float:
        """When patience ends for all who wait."""
        if self._last_call is None and self._stopped.is_set():
            self._last_call = time.monotonic() + _HURRY
        return float("inf") if self._last_call is None else self._last_call
