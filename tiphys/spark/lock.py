"""A lock in the catalog's database that Spark's own process holds, so that it lasts exactly as long as Spark can commit.

A lock that Python holds goes when Python is killed, and a commit that Spark has begun may come through after that. This
one goes with the process that commits: the next writer waits until nothing can come any more.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tiphys.lake.catalog import Lake


@contextlib.contextmanager
def held(spark: SparkSession, lake: Lake, name: str) -> Iterator[None]:
    """Hold the lock of that name, the same that ``Lake.lock`` holds; waits for it as long as it takes."""
    jvm = spark._jvm  # noqa: SLF001 - the documented way to Java's classes
    url = urlsplit(lake.catalog.url)
    properties = jvm.java.util.Properties()
    for key, value in (("user", lake.catalog.user), ("password", lake.catalog.password), ("tcpKeepAlive", "true")):
        properties.setProperty(key, value)
    connection = jvm.org.postgresql.Driver().connect(f"jdbc:postgresql://{url.netloc}{url.path}", properties)
    try:
        statement = connection.createStatement()
        statement.execute(f"select pg_advisory_lock({zlib.crc32(name.encode())})")
        yield
    finally:
        with contextlib.suppress(Exception):  # Spark may have died: then the lock is gone
            connection.close()
