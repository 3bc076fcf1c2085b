"""The program of an executor's pod on Kubernetes: Spark's own, started from the image of the step, which has all it needs.

Spark tells it everything in variables of its own and expects an image whose entry point is a shell script of Spark's;
``executor.yaml`` names this program instead, so that executors need no image of their own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tiphys.errors import SettingsError
from tiphys.settings import StackSettings, load, spark_variables

_PROGRAM = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_OPTION = "SPARK_JAVA_OPT_"
_TOLD = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}


def main() -> None:
    """Become the executor. It runs in the temporary folder: Spark puts the jars that the driver hands out where it runs."""
    home = load(StackSettings).java_home
    java = f"{home}/bin/java" if home else shutil.which("java")
    if java is None:
        message = (
            "an executor of Spark needs Java and there is none on PATH: the executors' image must be that of the step"
        )
        raise SettingsError(message)
    command = [java, *arguments(spark_variables())]
    os.chdir(tempfile.gettempdir())
    os.execv(java, command)  # noqa: S606 - no shell is the point


def arguments(told: Mapping[str, str]) -> list[str]:
    """Java's arguments, from the variables that Spark gives an executor's pod.

    Raises:
        SettingsError: this is no pod that Spark made.
    """
    missing = [name for name in (*_TOLD.values(), "SPARK_EXECUTOR_MEMORY") if name not in told]
    if missing:
        message = (
            f"not set: {', '.join(missing)}; Spark sets them in the pods of executors, which alone run this program"
        )
        raise SettingsError(message)
    given = sorted((int(name.removeprefix(_OPTION)), value) for name, value in told.items() if name.startswith(_OPTION))
    memory = told["SPARK_EXECUTOR_MEMORY"]
    path = ":".join(each for each in (told.get("SPARK_EXTRA_CLASSPATH", ""), f"{_jars()}/*") if each)
    options = [*(value for _, value in given), f"-Xms{memory}", f"-Xmx{memory}", "-cp", path]
    return [*options, _PROGRAM, *(word for key, name in _TOLD.items() for word in (key, told[name]))]


def _jars() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        message = "an executor of Spark needs PySpark: the executors' image must be that of the step"
        raise SettingsError(message)
    return Path(spec.origin).parent / "jars"


if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        sys.exit(f"error: {error}")
