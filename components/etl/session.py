"""A Spark session on the lake: Java checked first, catalog and S3 set at run time so that no secret meets a command line."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tiphys.errors import RetryableError, SettingsError
from tiphys.lake.catalog import NAME, Lake
from tiphys.settings import SparkSettings, StackSettings, load

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JAVA = 17

_LOGGING = Path(__file__).with_name("log4j2.properties")
_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",  # times are wall clock: nothing may shift them
    "spark.sql.ansi.enabled": "false",  # a rule that cannot be computed is null, not the end of the job
    "spark.sql.optimizer.enableCsvExpressionOptimization": "false",  # fewer columns asked, fewer fields counted
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.adaptive.enabled": "false",  # one pass, small writes: nothing to adapt, and planning twice costs
    "spark.log.level": "ERROR",
    "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
}
_LOCAL = {
    "spark.master": "local[*]",
    "spark.sql.shuffle.partitions": "2",
    # A job of seconds: the quick compiler only, and on the long method that decides about a row, too.
    "spark.driver.defaultJavaOptions": f"{_DEFAULTS['spark.driver.defaultJavaOptions']} -XX:+UseSerialGC "
    "-XX:TieredStopAtLevel=1 -XX:-DontCompileHugeMethods -Xshare:auto",
}


@contextlib.contextmanager
def session(lake: Lake) -> Iterator[SparkSession]:
    """Start Spark as TIPHYS_SPARK_CONF says, and stop it.

    Raises:
        SettingsError: Java is missing or too old, or a line of the settings makes no sense.
        RetryableError: Spark died while it worked.
    """
    conf = settings(parse(load(SparkSettings).conf))
    check_java(load(StackSettings).java_home)
    from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError  # type: ignore[import-untyped]  # noqa: PLC0415 - after the check, whose message is the better one
    from pyspark.sql import SparkSession  # noqa: PLC0415

    builder = SparkSession.builder.appName("tiphys etl")
    for key, value in conf.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
        _reach(spark, lake)
        yield spark
        spark.stop()
    except (Py4JNetworkError, ConnectionError) as error:
        message = "Spark's Java process ended while it worked: out of memory, or killed; see the step's log above"
        raise RetryableError(message) from error
    except Py4JError as error:
        # Between two calls a process that has died shows as a class that "does not exist in the JVM".
        if isinstance(error, Py4JJavaError) or not _has_died():
            raise
        message = "Spark's Java process ended between two calls: out of memory, or killed; see the step's log above"
        raise RetryableError(message) from error


def _has_died() -> bool:
    """Whether Spark's Java process is gone."""
    from pyspark import SparkContext  # noqa: PLC0415

    gateway = SparkContext._gateway  # noqa: SLF001 - nothing public knows the process
    try:
        gateway.proc.wait(timeout=3)
    except (AttributeError, subprocess.TimeoutExpired):
        return False
    return True


def parse(text: str) -> dict[str, str]:
    """Read settings in the form of spark-defaults.conf: one a line, ``key value`` or ``key=value``, ``#`` comments.

    Raises:
        SettingsError: a line is no setting.
    """
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            parts = re.split(r"\s*=\s*|\s+", line.strip(), maxsplit=1)
            if len(parts) != 2 or not parts[0].startswith("spark."):  # noqa: PLR2004 - a key and its value
                message = (
                    f"TIPHYS_SPARK_CONF has a line that is no Spark setting: {line.strip()!r}; write 'spark.KEY VALUE'"
                )
                raise SettingsError(message)
            found[parts[0]] = parts[1]
    return found


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


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """What Spark is started with: what is given wins over what suits this step."""
    if given.get("spark.master", "local").startswith("local"):
        return {**_DEFAULTS, **_LOCAL, **_beside(given)}
    return {**_DEFAULTS, **given}


def _beside(given: Mapping[str, str]) -> dict[str, str]:
    """Libraries go onto the class path: from ``spark.jars`` a local Spark would copy 120 MB at every start."""
    conf = dict(given)
    jars = conf.pop("spark.jars", "").replace(",", ":")
    path = ":".join(each for each in (jars, conf.get("spark.driver.extraClassPath", "")) if each)
    return {**conf, "spark.driver.extraClassPath": path} if path else conf


def _reach(spark: SparkSession, lake: Lake) -> None:
    """Tell the running Spark where catalog and S3 are: its command line is open to everyone, its memory is not."""
    for key, value in _catalog(lake).items():
        spark.conf.set(f"spark.sql.catalog.{NAME}{key}", value)
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
