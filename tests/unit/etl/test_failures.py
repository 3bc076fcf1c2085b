"""What Spark's failures mean to a person."""

from __future__ import annotations

import pytest

from components.etl import failures
from tiphys.errors import PermanentError, RetryableError

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
        ("ExecutorLostFailure (executor 4 exited", CLUSTER, RetryableError, "were lost again and again"),
        ("Cannot call methods on a stopped SparkContext.", CLUSTER, RetryableError, "spark://m:7077 does not answer"),
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
