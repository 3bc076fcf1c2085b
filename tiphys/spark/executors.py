"""Watches that somebody works: Spark waits for ever for executors that never come."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

_POLL_S = 1.0


class Watch:
    """While it is entered: a session without executors for too long has its jobs cancelled, with the reason in ``gave_up``."""

    def __init__(self, spark: SparkSession, wait: float) -> None:
        """Watch that session; ``wait`` is in seconds."""
        self._context: Any = spark.sparkContext
        self._wait = wait
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="executors", daemon=True)
        self._seen: set[str] = set()
        self.gave_up = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._done.wait(_POLL_S):
            try:
                there = self._executors()
            except Exception as error:  # noqa: BLE001 - whatever it is, the job itself meets it too and tells
                log.debug("executors are not told: %s", error)
                return
            if there:
                last = time.monotonic()
            elif time.monotonic() - last > self._wait:
                self._give_up()  # again each time: one job's end may be the next one's beginning

    def _executors(self) -> set[str]:
        """Addresses of the executors that are there."""
        told = self._context._jsc.sc().statusTracker().getExecutorInfos()  # noqa: SLF001 - PySpark's own tracker lacks it
        driver = self._context._jsc.sc().env().blockManager().blockManagerId()  # noqa: SLF001
        own = (driver.host(), driver.port())
        there = {f"{each.host()}:{each.port()}" for each in told if (each.host(), each.port()) != own}
        for each in sorted(there - self._seen):
            log.info("executor at %s", each)
        self._seen |= there
        return there

    def _give_up(self) -> None:
        lost = f"all {len(self._seen)} that there were are lost" if self._seen else "none ever came"
        self.gave_up = (
            f"Spark at {self._context.master} had no executor for {self._wait:.0f} s ({lost}): are its workers up, have they "
            "spark.executor.cores and spark.executor.memory free, can they reach "
            f"{self._context.getConf().get('spark.driver.host')}, may the step make pods? "
            "spark.tiphys.executors.wait is how long the step waits"
        )
        self._context.cancelAllJobs()
