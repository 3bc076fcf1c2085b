"""What Spark's failures mean to a person."""

from __future__ import annotations

import pytest

from tiphys.errors import PermanentError, RetryableError
from tiphys.spark import failures

pytestmark = pytest.mark.unit

CLUSTER = {"spark.master": "spark://m:7077", "spark.executor.memory": "2g"}
KUBERNETES = {"spark.master": "k8s://https://api"}


@pytest.mark.parametrize(
    ("said", "conf", "kind", "told"),
    [
        (
            "Lost task 0.3 ... java.lang.OutOfMemoryError: Java heap space",
            CLUSTER,
            PermanentError,
            "spark.executor.memory 2g",
        ),
        (
            "java.lang.OutOfMemoryError: Java heap space",
            {"spark.master": "local[2]"},
            PermanentError,
            "spark.driver.memory 1g",
        ),
        (
            "ExecutorLostFailure (executor 4 exited caused by one of the running tasks) Reason: Command exited with code 52",
            CLUSTER,
            PermanentError,
            "an executor ran out of memory",
        ),
        ("ExecutorLostFailure (executor 4 exited", CLUSTER, RetryableError, "were lost again and again"),
        ("RejectedExecutionException: Task x rejected from", CLUSTER, RetryableError, "were lost again and again"),
        ("Cannot call methods on a stopped SparkContext.", CLUSTER, RetryableError, "spark://m:7077 does not answer"),
        (
            'Cannot invoke "SparkEnv.driverTmpDir()" because the return value of "org.apache.spark.SparkEnv$.get()" is null',
            CLUSTER,
            RetryableError,
            "spark://m:7077 does not answer",
        ),
        ("KubernetesClientException: pods is forbidden: User x", KUBERNETES, PermanentError, "needs the Role"),
        ("KubernetesClientException: connect timed out", KUBERNETES, RetryableError, "does not answer"),
        ("software.amazon.awssdk.core.exception.SdkClientException: x", CLUSTER, RetryableError, "object store"),
    ],
)
def test_a_failure_says_whether_to_try_again_and_what_to_do(
    said: str, conf: dict[str, str], kind: type[Exception], told: str
) -> None:
    """Memory and rights do not come back by themselves; servers and nodes do."""
    meaning = failures.of(Exception(said), conf)
    assert type(meaning) is kind
    assert told in str(meaning)


def test_what_is_nobody_s_fault_but_ours_stays_a_defect() -> None:
    """An analysis error is no cluster's fault."""
    assert failures.of(Exception("[UNRESOLVED_COLUMN] x"), CLUSTER) is None


def test_the_line_that_tells_most_is_handed_on() -> None:
    """Kubernetes' own words, or the deepest cause; not py4j's."""
    said = (
        "An error occurred while calling None.JavaSparkContext.\n: SparkException: External scheduler cannot be instantiated\n"
        "Caused by: io.fabric8.KubernetesClientException: Failure executing: GET at: https://api/x. Message: {}\n\tat y"
    )
    forbidden = failures.of(Exception(said.format('pods "etl-1" is forbidden: User x')), KUBERNETES)
    assert str(forbidden).endswith('Kubernetes says: pods "etl-1" is forbidden: User x')
    away = failures.of(Exception(said.format("connection refused")), KUBERNETES)
    assert str(away).endswith("as Spark needs it: connection refused")
