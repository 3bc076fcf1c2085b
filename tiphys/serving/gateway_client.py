"""Ask the gateway a question, as a user's program would: for the command line and the steps that test and promote."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from tiphys.errors import RetryableError
from tiphys.silence import silence

_BAD = 400
_NOT_FOUND = 404


class UnreachedError(RetryableError):
    """No connection: the question never left, so it can be sent again without being asked twice."""


@dataclass(frozen=True)
class Reply:
    """What the gateway answered."""

    status: int
    body: Any
    """The JSON that came; text where it was none."""
    retry_after: float | None = None
    """Seconds after which it wants to be asked again, if it says so."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name: ``x-tiphys-arm`` and ``x-tiphys-version`` say who answered."""

    @property
    def code(self) -> str:
        """The error's code, or nothing."""
        found = self.body.get("error", {}) if isinstance(self.body, dict) else {}
        return str(found.get("code", "")) if isinstance(found, dict) else ""

    @property
    def error(self) -> str:
        """The error's message, or nothing."""
        found = self.body.get("error", {}) if isinstance(self.body, dict) else {}
        return str(found.get("message", "")) or ("" if self.status < _BAD else str(self.body)[:300])


class GatewayClient:
    """One gateway."""

    def __init__(self, url: str, *, key: str = "", timeout: float = 5.0, connections: int = 1) -> None:
        """Remember the address, ``http://HOST:PORT``, our API key, and how many threads ask at once."""
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._own = {"Authorization": f"Bearer {key}"} if key else {}
        self._pool = urllib3.PoolManager(retries=urllib3.Retry(1, redirect=0), maxsize=connections)

    def ask(
        self, path: str, question: Any, *, kind: str = "application/json", method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """Send a question (JSON, or bytes as they are); errors of the gateway are replies, too.

        Raises:
            UnreachedError: there is nobody to connect to.
            RetryableError: the gateway does not answer; the question may have arrived.
        """
        content = question if isinstance(question, bytes) else json.dumps(question).encode()
        told = {"Content-Type": kind, **self._own, **(headers or {})}
        try:
            found = self._pool.request(method, self.url + path, body=content, headers=told, timeout=self._timeout)
        except urllib3.exceptions.HTTPError as error:
            message = f"the gateway at {self.url} does not answer: {silence(error)}; 'tiphys status' says if it is up"
            raise (UnreachedError if _never_left(error) else RetryableError)(message) from error
        pause = found.headers.get("Retry-After", "")
        again = float(pause) if pause.isdigit() else None
        said = {name.lower(): value for name, value in found.headers.items()}
        try:
            return Reply(found.status, json.loads(found.data), again, said)
        except ValueError:
            return Reply(found.status, found.data.decode(errors="replace"), again, said)

    def ask_when_mounted(self, path: str, question: Mapping[str, Any], seconds: float = 15.0) -> Reply:
        """Ask, and while the route is not there yet ask again: the gateway mounts what the agents name."""
        deadline = time.monotonic() + seconds
        while (reply := self.ask(path, question)).status == _NOT_FOUND and time.monotonic() < deadline:
            time.sleep(0.3)
        return reply


def _never_left(error: urllib3.exceptions.HTTPError) -> bool:
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
