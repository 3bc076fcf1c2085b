"""The release ledger in PostgreSQL: append-only, with a line of generations for each environment's models and services.

Compare-and-set needs no lock: a release is inserted as generation N+1 only while N is the newest, and the primary
key lets one of any number of writers through. It knows no HTTP.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tiphys.release import tables
from tiphys.release.records import (
    Environment,
    Evidence,
    EvidenceRecorded,
    Observed,
    Outcome,
    Passport,
    PassportRecorded,
    Recorded,
    Release,
    ServiceRecorded,
    ServiceRelease,
    canonical,
)
from tiphys.service.database import Database

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _services(row: Mapping[str, Any]) -> ServiceRecorded:
    return ServiceRecorded(**{**row, "images": json.loads(row["images"])})


def _evidence(row: Mapping[str, Any]) -> EvidenceRecorded:
    return EvidenceRecorded(**{**row, "content": json.loads(row["content"])})


class Store:
    """The ledger's tables, over one connection that is made anew when it breaks."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Remember where the database is: ``url`` is ``postgresql://HOST:PORT/DATABASE``."""
        self._database = Database(url, user, password, schema=tables.SCHEMA, service="ledger")

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    async def ready(self) -> None:
        """Ask the database for nothing, to see that it answers."""
        await self._database.ready()

    async def current(self, environment: str) -> Environment:
        """Return an environment as it is now; one that nobody wrote is at generation 0."""
        where = {"environment": environment}
        releases = [Recorded(**row) for row in await self._database.rows(tables.CURRENT, where)]
        observed = [Observed(**row) for row in await self._database.rows(tables.OBSERVED, where)]
        return Environment(
            environment=environment,
            generation=max((each.generation for each in releases), default=0),
            releases={each.use_case: each for each in releases},
            observed={each.model: each for each in observed},
        )

    async def history(self, environment: str, limit: int, use_case: str = "") -> list[Recorded]:
        """Return the last ``limit`` releases of an environment, or of one use case there, newest first."""
        wanted = {"environment": environment, "use_case": use_case, "limit": limit}
        return [Recorded(**row) for row in await self._database.rows(tables.HISTORY, wanted)]

    async def had(self, environment: str, release: Release) -> bool:
        """Whether the environment was released that very model before: image, manifest, passport and all."""
        wanted = {"environment": environment, **release.model_dump()}
        return bool(await self._database.rows(tables.HAD, wanted))

    async def append(self, environment: str, expected: int, release: Release) -> Recorded | None:
        """Write a release if ``expected`` still is the environment's generation; None when it is not.

        The same release of the same run is not written twice while it is the use case's newest: it is returned. If
        the agent refused it, it is written again, because what was wrong with it may have been repaired.
        """
        written = await self._newest_if_same(environment, release)
        if written is not None:
            return written
        values = {"environment": environment, "expected": expected, **release.model_dump()}
        rows = await self._database.rows(tables.APPEND, values)
        return Recorded(**rows[0]) if rows else await self._newest_if_same(environment, release)

    async def _newest_if_same(self, environment: str, release: Release) -> Recorded | None:
        current = await self.current(environment)
        newest = current.releases.get(release.use_case)
        if newest is None or newest.release() != release:
            return None
        observed = current.observed.get(newest.model)
        refused = observed is not None and observed.state == "failed" and observed.generation == newest.generation
        return None if refused else newest

    async def services(self, environment: str, limit: int) -> list[ServiceRecorded]:
        """Return the last ``limit`` releases of an environment's services, newest first."""
        rows = await self._database.rows(tables.SERVICES, {"environment": environment, "limit": limit})
        return [_services(row) for row in rows]

    async def append_services(self, environment: str, expected: int, release: ServiceRelease) -> ServiceRecorded | None:
        """Write a release of services if ``expected`` still is their generation; None when it is not.

        The same release of the same run is not written twice while it is the newest: it is returned.
        """
        newest = await self.services(environment, 1)
        if newest and newest[0].release() == release:
            return newest[0]
        values = {"environment": environment, "expected": expected, **release.model_dump()}
        rows = await self._database.rows(
            tables.APPEND_SERVICES, {**values, "images": json.dumps(release.images, sort_keys=True)}
        )
        return _services(rows[0]) if rows else None

    async def observe(self, environment: str, observed: Observed) -> None:
        """Remember the agent's last report of one model, and for ever what became of the release."""
        values = {"environment": environment, **observed.model_dump()}
        await self._database.rows(tables.OBSERVE, values)
        if observed.state != "loading":
            await self._database.rows(tables.ADD_OUTCOME, values)

    async def outcomes(self, environment: str, limit: int) -> list[Outcome]:
        """Return what became of the last releases of an environment, newest first."""
        return [
            Outcome(**row)
            for row in await self._database.rows(tables.OUTCOMES, {"environment": environment, "limit": limit})
        ]

    async def evidence(self, limit: int, **wanted: str) -> list[EvidenceRecorded]:
        """Return evidence, newest first, with these texts in ``use_case``, ``model_version``, ``manifest_sha256``, ``kind``."""
        anything = dict.fromkeys(("use_case", "model_version", "manifest_sha256", "kind"), "")
        return [
            _evidence(row) for row in await self._database.rows(tables.EVIDENCE, {**anything, **wanted, "limit": limit})
        ]

    async def weighed(self, manifest_sha256: str, cited: Sequence[int]) -> list[EvidenceRecorded]:
        """Return the newest evidence of each kind of one repository, and of the rest what is ``cited`` by number."""
        wanted = {"manifest_sha256": manifest_sha256, "cited": list(cited)}
        return [_evidence(row) for row in await self._database.rows(tables.WEIGHED, wanted)]

    async def add_evidence(self, evidence: Evidence) -> tuple[EvidenceRecorded, bool]:
        """Write evidence, unless it is the newest of its kind of that repository already; say whether it was written."""
        newest = await self.evidence(1, manifest_sha256=evidence.manifest_sha256, kind=evidence.kind)
        if newest and newest[0].evidence() == evidence:
            return newest[0], False
        values = {**evidence.model_dump(), "content": canonical(evidence.content)}
        return _evidence((await self._database.rows(tables.ADD_EVIDENCE, values))[0]), True

    async def passport(self, sha256: str) -> PassportRecorded | None:
        """Return the passport whose text has that digest."""
        rows = await self._database.rows(tables.PASSPORT, {"sha256": sha256})
        return PassportRecorded(**rows[0]) if rows else None

    async def add_passport(self, sha256: str, passport: Passport) -> PassportRecorded | None:
        """Write a passport under its text's digest; returns the one that is there now, be it signed by another key."""
        await self._database.rows(tables.ADD_PASSPORT, {"sha256": sha256, **passport.model_dump()})
        return await self.passport(sha256)
