"""The small client of the release ledger, for steps, agents, the gateway and the command line.

It knows HTTP and the ledger's records, and waits no longer than it is told. Fields of an answer that it does not know it
ignores: a newer ledger may tell more.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3
from pydantic import BaseModel, ValidationError

from tiphys.errors import PermanentError, RetryableError
from tiphys.release.records import (
    Environment,
    Evidence,
    EvidenceKind,
    EvidenceRecorded,
    Observed,
    Outcome,
    Passport,
    Recorded,
    Release,
    ServiceRecorded,
    ServiceRelease,
)
from tiphys.silence import silence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tiphys.settings import LedgerSettings

_HTTP_CONFLICT = 409
_HTTP_SERVER = 500
_POLL_SECONDS = 0.2

Record = TypeVar("Record", bound=BaseModel)


class ConflictError(PermanentError):
    """Somebody else released in between: the environment is at another generation than expected."""


class LedgerClient:
    """One ledger, spoken to with one token."""

    def __init__(self, settings: LedgerSettings, *, timeout: float = 10.0, retries: int = 2) -> None:
        """Remember the address and the token; ``timeout`` seconds bound each try of a request."""
        self._url = settings.url.rstrip("/")
        self._timeout = timeout
        headers = {"Authorization": f"Bearer {settings.token}", "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(
            headers=headers, retries=urllib3.Retry(retries, backoff_factor=0.1, redirect=0), maxsize=4
        )

    def current(self, environment: str, *, after: int | None = None, wait: float = 0.0) -> Environment:
        """Return an environment as it is now; with ``after``, wait up to ``wait`` seconds for a newer generation.

        Raises:
            RetryableError: the ledger does not answer.
            PermanentError: it refuses.
        """
        fields = {} if after is None else {"after": str(after), "wait": str(int(wait))}
        path = f"/v1/environments/{environment}"
        return _read(Environment, self._ask("GET", path, fields=fields, timeout=self._timeout + wait))

    def history(self, environment: str, limit: int = 100, *, use_case: str = "") -> list[Recorded]:
        """Return the last releases of an environment, or of one use case there, newest first. Raises as :meth:`current`."""
        fields = {"limit": str(limit)} | ({"use_case": use_case} if use_case else {})
        found = self._ask("GET", f"/v1/environments/{environment}/releases", fields=fields)
        return _listed(Recorded, found, "releases")

    def release(self, environment: str, release: Release, expected_generation: int) -> Recorded:
        """Write a release if the environment still is at ``expected_generation``.

        Raises:
            ConflictError: it is at another one.
            RetryableError, PermanentError: as :meth:`current`.
        """
        body = {**release.model_dump(mode="json"), "expected_generation": expected_generation}
        return _read(Recorded, self._ask("POST", f"/v1/environments/{environment}/releases", body=body))

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

    def outcomes(self, environment: str, limit: int = 100) -> list[Outcome]:
        """Return what became of an environment's last releases, newest first. Raises as :meth:`current`."""
        found = self._ask("GET", f"/v1/environments/{environment}/outcomes", fields={"limit": str(limit)})
        return _listed(Outcome, found, "outcomes")

    def evidence(
        self,
        *,
        use_case: str = "",
        model_version: str = "",
        manifest_sha256: str = "",
        kind: EvidenceKind | None = None,
        limit: int = 100,
    ) -> list[EvidenceRecorded]:
        """Return evidence, newest first, at most 200; what is not given is not asked for. Raises as :meth:`current`."""
        wanted = {
            "use_case": use_case,
            "model_version": model_version,
            "manifest_sha256": manifest_sha256,
            "kind": kind or "",
            "limit": str(limit),
        }
        found = self._ask("GET", "/v1/evidence", fields={name: value for name, value in wanted.items() if value})
        return _listed(EvidenceRecorded, found, "evidence")

    def weighed(self, manifest_sha256: str, cited: Iterable[int] = ()) -> list[EvidenceRecorded]:
        """Return the newest evidence of each kind of one repository, and what is ``cited`` by number. Raises as :meth:`current`."""
        numbers = ",".join(map(str, cited))
        fields = {"manifest_sha256": manifest_sha256} | ({"cited": numbers} if numbers else {})
        found = self._ask("GET", "/v1/evidence/newest", fields=fields)
        return [EvidenceRecorded.model_validate(each) for each in found["evidence"]]

    def add_evidence(self, evidence: Evidence) -> EvidenceRecorded:
        """Leave evidence; the same of the same run is written once. Raises as :meth:`current`."""
        return _read(EvidenceRecorded, self._ask("POST", "/v1/evidence", body=evidence.model_dump(mode="json")))

    def passport(self, sha256: str) -> Passport:
        """Return the passport whose text has that digest. Raises as :meth:`current`."""
        return _read(Passport, self._ask("GET", f"/v1/passports/{sha256}"))

    def add_passport(self, passport: Passport) -> str:
        """Leave a passport; returns the sha256 of its text, which a release names it by.

        Raises:
            PermanentError: it is not signed by a key that the ledger trusts.
            RetryableError: as :meth:`current`.
        """
        return str(self._ask("POST", "/v1/passports", body=passport.model_dump(mode="json"))["sha256"])

    def services(self, environment: str, limit: int = 1) -> list[ServiceRecorded]:
        """Return the last releases of an environment's services, newest first. Raises as :meth:`current`."""
        found = self._ask("GET", f"/v1/environments/{environment}/services", fields={"limit": str(limit)})
        return _listed(ServiceRecorded, found, "services")

    def release_services(self, environment: str, release: ServiceRelease, expected_generation: int) -> ServiceRecorded:
        """Write a release of services if they still are at ``expected_generation``. Raises as :meth:`release`."""
        body = {**release.model_dump(), "expected_generation": expected_generation}
        return _read(ServiceRecorded, self._ask("POST", f"/v1/environments/{environment}/services", body=body))

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
        content = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            reply = self._pool.request(method, url, fields=fields, body=content, timeout=timeout or self._timeout)
        except urllib3.exceptions.HTTPError as error:
            message = (
                f"the release ledger at {self._url} does not answer: {silence(error)}; 'tiphys status' says if it is up"
            )
            raise RetryableError(message) from error
        if reply.status < 300:  # noqa: PLR2004
            return _parsed(reply.data, self._url)
        message = f"the release ledger at {self._url} answers {reply.status}: {_said(reply.data)}"
        if reply.status == _HTTP_CONFLICT:
            raise ConflictError(message)
        raise (RetryableError if reply.status >= _HTTP_SERVER else PermanentError)(message)


def _parsed(data: bytes, url: str) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError as error:
        message = f"what answers at {url} is no release ledger: it sends no JSON: {data[:100]!r}"
        raise RetryableError(message) from error


def _read(kind: type[Record], found: Any) -> Record:
    try:
        return kind.model_validate(found, extra="ignore")
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        message = f"the release ledger sends no {kind.__name__} that this version understands ({wrong}): are both of one version?"
        raise RetryableError(message) from error


def _listed(kind: type[Record], found: Any, name: str) -> list[Record]:
    if not isinstance(found, dict) or not isinstance(found.get(name), list):
        message = f"the release ledger sends no list of {name}: are both of one version?"
        raise RetryableError(message)
    return [_read(kind, each) for each in found[name]]


def _said(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")
