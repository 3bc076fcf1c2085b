"""Ask an agent what serves, and to go back when nobody else can be asked."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from tiphys.errors import PermanentError, RetryableError
from tiphys.silence import silence

_OK = 200
_SERVER = 500


class AgentClient:
    """The agent at ``HOST:PORT``."""

    def __init__(self, address: str, token: str = "", *, timeout: float = 10.0) -> None:
        """Remember the address, and the agent's token for what asks for it."""
        self.address = address
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(retries=False, timeout=timeout)

    def serving(self) -> dict[str, Any]:
        """Return its page: what its Triton answers with. Raises as :meth:`roll_back`."""
        return self._ask("GET", "/v1/serving")

    def roll_back(self, model: str, asked_by: str, reason: str, leaving: int | None = None) -> dict[str, Any]:
        """Have it go back to what served before, and return what it left and what serves.

        With ``leaving``, the generation on its page, it goes back from that alone.

        Raises:
            PermanentError: it refuses, and says why.
            RetryableError: it does not answer.
        """
        body = {"model": model, "asked_by": asked_by, "reason": reason, "leaving": leaving}
        return self._ask("POST", "/v1/rollback", body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body)
        try:
            reply = self._pool.request(method, f"http://{self.address}{path}", body=content, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            message = f"the agent at {self.address} does not answer: {silence(error)}; 'tiphys status' says if it is up"
            raise RetryableError(message) from error
        try:
            found: dict[str, Any] = json.loads(reply.data)
        except ValueError:
            found = {}
        if reply.status == _OK:
            return found
        said = found.get("error", {}).get("message", "") or reply.data[:200].decode(errors="replace")
        message = f"the agent at {self.address} answers {reply.status}: {said}"
        raise (RetryableError if reply.status >= _SERVER else PermanentError)(message)
