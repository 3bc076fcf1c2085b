"""Answers and outcomes brought together: each outcome that is open is judged, and what stands goes to ``labelled``.

An outcome is open as long as it is neither in ``labelled`` nor in the quarantine. Which outcome stands is written first and
the refused ones after it, so a run that is killed between the two leaves open what it did not write, and the next one
finds for it the same as this one would have. The caller holds the lock of the live tables. Knows no use case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.collect_outcomes.judge import REFUSED, STANDS, Rules, judge, known_at
from tiphys.lake.catalog import NAME
from tiphys.lake.live import Name, namespace
from tiphys.lake.live_tables import COLUMNS, spark_type
from tiphys.spark.kept import kept
from tiphys.spark.workers import with_our_python
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MARK = "mark"
"""Class of what is no outcome but a doubt about a row that is there."""

_ANSWER = ("at", "moment", "arm", "model_version", "source", "asker", "features", "value", "low", "high")
_STANDING = ("at", "actual", "trusted", "doubtful")
_KEY = ["origin", "line"]
_ROWS_AT_ONCE = 1000

Row = Mapping[str, Any]


def settle(tables: Tables, rules: Rules) -> Counter[str]:
    """Judge every open outcome; answers with how many came into which class now."""
    with_our_python(tables.spark)
    judged = kept(_grouped(tables).mapInArrow(_Judge(rules, tables.schema), tables.judged))
    counted = Counter({each["class"]: each["count"] for each in judged.groupBy("class").count().collect()})
    if counted[STANDS] or counted[MARK]:
        _label(tables, judged)
    if any(counted[each] for each in REFUSED):
        refused = judged.where(judged["class"].isin(*REFUSED)).selectExpr(
            "outcome.*", "class AS reason", "CAST(NULL AS STRING) AS raw"
        )
        refused.writeTo(tables.name("outcomes_quarantine")).append()
    return counted


@dataclass(frozen=True)
class Tables:
    """The live tables of a use case as Spark sees them."""

    spark: SparkSession
    use_case: UseCase

    def name(self, table: Name) -> str:
        """Its name in Spark's catalog."""
        return f"{NAME}.{namespace(self.use_case.name)}.{table}"

    def open(self, table: Name) -> DataFrame:
        """Its rows now."""
        return self.spark.table(self.name(table))

    def struct(self, table: Name) -> str:
        """Spark's type of a whole row."""
        fields = (f"`{name}`: {spark_type(kind, self.use_case.features)}" for name, kind in COLUMNS[table].items())
        return f"struct<{', '.join(fields)}>"

    @property
    def judged(self) -> str:
        """Columns of what is judged, as Spark's DDL."""
        return f"class STRING, outcome {self.struct('outcomes')}, `row` {self.struct('labelled')}"

    @property
    def schema(self) -> Any:
        """The same for Arrow."""
        from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415
        from pyspark.sql.types import StructType  # noqa: PLC0415

        return to_arrow_schema(StructType.fromDDL(self.judged))


def _grouped(tables: Tables) -> DataFrame:
    """One row an answer that is reported on: its id, its answer, its standing row, its open outcomes."""
    settled = [tables.open(each).select(*_KEY) for each in ("labelled", "outcomes_quarantine")]
    outcomes = tables.open("outcomes")
    for each in settled:
        outcomes = outcomes.join(each, _KEY, "left_anti")
    listed = ", ".join(COLUMNS["outcomes"])
    grouped = outcomes.selectExpr("prediction_id", f"struct({listed}) AS outcome")
    grouped = grouped.groupBy("prediction_id").agg({"outcome": "collect_list"})
    grouped = grouped.withColumnRenamed("collect_list(outcome)", "outcomes")
    ids = grouped.select("prediction_id")
    answers = tables.open("predictions").where("NOT shadow").join(ids, "prediction_id", "left_semi")
    answers = answers.groupBy("prediction_id").agg(_first(_ANSWER, "answer"))
    standing = tables.open("labelled").selectExpr("prediction_id", f"struct({', '.join(_STANDING)}) AS standing")
    return grouped.join(answers, "prediction_id", "left").join(standing, "prediction_id", "left")


def _first(columns: tuple[str, ...], name: str) -> Any:
    from pyspark.sql.functions import expr  # noqa: PLC0415

    return expr(f"min_by(struct({', '.join(columns)}), struct(at, origin, line)) AS {name}")


@dataclass(frozen=True)
class _Judge:
    """Judges in Spark's Python workers."""

    rules: Rules
    schema: Any

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Turn answers with their outcomes into outcomes with their classes."""
        import pyarrow as pa  # noqa: PLC0415

        for batch in batches:
            for first in range(0, batch.num_rows, _ROWS_AT_ONCE):
                rows = [row for each in batch.slice(first, _ROWS_AT_ONCE).to_pylist() for row in self._of(each)]
                yield pa.RecordBatch.from_pylist(rows, schema=self.schema)

    def _of(self, group: Row) -> Iterator[dict[str, Any]]:
        answer, standing, outcomes = group["answer"], group["standing"], group["outcomes"]
        found = judge(answer, standing, outcomes, self.rules)
        for n, (outcome, its_class) in enumerate(zip(outcomes, found.classes, strict=True)):
            row = None
            if n == found.stands:
                row = {
                    "prediction_id": group["prediction_id"],
                    **self._labelled(answer, outcome),
                    "doubtful": found.doubtful or "",
                }
            yield {"class": its_class, "outcome": outcome, "row": row}
        if found.doubtful and standing is not None and not standing["doubtful"]:
            mark = {"prediction_id": group["prediction_id"], "at": standing["at"], "doubtful": found.doubtful}
            yield {"class": MARK, "outcome": None, "row": mark}

    def _labelled(self, answer: Row, outcome: Row) -> dict[str, Any]:
        return {
            **answer,
            "known_at": known_at(outcome),
            "actual": outcome["actual"],
            "facts": outcome["facts"],
            "outcome_asker": outcome["asker"],
            "trusted": outcome["asker"] in self.rules.trusted,
            "origin": outcome["origin"],
            "line": outcome["line"],
        }


def _label(tables: Tables, judged: DataFrame) -> None:
    """Put the outcomes that stand into ``labelled``, and mark the rows that were contradicted."""
    rows = judged.where(f"class IN ('{STANDS}', '{MARK}')").select("class", "row.*")
    days = rows.selectExpr("min(at) AS first", "max(at) AS last").collect()[0]
    rows.createOrReplaceTempView("standing_now")
    names = tuple(COLUMNS["labelled"])
    tables.spark.sql(
        f"MERGE INTO {tables.name('labelled')} AS held USING standing_now AS new ON held.prediction_id = new.prediction_id"  # noqa: S608 - names of ours
        f" AND held.at BETWEEN TIMESTAMP_NTZ '{days['first']}' AND TIMESTAMP_NTZ '{days['last']}'"
        f" WHEN MATCHED AND new.class = '{MARK}' THEN UPDATE SET doubtful = new.doubtful"
        f" WHEN NOT MATCHED AND new.class = '{STANDS}' THEN INSERT ({', '.join(names)})"
        f" VALUES ({', '.join(f'new.{each}' for each in names)})"
    )
