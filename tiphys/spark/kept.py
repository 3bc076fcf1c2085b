"""Rows that are made once and read more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def kept(rows: DataFrame) -> DataFrame:
    """Keep what the one pass over the source finds. On a cluster a lost executor's part is computed anew; inside this process none is lost alone."""
    if rows.sparkSession.sparkContext.master.startswith("local"):
        return rows.localCheckpoint(eager=False)
    return rows.cache()
