"""A Spark session on the lake: Java checked first, catalog and S3 set at run time so that no secret meets a command line."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tiphys.errors import PermanentError, RetryableError, SettingsError
from tiphys.lake.catalog import NAME, Lake
from tiphys.settings import RunSettings, SparkSettings, StackSettings, load
from tiphys.spark import failures
from tiphys.spark.conf import is_local, parse, properties, settings, wait
from tiphys.spark.executors import Watch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JAVA = 17

_END_S = 20.0
"""Seconds that a Spark that failed or is told to stop has to let its executors go; a pod has 30 in all."""


@contextlib.contextmanager
def session(lake: Lake) -> Iterator[SparkSession]:
    """Start Spark as TIPHYS_SPARK_CONF says, and stop it.

    Raises:
        SettingsError: Java is missing or too old, or a line of the settings makes no sense.
        RetryableError: Spark died while it worked, its master is away, its executors never came or were lost.
        PermanentError: Spark does not start as it is set, or ran out of memory.
    """
    given = load(SparkSettings)
    conf = settings(
        {**parse(given.conf), **parse(given.secret_conf, "TIPHYS_SPARK_SECRET_CONF", secret=True)},
        load(RunSettings).node,
    )
    check_java(load(StackSettings).java_home)
    from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError  # type: ignore[import-untyped]  # noqa: PLC0415 - after the check, whose message is the better one
    from pyspark.errors import PySparkException  # noqa: PLC0415

    finished, watch = False, None
    logging.getLogger().addFilter(_is_not_py4js)
    try:
        spark = _start(conf)
        _reach(spark, lake)
        with contextlib.ExitStack() as while_it_works:
            if not is_local(conf):
                watch = while_it_works.enter_context(Watch(spark, wait(conf)))
            yield spark
        finished = True
        with contextlib.suppress(Exception):  # all is written
            spark.stop()
    except (Py4JNetworkError, ConnectionError) as error:
        message = "Spark's Java process ended while it worked: out of memory, or killed; see the step's log above"
        raise RetryableError(message) from error
    except (Py4JError, PySparkException) as error:
        # Between two calls a process that has died shows as a class that "does not exist in the JVM".
        if not isinstance(error, (Py4JJavaError, PySparkException)) and _has_died():
            message = "Spark's Java process ended between two calls: out of memory, or killed; see the step's log above"
            raise RetryableError(message) from error
        meaning = RetryableError(watch.gave_up) if watch and watch.gave_up else failures.of(error, conf)
        if meaning is None and isinstance(error, Py4JJavaError):
            raise RuntimeError(str(error)) from error  # its words are in Spark's process, which ends below
        if meaning is None:
            raise
        raise meaning from error
    finally:
        if not finished:
            _end()
        logging.getLogger().removeFilter(_is_not_py4js)


def _is_not_py4js(record: logging.LogRecord) -> bool:
    """Py4j logs a traceback at the root for a call that it then raises for; what is raised says it better."""
    return Path(record.pathname).parent.name != "py4j"


def _start(conf: Mapping[str, str]) -> SparkSession:
    """Start Spark with its settings in a file that nobody else may read: a command line is open to everyone."""
    from pyspark.errors import PySparkRuntimeError  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(properties(conf))
        file.flush()
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {shlex.quote(file.name)} pyspark-shell"
        try:
            return SparkSession.builder.appName("tiphys").getOrCreate()
        except PySparkRuntimeError as error:
            message = "Spark does not start as TIPHYS_SPARK_CONF sets it: its own words are above"
            raise PermanentError(message) from error


def _end() -> None:
    """End Spark and its executors by closing what its process listens to: a call could wait behind one that was interrupted."""
    from pyspark import SparkContext  # noqa: PLC0415

    process = getattr(SparkContext._gateway, "proc", None)  # noqa: SLF001 - nothing public knows the process
    if process is None:
        return
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=_END_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _has_died() -> bool:
    """Whether Spark's Java process is gone."""
    from pyspark import SparkContext  # noqa: PLC0415

    gateway = SparkContext._gateway  # noqa: SLF001 - nothing public knows the process
    try:
        gateway.proc.wait(timeout=3)
    except (AttributeError, subprocess.TimeoutExpired):
        return False
    return True


def check_java(java_home: str) -> None:
    """Make sure that there is a Java that Spark can use.

    Raises:
        SettingsError: there is none, or it is too old; says how to get one.
    """
    java = str(Path(java_home) / "bin" / "java") if java_home else shutil.which("java")
    remedy = f"install one with 'sudo apt-get install -y openjdk-{JAVA}-jre-headless', or set JAVA_HOME"
    if java is None or not Path(java).is_file():
        where = f"JAVA_HOME is {java_home}, which has no bin/java" if java_home else "there is no java on PATH"
        message = f"Spark needs Java {JAVA} or newer and {where}: {remedy}"
        raise SettingsError(message)
    version = _java_version(Path(java))
    if version < JAVA:
        message = f"Spark needs Java {JAVA} or newer and {java} is version {version}: {remedy}"
        raise SettingsError(message)


def _java_version(java: Path) -> int:
    release = java.resolve().parent.parent / "release"
    if release.is_file():
        text = release.read_text(encoding="utf-8", errors="replace")
    else:
        try:
            told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            message = f"{java} does not start ({error}): install Java {JAVA} anew, or set JAVA_HOME to another"
            raise SettingsError(message) from error
        text = told.stderr
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else 0


def _reach(spark: SparkSession, lake: Lake) -> None:
    """Tell the running Spark where catalog and S3 are: its command line is open to everyone, its memory is not."""
    own = spark.sparkContext._jsc.sc().conf()  # noqa: SLF001 - PySpark's own getConf is a copy
    for key, value in _catalog(lake).items():
        name = f"spark.sql.catalog.{NAME}{key}"
        own.set(name, value)  # an event log hides the secrets of these settings only, not of the session's
        spark.conf.set(name, value)
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001 - the documented way from Python
    for key, value in _s3a(lake).items():
        hadoop.set(f"fs.s3a.{key}", value)


def _catalog(lake: Lake) -> dict[str, str]:
    url = urlsplit(lake.catalog.url)
    return {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        ".uri": f"jdbc:postgresql://{url.netloc}{url.path}",
        ".jdbc.user": lake.catalog.user,
        ".jdbc.password": lake.catalog.password,
        ".jdbc.schema-version": "V1",
        ".warehouse": lake.catalog.warehouse,
        ".io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        ".cache-enabled": "false",
        ".s3.endpoint": lake.s3.endpoint,
        ".s3.path-style-access": "true",
        ".s3.access-key-id": lake.s3.access_key,
        ".s3.secret-access-key": lake.s3.secret_key,
        ".client.region": lake.s3.region,
    }


def _s3a(lake: Lake) -> dict[str, str]:
    return {
        "endpoint": lake.s3.endpoint,
        "endpoint.region": lake.s3.region,
        "path.style.access": "true",
        "access.key": lake.s3.access_key,
        "secret.key": lake.s3.secret_key,
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
    }
