"""What a training tells MLflow while it goes on; when MLflow is away, training goes on and the figures are kept for later."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

import psutil

from tiphys.errors import RetryableError
from tiphys.tracking import PATIENCE, Tracking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

log = logging.getLogger(__name__)

_SAMPLE_S = 2.0
_SHORT_PATIENCE_S = 3.0
_MEGA = 1e6


class Record:
    """Figures of one MLflow run, sent when the server is there; a context that samples the machine beside."""

    def __init__(self, run: str) -> None:
        """Record into that run."""
        self._run = run
        self._quick = Tracking(patience=_SHORT_PATIENCE_S)
        self._patient = Tracking(patience=PATIENCE)
        self._kept: list[tuple[str, float, int, int]] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="system-metrics", daemon=True)

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._sampler.join()
        self._send(self._patient)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record figures of an epoch, and send what was kept."""
        self._keep(values, step)
        self._send(self._quick)

    def _keep(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        with self._lock:
            self._kept += [(name, float(value), now, step) for name, value in values.items()]

    def _send(self, tracking: Tracking) -> None:
        with self._lock:
            sending, self._kept = self._kept, []
        try:
            tracking.log_points(self._run, sending)
        except RetryableError as error:
            log.warning("%s; training goes on, %d figures are kept for later", error, len(sending))
            with self._lock:
                self._kept = sending + self._kept

    def _sample(self) -> None:
        """Sample under the names that MLflow's own monitor uses, so that its page of system metrics shows them."""
        step = 0
        psutil.cpu_percent()
        process = psutil.Process()
        while not self._done.wait(_SAMPLE_S):
            memory = psutil.virtual_memory()
            self._keep(
                {
                    "system/cpu_utilization_percentage": psutil.cpu_percent(),
                    "system/system_memory_usage_megabytes": (memory.total - memory.available) / _MEGA,
                    "system/system_memory_usage_percentage": memory.percent,
                    "system/process_memory_megabytes": process.memory_info().rss / _MEGA,
                },
                step,
            )
            step += 1
