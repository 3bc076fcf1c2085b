"""What a failure of Ray means: whether the same training can go on later, and what to do. Loads Ray only to look at its errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiphys.errors import RetryableError, TiphysError


def meaning_of(error: Exception) -> TiphysError | None:
    """Say what an error that Ray raised means to a person; None where it means a defect."""
    for each in _all(error):
        if isinstance(each, TiphysError):
            return each
    from ray.exceptions import RayActorError  # noqa: PLC0415 - seconds, and loaded already where one is raised

    if isinstance(getattr(error, "controller_failure", None), _startup_errors()):
        return RetryableError(f"no node of the Ray cluster had room for the training in time: {_room()}")
    if any(isinstance(each, RayActorError) for each in _all(error)):
        return RetryableError(
            "Ray lost the worker that trained, and the one that took its place (killed, out of memory, or its node is gone): "
            "finished epochs are kept and the next attempt goes on from them; Ray says: "
            + str(error).strip().splitlines()[-1][:300]
        )
    if isinstance(error, ConnectionError):
        return RetryableError(f"the Ray job does not reach its own cluster: {error}")
    return None


def _all(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it carries."""
    failures: dict[int, BaseException] = getattr(error, "worker_failures", {})
    for each in (error, *failures.values()):
        yield each
        for name in ("cause", "_base_exc", "health_check_failure", "__cause__"):
            inner = getattr(each, name, None)
            if isinstance(inner, BaseException):
                yield inner


def _startup_errors() -> tuple[type[Exception], ...]:
    from ray.train.v2._internal import exceptions  # noqa: PLC0415

    return (exceptions.WorkerGroupStartupTimeoutError, exceptions.WorkerGroupStartupFailedError)


def _room() -> str:
    """What the cluster has, and what is free of it, in CPUs."""
    import ray  # noqa: PLC0415

    told: Any = ray.cluster_resources()
    free: Any = ray.available_resources()
    nodes = sum(1 for each in ray.nodes() if each["Alive"])
    return (
        f"it wants 1 CPU; {nodes} nodes have {told.get('CPU', 0):g} CPUs and {free.get('CPU', 0):g} of them are free: "
        "add a worker to the cluster, or end the jobs that hold them"
    )
