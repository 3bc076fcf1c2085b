"""The Iceberg catalog in PostgreSQL, shared by PyIceberg's SqlCatalog and Spark's JdbcCatalog.

Readers ask it one question (where is the table's newest metadata?) with psycopg and need no more of it: SQLAlchemy and
PyIceberg's writing side cost a second to import. Whoever commits gets the whole ``SqlCatalog``. Knows no use case.
"""

from __future__ import annotations

import contextlib
import functools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import psycopg

from tiphys.errors import DataError, PermanentError, RetryableError, SettingsError
from tiphys.lake import iceberg_io
from tiphys.lake.s3 import PATIENCE, S3, persist
from tiphys.settings import CatalogSettings, S3Settings, load

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

NAME = "lake"
"""The catalog's name: tables of PyIceberg and Spark meet under it."""

_WHERE = """
select metadata_location from iceberg_tables
where catalog_name = %s and table_namespace = %s and table_name = %s
"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lake:
    """Where tables are: the catalog's database and the store of their bytes."""

    catalog: CatalogSettings
    s3: S3Settings
    patience: float = PATIENCE

    @classmethod
    def from_settings(cls) -> Lake:
        """Take both from the environment."""
        return cls(load(CatalogSettings), load(S3Settings))

    @functools.cached_property
    def store(self) -> S3:
        """The client of the bytes."""
        return S3(self.s3, self.patience)

    def url(self, scheme: str) -> str:
        """The database as a URL with the component's role in it: never to be shown."""
        parts = urlsplit(self.catalog.url)
        if parts.scheme != "postgresql" or not parts.netloc:
            message = f"TIPHYS_CATALOG_URL must be like postgresql://HOST:PORT/DATABASE, not {self.catalog.url!r}"
            raise SettingsError(message)
        login = f"{quote(self.catalog.user, safe='')}:{quote(self.catalog.password, safe='')}"
        return f"{scheme}://{login}@{parts.netloc}{parts.path}"

    def read(self, namespace: str, table: str) -> Table | None:
        """Load a table for reading, as it is now; None where there is none."""
        from pyiceberg.table import StaticTable  # noqa: PLC0415 - half a second that S3-only callers don't pay

        where = self._ask(functools.partial(self._location, namespace, table))
        if where is None:
            return None
        properties = {**iceberg_io.properties(self.s3), "uri": ""}
        return StaticTable.from_metadata(where, properties)

    def writer(self) -> SqlCatalog:
        """Open the catalog for commits; makes its tables in the database at the first use."""
        from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415 - costs a second, for writers only

        properties = {
            "uri": self.url("postgresql+psycopg"),
            "warehouse": self.catalog.warehouse,
            "schema_version": "v1",
            **iceberg_io.properties(self.s3),
        }
        return self._ask(lambda: SqlCatalog(NAME, **properties))

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock of that name in the database: one writer a table; it ends with the process that holds it."""
        with self._ask(self._connect) as connection:
            connection.autocommit = True
            connection.execute("select pg_advisory_lock(%s)", (zlib.crc32(name.encode()),))
            yield

    def _location(self, namespace: str, table: str) -> str | None:
        with self._connect() as connection:
            try:
                row = connection.execute(_WHERE, (NAME, namespace, table)).fetchone()
            except psycopg.errors.UndefinedTable:
                return None
        return None if row is None else str(row[0])

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url("postgresql"), connect_timeout=10, application_name="tiphys")

    def _ask(self, question: Callable[[], Result]) -> Result:
        return persist(functools.partial(_translated, question, self.catalog.url), self.patience)


def known(table: Table | None, name: str) -> Table:
    """Insist that a table was found.

    Raises:
        DataError: it was not.
    """
    if table is None:
        message = f"there is no table {name!r} in the lake yet: run the pipeline's etl step first"
        raise DataError(message)
    return table


def _translated(question: Callable[[], Result], url: str) -> Result:
    try:
        return question()
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's error
        if isinstance(cause, psycopg.errors.InsufficientPrivilege | psycopg.errors.InvalidPassword):
            message = (
                f"the catalog {url} denies this component's role: {_first_line(cause)}; its contract asks for more?"
            )
            raise PermanentError(message) from None
        if isinstance(cause, psycopg.OperationalError):
            if "authentication failed" in str(cause):
                message = f"the catalog {url} does not know this component's role: {_first_line(cause)}"
                raise PermanentError(message) from None
            message = f"the catalog {url} does not answer: {_first_line(cause)}; is it up? 'tiphys status' tells"
            raise RetryableError(message) from None
        raise


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
