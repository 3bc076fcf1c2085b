"""What a failure of Spark means: whether the same job can succeed later, and what to do. Knows Spark's words, no Spark."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tiphys.errors import DataError, PermanentError, RetryableError, TiphysError
from tiphys.spark.conf import is_local

_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|Java heap space|GC overhead limit|OOMKilled|exit code 52\b|exited with code 52\b|exitCode=52\b"
)
_EXECUTOR_GONE = re.compile(
    r"ExecutorLostFailure|Lost executor|FetchFailed|MetadataFetchFailed|Master removed our application"
    r"|RejectedExecutionException"  # a task that reached an executor which was about to end
)
_CONTEXT_GONE = re.compile(
    r"stopped SparkContext|SparkContext was shut down|MetricsSystem|All masters are unresponsive"
    r"|SparkEnv\$?\.get\(\)\" is null"  # it went while the context was still being made
)
_FORBIDDEN = re.compile(r"is forbidden: |Unauthorized|Forbidden!|code=40[13]")
_KUBERNETES = re.compile(r"KubernetesClientException|External scheduler cannot be instantiated|fabric8")
_STORE_AWAY = re.compile(
    r"SdkClientException|AWSClientIOException|ConnectException|SocketTimeoutException|ConnectionClosedException"
    r"|NoHttpResponseException|statusCode=50[0234]|Status Code: 50[0234]|UncheckedSQLException: Failed to connect"
)
_OURS = re.compile(r"^tiphys\.errors\.(DataError|PermanentError|RetryableError): (.+)$", re.MULTILINE)
_CALL = "An error occurred while calling"
"""How py4j begins, whatever it was."""


def of(error: Exception, conf: Mapping[str, str]) -> TiphysError | None:
    """Say what an error of Spark means to a person; None where it means a defect.

    Args:
        error: what py4j or PySpark raised.
        conf: the settings that Spark was started with.
    """
    text = str(error)
    if (ours := _OURS.search(text)) is not None:  # what our own code raised in a worker
        return {"DataError": DataError, "RetryableError": RetryableError}.get(ours[1], PermanentError)(ours[2])
    return _of_sparks(text, conf)


def _of_sparks(text: str, conf: Mapping[str, str]) -> TiphysError | None:
    master = conf["spark.master"]
    if _OUT_OF_MEMORY.search(text):
        return PermanentError(_memory(text, conf))
    if is_local(conf):
        return _store(text)
    if _KUBERNETES.search(text):
        return _kubernetes(text, master)
    if _CONTEXT_GONE.search(text):
        return RetryableError(
            f"the Spark master {master} does not answer, or gave this job up: is it up, does spark.master name it, has it the "
            "same spark.authenticate.secret, can its workers reach spark.driver.host? Spark's own words are above"
        )
    if _EXECUTOR_GONE.search(text):
        return RetryableError(
            f"executors of {master} were lost again and again while they worked (workers that were killed or evicted, or "
            "killed by their memory limit: then raise spark.executor.memoryOverhead); Spark says: "
            + _first(text, _EXECUTOR_GONE)
        )
    return _store(text)


def _memory(text: str, conf: Mapping[str, str]) -> str:
    local = is_local(conf)
    inside = local or not re.search(r"executor|Lost task", text)
    key = "spark.driver.memory" if inside else "spark.executor.memory"
    who = "Spark" if local else "Spark's driver" if inside else "an executor"
    return (
        f"{who} ran out of memory with {key} {conf.get(key, '1g')}: raise it in TIPHYS_SPARK_CONF"
        f"{', and the memory limit of the step with it' if inside else ', or give executors fewer cores'}"
    )


def _kubernetes(text: str, master: str) -> TiphysError:
    if _FORBIDDEN.search(text):
        return PermanentError(
            f"Kubernetes at {master} refuses the step's service account: it needs the Role of docs/guides/spark-and-ray.md; "
            f"Kubernetes says: {_first(text, _FORBIDDEN)}"
        )
    return RetryableError(f"Kubernetes at {master} does not answer as Spark needs it: {_first(text)}")


def _store(text: str) -> TiphysError | None:
    if _STORE_AWAY.search(text):
        return RetryableError(
            f"Spark lost the object store or the catalog while it worked: {_first(text, _STORE_AWAY)}"
        )
    return None


def _first(text: str, wanted: re.Pattern[str] | None = None) -> str:
    """The line that tells most: the first with the wanted words, or the deepest cause, or the first of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(_CALL)]
    telling = [line for line in lines if wanted is not None and wanted.search(line)]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    line = (telling or causes[-1:] or lines or [""])[0]
    return line.rpartition("Message: ")[2].removeprefix("Caused by: ")[:300]
