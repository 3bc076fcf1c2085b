"""The small client of the release ledger, for steps, agents, the gateway and the command line.

It knows HTTP and the ledger's records, and waits no longer than it is told.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import urllib3

from tiphys.errors import PermanentError, RetryableError
from tiphys.release.records import Environment, Observed, Recorded, Release, ServiceRecorded, ServiceRelease

if TYPE_CHECKING:
    from tiphys.settings import LedgerSettings

_HTTP_CONFLICT = 409
_HTTP_SERVER = 500
_POLL_SECONDS = 0.2


class ConflictError(PermanentError):
    """Somebody else released in between: the environment is at another generation than expected."""


class LedgerClient:
    """One ledger, spoken to with one token."""

    def __init__(self, settings: LedgerSettings, *, timeout: float = 10.0) -> None:
        """Remember the address and the token; ``timeout`` seconds bound each request."""
        self._url = settings.url.rstrip("/")
        self._timeout = timeout
        headers = {"Authorization": f"Bearer {settings.token}", "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(
            headers=headers, retries=urllib3.Retry(2, backoff_factor=0.1, redirect=0), maxsize=4
        )

    def current(self, environment: str, *, after: int | None = None, wait: float = 0.0) -> Environment:
        """Return an environment as it is now; with ``after``, wait up to ``wait`` seconds for a newer generation.

        Raises:
            RetryableError: the ledger does not answer.
            PermanentError: it refuses.
        """
        fields = {} if after is None else {"after": str(after), "wait": str(int(wait))}
        path = f"/v1/environments/{environment}"
        return Environment.model_validate(self._ask("GET", path, fields=fields, timeout=self._timeout + wait))

    def history(self, environment: str, limit: int = 100) -> list[Recorded]:
        """Return the last releases of an environment, newest first. Raises as :meth:`current`."""
        found = self._ask("GET", f"/v1/environments/{environment}/releases", fields={"limit": str(limit)})
        return [Recorded.model_validate(each) for each in found["releases"]]

    def release(self, environment: str, release: Release, expected_generation: int) -> Recorded:
        """Write a release if the environment still is at ``expected_generation``.

        Raises:
            ConflictError: it is at another one.
            RetryableError, PermanentError: as :meth:`current`.
        """
        body = {**release.model_dump(), "expected_generation": expected_generation}
        return Recorded.model_validate(self._ask("POST", f"/v1/environments/{environment}/releases", body=body))

    def release_over(self, seen: Environment, release: Release) -> Recorded:
        """Write a release unless somebody released the same use case since ``seen`` was read.

        Raises:
            ConflictError: somebody did.
            RetryableError, PermanentError: as :meth:`current`.
        """
        now = seen
        while True:
            try:
                return self.release(seen.environment, release, now.generation)
            except ConflictError:
                now = self.current(seen.environment)
                if now.releases.get(release.use_case) != seen.releases.get(release.use_case):
                    raise

    def services(self, environment: str, limit: int = 1) -> list[ServiceRecorded]:
        """Return the last releases of an environment's services, newest first. Raises as :meth:`current`."""
        found = self._ask("GET", f"/v1/environments/{environment}/services", fields={"limit": str(limit)})
        return [ServiceRecorded.model_validate(each) for each in found["services"]]

    def release_services(self, environment: str, release: ServiceRelease, expected_generation: int) -> ServiceRecorded:
        """Write a release of services if they still are at ``expected_generation``. Raises as :meth:`release`."""
        body = {**release.model_dump(), "expected_generation": expected_generation}
        return ServiceRecorded.model_validate(self._ask("POST", f"/v1/environments/{environment}/services", body=body))

    def observe(self, environment: str, observed: Observed) -> None:
        """Report what is served; for agents. Raises as :meth:`current`."""
        self._ask("PUT", f"/v1/environments/{environment}/observed", body=observed.model_dump())

    def wait_until_served(self, recorded: Recorded, seconds: float) -> Observed:
        """Wait until the agent reports that release as serving.

        Raises:
            PermanentError: the agent refuses it, or a newer release took its place.
            RetryableError: ``seconds`` went by.
        """
        deadline = time.monotonic() + seconds
        what = f"{recorded.model_version} (generation {recorded.generation} of {recorded.environment})"
        while True:
            environment = self.current(recorded.environment)
            newest = environment.releases[recorded.use_case]
            if newest.generation != recorded.generation:
                message = f"{what} was overtaken by generation {newest.generation}: {newest.model_version}"
                raise ConflictError(message)
            observed = environment.observed.get(recorded.model)
            if observed is not None and observed.generation == recorded.generation:
                if observed.state == "serving":
                    return observed
                if observed.state == "failed":
                    message = f"{what} is not served: {observed.message}"
                    raise PermanentError(message)
            if time.monotonic() > deadline:
                said = observed.message if observed is not None and observed.message else "nothing yet"
                message = (
                    f"{what} is not served after {seconds:.0f} s; the agent of {recorded.environment} says: {said}; "
                    "look at 'tiphys status' and the agent's log"
                )
                raise RetryableError(message)
            time.sleep(_POLL_SECONDS)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        fields: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Any:
        url = self._url + path
        content = None if body is None else json.dumps(body).encode()
        try:
            reply = self._pool.request(method, url, fields=fields, body=content, timeout=timeout or self._timeout)
        except urllib3.exceptions.HTTPError as error:
            message = f"the release ledger at {self._url} does not answer: {error}; 'tiphys status' says if it is up"
            raise RetryableError(message) from error
        if reply.status < 300:  # noqa: PLR2004
            return json.loads(reply.data) if reply.data else None
        message = f"the release ledger at {self._url} answers {reply.status}: {_said(reply.data)}"
        if reply.status == _HTTP_CONFLICT:
            raise ConflictError(message)
        raise (RetryableError if reply.status >= _HTTP_SERVER else PermanentError)(message)


def _said(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")
