"""The Spark frame of rows that are decided about: the dataset's or the files', through the model. Knows no use case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.batch_score.columns import spark_schema
from components.batch_score.scoring import Scorer
from tiphys.lake.catalog import NAME
from tiphys.spark.workers import with_our_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyspark.sql import DataFrame, SparkSession

    from components.batch_score.plan import Plan
    from tiphys.lake.catalog import Lake
    from tiphys.serving.exported import Model
    from tiphys.usecase import UseCase


def decide(spark: SparkSession, use_case: UseCase, plan: Plan, model: Model, lake: Lake) -> DataFrame:
    """Ask the model about every row; answers with the columns of :func:`components.batch_score.columns.spark_schema`."""
    with_our_python(spark)
    scorer, wanted = Scorer(use_case.package, model.version, model.pieces), spark_schema(use_case)
    if plan.dataset is not None:
        return _dataset(spark, use_case, plan).mapInArrow(scorer.dataset, wanted)
    s3 = lake.s3

    def score(batches: Iterable[Any]) -> Iterator[Any]:
        return scorer.files(batches, s3)

    files = [(each.uri, each.sha256, each.bytes) for each in plan.files]
    frame = spark.sparkContext.parallelize(files, len(files)).toDF("uri string, sha256 string, bytes bigint")
    return frame.mapInArrow(score, wanted)


def _dataset(spark: SparkSession, use_case: UseCase, plan: Plan) -> DataFrame:
    assert plan.dataset is not None  # noqa: S101 - the caller looked
    own = plan.dataset
    columns = ", ".join(f"`{each}`" for each in dict.fromkeys((*use_case.columns, "month", "file")))
    months = ", ".join(f"'{month}'" for month in plan.months)
    table = f"{NAME}.{own.use_case}.{own.table}"
    return spark.sql(f"SELECT {columns} FROM {table} VERSION AS OF '{own.tag}' WHERE month IN ({months})")  # noqa: S608 - names of ours
