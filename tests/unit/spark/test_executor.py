"""The command line of an executor, from what Spark tells its pod."""

from __future__ import annotations

import pytest

from tiphys.errors import SettingsError
from tiphys.spark.executor import arguments

pytestmark = pytest.mark.unit

TOLD = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.1:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "etl-exec-3",
    "SPARK_EXECUTOR_MEMORY": "1024m",
    "SPARK_JAVA_OPT_10": "-Dlast=1",
    "SPARK_JAVA_OPT_2": "-Dfirst=a b",
    "SPARK_EXTRA_CLASSPATH": "/opt/jars/*",
}


def test_an_executor_is_started_as_spark_tells_its_pod() -> None:
    """Options in their order, each one word; memory; the extra class path before Spark's own; all that its program asks for."""
    told = arguments(TOLD)
    assert told[:4] == ["-Dfirst=a b", "-Dlast=1", "-Xms1024m", "-Xmx1024m"]
    assert told[4] == "-cp"
    assert told[5].startswith("/opt/jars/*:")
    assert told[5].endswith("/pyspark/jars/*")
    assert told[6].endswith(".KubernetesExecutorBackend")
    named = dict(zip(told[7::2], told[8::2], strict=True))
    assert named["--driver-url"] == TOLD["SPARK_DRIVER_URL"]
    assert (named["--executor-id"], named["--cores"], named["--podName"]) == ("3", "2", "etl-exec-3")


def test_outside_of_an_executor_s_pod_it_says_so() -> None:
    """All that is missing at once."""
    with pytest.raises(SettingsError, match=r"SPARK_EXECUTOR_ID, .*Spark sets them in the pods of executors"):
        arguments({})
