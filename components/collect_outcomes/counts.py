"""What the live tables hold, counted by Spark. Knows no use case."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.collect_outcomes.judge import Rules
    from components.collect_outcomes.settle import Tables

LATE = "INTERVAL 1 HOUR"
AGES = {"under 1 h": 1 / 24, "1 h to 1 day": 1.0, "1 to 7 days": 7.0, "over 7 days": float("inf")}
"""Ages of answers without an outcome, and the days that each ends at."""
_DAY_S = 86400


def labelled(tables: Tables, rules: Rules) -> dict[str, int]:
    """Count the labelled rows: all, trusted, late, doubtful."""
    end = "moment + make_dt_interval(0, 0, 0, actual)" if rules.in_seconds else "moment"
    row = tables.open("labelled").selectExpr(
        "count(*) AS labelled",
        "count_if(trusted) AS trusted",
        f"count_if(known_at > {end} + {LATE}) AS late",
        "count_if(doubtful != '') AS doubtful",
    )
    found: dict[str, int] = row.collect()[0].asDict()
    return found


def refused(tables: Tables) -> dict[str, int]:
    """Count the quarantine by reason; ``broken`` are lines of either log that cannot be read."""
    counted = {"broken": tables.open("predictions_quarantine").count()}
    for each in (
        tables.open("outcomes_quarantine")
        .selectExpr("raw IS NULL AS judged", "reason")
        .groupBy("judged", "reason")
        .count()
        .collect()
    ):
        name = each["reason"] if each["judged"] else "broken"
        counted[name] = counted.get(name, 0) + each["count"]
    return counted


def missing(tables: Tables) -> dict[str, int]:
    """Count answers without an outcome by their age; the newest answer of all tells the own clock's time."""
    answers = tables.open("predictions").where("NOT shadow")
    unlabelled = answers.join(tables.open("labelled").select("prediction_id"), "prediction_id", "left_anti")
    newest = answers.selectExpr("max(moment) AS newest").collect()[0]["newest"]
    found = dict.fromkeys(AGES, 0)
    if newest is None:
        return found
    days = f"timestampdiff(SECOND, moment, TIMESTAMP_NTZ '{newest}') / {_DAY_S}"
    steps = " ".join(f"WHEN {days} < {most} THEN '{name}'" for name, most in AGES.items() if most != float("inf"))
    oldest = list(AGES)[-1]
    aged = unlabelled.selectExpr(f"CASE {steps} ELSE '{oldest}' END AS age").groupBy("age").count().collect()
    return found | {each["age"]: each["count"] for each in aged}
