"""Landed objects into tables, exactly once: Spark Structured Streaming over what is new, then it ends.

Exactly once is made of two things. Spark's checkpoint knows which objects were read, so a run looks at new ones only.
And a table takes the rows of an object in one commit or not at all, so before a batch is appended, those of its objects that
the table has are left out: a batch that is done again after a kill, an object that is landed again under its name,
and a checkpoint that was lost all end in the same rows. Knows no use case.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from components.collect_outcomes.lines import Shape, read
from tiphys.lake.catalog import NAME, Lake
from tiphys.lake.live import Name, namespace
from tiphys.lake.live_tables import COLUMNS, spark_schema
from tiphys.spark.kept import kept
from tiphys.spark.workers import with_our_python
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Topic = Literal["predictions", "feedback"]

TABLES: dict[Topic, tuple[Name, Name]] = {
    "feedback": ("outcomes", "outcomes_quarantine"),
    "predictions": ("predictions", "predictions_quarantine"),
}
"""Topic of the landing bucket -> its table, and the table of lines that cannot be read; in the order they are taken:
whoever reports was answered before."""
TOPICS = tuple(TABLES)
OBJECTS_AT_ONCE = 256
_SOURCE = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"
_ROWS_AT_ONCE = 2000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Landing:
    """Where a topic's objects lie, and where the stream over them keeps its progress."""

    use_case: UseCase
    topic: Topic

    @property
    def prefix(self) -> str:
        """Prefix of the objects."""
        return f"s3://landing/{self.topic}/{self.use_case.name}/"

    @property
    def checkpoint(self) -> str:
        """Folder of the stream's checkpoint."""
        return f"s3a://checkpoints/{self.use_case.name}/live/{self.topic}"


def take(spark: SparkSession, lake: Lake, landing: Landing) -> None:
    """Take in every object of a topic that has landed until now. The caller holds the lock of the live tables."""
    if not lake.store.list(landing.prefix):
        log.info("nothing has landed at %s yet", landing.prefix)
        return
    with_our_python(spark)
    reader = spark.readStream.format("binaryFile").schema(_SOURCE)
    reader = reader.option("recursiveFileLookup", "true").option("pathGlobFilter", "*.ndjson.gz")
    objects = reader.option("maxFilesPerTrigger", str(OBJECTS_AT_ONCE)).load(landing.prefix.replace("s3:", "s3a:", 1))

    def write(batch: DataFrame, _number: int) -> None:
        _append(batch, landing)

    writer = objects.writeStream.foreachBatch(write).option("checkpointLocation", landing.checkpoint)
    query = writer.trigger(availableNow=True).start()
    query.awaitTermination()


def _append(objects: DataFrame, landing: Landing) -> None:
    """Append the rows of a batch of objects to the topic's two tables."""
    use_case = landing.use_case
    table, quarantine = TABLES[landing.topic]
    optional = use_case.recent.name if use_case.recent else ""
    shape = Shape({each.name: each.dtype for each in use_case.features}, use_case.live.moment, optional)
    columns = {**COLUMNS[table], **COLUMNS[quarantine]}
    reader = _Reader(landing.topic, landing.prefix.removeprefix("s3://"), shape, tuple(columns))
    rows = kept(objects.select("path", "content").mapInArrow(reader, spark_schema(columns, use_case.features)))
    good, bad = rows.where("reason IS NULL"), rows.where("reason IS NOT NULL")
    for frame, name in ((good, table), (bad, quarantine)):
        _append_new(frame.select(*COLUMNS[name]), f"{NAME}.{namespace(use_case.name)}.{name}")


def _append_new(rows: DataFrame, table: str) -> None:
    """Append the rows whose object the table does not have yet."""
    origins = [each["origin"] for each in rows.select("origin").distinct().collect()]
    if not origins:
        return
    spark = rows.sparkSession
    there = spark.table(table).where(_among(origins)).select("origin").distinct().collect()
    new = sorted(set(origins) - {each["origin"] for each in there})
    if new:
        rows.where(_among(new)).coalesce(spark.sparkContext.defaultParallelism).writeTo(table).append()


def _among(origins: list[str]) -> Any:
    from pyspark.sql.functions import col  # noqa: PLC0415

    return col("origin").isin(origins)


@dataclass(frozen=True)
class _Reader:
    """Reads objects in Spark's Python workers."""

    topic: Topic
    prefix: str
    shape: Shape
    columns: tuple[str, ...]

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Turn batches of objects into batches of rows."""
        waiting: list[dict[str, Any]] = []
        for batch in batches:
            for path, content in zip(batch["path"].to_pylist(), batch["content"], strict=True):
                origin = path.partition(self.prefix)[2]
                for row in read(origin, content.as_py(), self.topic, self.shape):
                    waiting.append(row)
                    if len(waiting) >= _ROWS_AT_ONCE:
                        yield self._batch(waiting)
                        waiting = []
        if waiting:
            yield self._batch(waiting)

    def _batch(self, rows: list[dict[str, Any]]) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        kinds = {**COLUMNS[TABLES[self.topic][0]], **COLUMNS[TABLES[self.topic][1]]}
        schema = pa.schema([(name, _arrow(kinds[name], self.shape)) for name in self.columns])
        return pa.RecordBatch.from_pylist(rows, schema=schema)


def _arrow(kind: str, shape: Shape) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if kind == "features":
        numbers: dict[str, Any] = {"int64": pa.int64(), "float32": pa.float64()}
        return pa.struct([(name, numbers[dtype]) for name, dtype in shape.features.items()])
    simple: dict[str, Any] = {
        "string": pa.string(), "double": pa.float64(), "long": pa.int64(), "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us"), "facts": pa.map_(pa.string(), pa.float64()),
    }  # fmt: skip
    return simple[kind]
