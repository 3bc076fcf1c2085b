"""The release ledger's tables in PostgreSQL: append-only, with a line of generations for each environment's models and services.

Compare-and-set needs no lock: a release is inserted as generation N+1 only while N is the newest, and the primary
key lets one of any number of writers through. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from tiphys.errors import RetryableError
from tiphys.release.records import Environment, Observed, Recorded, Release, ServiceRecorded, ServiceRelease

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMA = """
CREATE TABLE IF NOT EXISTS release (
    environment     text        NOT NULL,
    generation      bigint      NOT NULL CHECK (generation > 0),
    use_case        text        NOT NULL,
    model_version   text        NOT NULL,
    repository      text        NOT NULL,
    manifest_sha256 text        NOT NULL,
    image           text        NOT NULL DEFAULT '',
    reason          text        NOT NULL,
    run             text        NOT NULL,
    made_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, generation)
);
CREATE TABLE IF NOT EXISTS service_release (
    environment text        NOT NULL,
    generation  bigint      NOT NULL CHECK (generation > 0),
    revision    text        NOT NULL,
    images      text        NOT NULL,
    reason      text        NOT NULL,
    run         text        NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, generation)
);
CREATE TABLE IF NOT EXISTS observed (
    environment text        NOT NULL,
    model       text        NOT NULL,
    generation  bigint      NOT NULL,
    state       text        NOT NULL,
    message     text        NOT NULL,
    version     text        NOT NULL,
    image       text        NOT NULL DEFAULT '',
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, model)
);
ALTER TABLE release ADD COLUMN IF NOT EXISTS image text NOT NULL DEFAULT '';
ALTER TABLE observed ADD COLUMN IF NOT EXISTS image text NOT NULL DEFAULT '';
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the release ledger is append-only'; END $$;
CREATE OR REPLACE TRIGGER release_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON release
    EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER service_release_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON service_release
    EXECUTE FUNCTION refuse_change();
"""

_CURRENT = """
SELECT DISTINCT ON (use_case) * FROM release WHERE environment = %(environment)s ORDER BY use_case, generation DESC
"""

_APPEND = """
INSERT INTO release (environment, generation, use_case, model_version, repository, manifest_sha256, image,
                     reason, run)
SELECT %(environment)s, %(expected)s + 1, %(use_case)s, %(model_version)s, %(repository)s, %(manifest_sha256)s,
       %(image)s, %(reason)s, %(run)s
WHERE (SELECT coalesce(max(generation), 0) FROM release WHERE environment = %(environment)s) = %(expected)s
ON CONFLICT (environment, generation) DO NOTHING
RETURNING *
"""

_APPEND_SERVICES = """
INSERT INTO service_release (environment, generation, revision, images, reason, run)
SELECT %(environment)s, %(expected)s + 1, %(revision)s, %(images)s, %(reason)s, %(run)s
WHERE (SELECT coalesce(max(generation), 0) FROM service_release WHERE environment = %(environment)s) = %(expected)s
ON CONFLICT (environment, generation) DO NOTHING
RETURNING *
"""

_SERVICES = "SELECT * FROM service_release WHERE environment = %(environment)s ORDER BY generation DESC LIMIT %(limit)s"

_HISTORY = "SELECT * FROM release WHERE environment = %(environment)s ORDER BY generation DESC LIMIT %(limit)s"

_OBSERVED = "SELECT model, generation, state, message, version, image FROM observed WHERE environment = %(environment)s"

_OBSERVE = """
INSERT INTO observed (environment, model, generation, state, message, version, image)
VALUES (%(environment)s, %(model)s, %(generation)s, %(state)s, %(message)s, %(version)s, %(image)s)
ON CONFLICT (environment, model) DO UPDATE SET
    generation = excluded.generation, state = excluded.state, message = excluded.message,
    version = excluded.version, image = excluded.image, reported_at = now()
"""


def _services(row: Mapping[str, Any]) -> ServiceRecorded:
    return ServiceRecorded(**{**row, "images": json.loads(row["images"])})


class Store:
    """The ledger's tables, over one connection that is made anew when it breaks."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Remember where the database is: ``url`` is ``postgresql://HOST:PORT/DATABASE``."""
        parts = urlsplit(url)
        self._where = f"{parts.hostname}:{parts.port}{parts.path}"
        self._arguments: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port,
            "dbname": parts.path.lstrip("/"),
            "user": user,
            "password": password,
            "connect_timeout": 5,
        }
        self._connection: psycopg.AsyncConnection[dict[str, Any]] | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def ready(self) -> None:
        """Ask the database for nothing, to see that it answers."""
        await self._rows("SELECT 1 AS one", {})

    async def current(self, environment: str) -> Environment:
        """Return an environment as it is now; one that nobody wrote is at generation 0."""
        where = {"environment": environment}
        releases = [Recorded(**row) for row in await self._rows(_CURRENT, where)]
        observed = [Observed(**row) for row in await self._rows(_OBSERVED, where)]
        return Environment(
            environment=environment,
            generation=max((each.generation for each in releases), default=0),
            releases={each.use_case: each for each in releases},
            observed={each.model: each for each in observed},
        )

    async def history(self, environment: str, limit: int) -> list[Recorded]:
        """Return the last ``limit`` releases of an environment, newest first."""
        return [Recorded(**row) for row in await self._rows(_HISTORY, {"environment": environment, "limit": limit})]

    async def append(self, environment: str, expected: int, release: Release) -> Recorded | None:
        """Write a release if ``expected`` still is the environment's generation; None when it is not.

        The same release of the same run is not written twice while it is the use case's newest: it is returned. If
        the agent refused it, it is written again, because what was wrong with it may have been repaired.
        """
        written = await self._newest_if_same(environment, release)
        if written is not None:
            return written
        values = {"environment": environment, "expected": expected, **release.model_dump()}
        rows = await self._rows(_APPEND, values)
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
        rows = await self._rows(_SERVICES, {"environment": environment, "limit": limit})
        return [_services(row) for row in rows]

    async def append_services(self, environment: str, expected: int, release: ServiceRelease) -> ServiceRecorded | None:
        """Write a release of services if ``expected`` still is their generation; None when it is not.

        The same release of the same run is not written twice while it is the newest: it is returned.
        """
        newest = await self.services(environment, 1)
        if newest and newest[0].release() == release:
            return newest[0]
        values = {"environment": environment, "expected": expected, **release.model_dump()}
        rows = await self._rows(_APPEND_SERVICES, {**values, "images": json.dumps(release.images, sort_keys=True)})
        return _services(rows[0]) if rows else None

    async def observe(self, environment: str, observed: Observed) -> None:
        """Remember the agent's last report of one model."""
        await self._rows(_OBSERVE, {"environment": environment, **observed.model_dump()})

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._lock:
            try:
                return await self._execute(query, values)
            except psycopg.OperationalError:
                await self.close()
            try:
                return await self._execute(query, values)
            except psycopg.OperationalError as error:
                await self.close()
                message = f"the ledger's database at {self._where} does not answer: {str(error).splitlines()[0]}"
                raise RetryableError(message) from error

    async def _execute(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                **self._arguments, autocommit=True, row_factory=dict_row
            )
            await self._connection.execute(_SCHEMA)
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []
