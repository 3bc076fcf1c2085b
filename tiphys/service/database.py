"""PostgreSQL behind a service: one connection, made anew when it breaks, that makes its tables when it opens.

It knows no HTTP and no service's tables.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from tiphys.errors import DataError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Database:
    """One connection, one question at a time; each statement is a transaction of its own."""

    def __init__(self, url: str, user: str, password: str, *, schema: str, service: str) -> None:
        """Remember where it is: ``url`` is ``postgresql://HOST:PORT/DATABASE``; ``service`` is who says so in errors."""
        parts = urlsplit(url)
        self._where = f"{parts.hostname}:{parts.port}{parts.path}"
        self._service = service
        self._schema = schema
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
        """Ask the database for nothing, to see that it answers. Raises as :meth:`rows`."""
        await self.rows("SELECT 1 AS one", {})

    async def rows(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Ask, a second time on a new connection if the first broke; so a statement must do no harm twice.

        Raises:
            DataError: there is a text that PostgreSQL has no place for.
            RetryableError: it does not answer.
        """
        async with self._lock:
            try:
                return await self._execute(query, values)
            except psycopg.DataError as error:  # a text that PostgreSQL has no place for, as one with a zero character
                message = f"the {self._service} cannot keep that: {str(error).splitlines()[0]}"
                raise DataError(message) from error
            except psycopg.OperationalError:
                await self.close()
            try:
                return await self._execute(query, values)
            except psycopg.OperationalError as error:
                await self.close()
                said = str(error).splitlines()[0]
                message = f"the {self._service}'s database at {self._where} does not answer: {said}"
                raise RetryableError(message) from error

    async def _execute(self, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                **self._arguments, autocommit=True, row_factory=dict_row
            )
            await self._connection.execute(self._schema)
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []
