"""Ask the gateway a question, as a user's program would: for the command line and the steps that test and promote."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from tiphys.errors import RetryableError

_BAD = 400
_NOT_FOUND = 404


@dataclass(frozen=True)
class Reply:
    """What the gateway answered."""

    status: int
    body: Any
    """The JSON that came; text where it was none."""

    @property
    def error(self) -> str:
        """The error's message, or nothing."""
        found = self.body.get("error", {}) if isinstance(self.body, dict) else {}
        return str(found.get("message", "")) or ("" if self.status < _BAD else str(self.body)[:300])


class GatewayClient:
    """One gateway."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        """Remember the address: ``http://HOST:PORT``."""
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._pool = urllib3.PoolManager(retries=urllib3.Retry(1, redirect=0))

    def ask(self, path: str, question: Any, *, kind: str = "application/json", method: str = "POST") -> Reply:
        """Send a question (JSON, or bytes as they are); errors of the gateway are replies, too.

        Raises:
            RetryableError: the gateway does not answer.
        """
        content = question if isinstance(question, bytes) else json.dumps(question).encode()
        headers = {"Content-Type": kind}
        try:
            found = self._pool.request(method, self.url + path, body=content, headers=headers, timeout=self._timeout)
        except urllib3.exceptions.HTTPError as error:
            message = f"the gateway at {self.url} does not answer: {error}; 'tiphys status' says if it is up"
            raise RetryableError(message) from error
        try:
            return Reply(found.status, json.loads(found.data))
        except ValueError:
            return Reply(found.status, found.data.decode(errors="replace"))

    def ask_when_mounted(self, path: str, question: Mapping[str, Any], seconds: float = 15.0) -> Reply:
        """Ask, and while the route is not there yet ask again: the gateway mounts what the ledger names."""
        deadline = time.monotonic() + seconds
        while (reply := self.ask(path, question)).status == _NOT_FOUND and time.monotonic() < deadline:
            time.sleep(0.3)
        return reply
