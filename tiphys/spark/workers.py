"""Spark's Python workers: which Python they are, and that they find our code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tiphys.settings import PROJECT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def with_our_python(spark: SparkSession) -> None:
    """Let workers be this very Python with this very code; executors elsewhere have both at the same place, in the step's image."""
    spark.sparkContext.pythonExec = sys.executable
    spark.sparkContext.environment["PYTHONPATH"] = str(PROJECT)
