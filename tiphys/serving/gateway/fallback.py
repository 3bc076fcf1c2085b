"""The status quo: what past outcomes say without any model, for the moments in which no model answers.

``fallback.npz`` is a file of the model's repository, so it comes from the same history as the model. The agent hands it
out; it is checked against the digest on the agent's page, and kept on disk for a restart with everything else down.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.errors import DataError, SettingsError
from tiphys.serving.gateway.tensors import Reading
from tiphys.serving.gateway.upstream import Upstream, UpstreamError

if TYPE_CHECKING:
    from tiphys.serving.gateway.arms import Environment
    from tiphys.usecase import Array, UseCase

FILE = "fallback.npz"
_CAP = 64 << 20
"""Most bytes of such a file."""
_FETCH_SECONDS = 10.0
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0
_OK = 200
_LOOK_SECONDS = 5.0
_EDGES, _LOW, _HIGH, _FLOOR = "_edges", "_low", "_high", "_floor"

log = logging.getLogger(__name__)


class StatusQuo:
    """One use case's answer without a model."""

    def __init__(
        self, content: bytes, answer: Callable[[Mapping[str, Array], Mapping[str, int | float]], float]
    ) -> None:
        """Read the arrays of ``content``, an uncompressed or compressed npz.

        Raises:
            DataError: it is no such file, or holds something else than arrays of numbers.
        """
        self._answer = answer
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as found:
                arrays: dict[str, Any] = {name: found[name] for name in found.files}
        except Exception as error:  # a damaged archive raises many kinds
            message = f"{FILE} holds no arrays that can be read: {error}"
            raise DataError(message) from error
        self._edges, self._low, self._high = (
            arrays.pop(name, np.zeros(0)).ravel().tolist() for name in (_EDGES, _LOW, _HIGH)
        )
        self._floor = max(arrays.pop(_FLOOR, np.zeros(0)).ravel().tolist(), default=-math.inf)
        if len(self._low) != len(self._high) or (self._low and len(self._low) != len(self._edges) + 1):
            message = f"{FILE}: {_LOW} and {_HIGH} must have one value more than {_EDGES}"
            raise DataError(message)
        self._arrays = arrays

    def answer(self, row: Mapping[str, int | float]) -> Reading | None:
        """What usually happens to such a row, with the interval that held four times in five; None if nothing is known."""
        try:
            value = float(self._answer(self._arrays, row))
        except Exception:
            log.exception("the status quo cannot answer")
            return None
        if not math.isfinite(value):
            return None
        if not self._low:
            return value, None, None
        at = bisect_left(self._edges, value)
        return value, max(value + self._low[at], self._floor), value + self._high[at]


class Fallbacks:
    """The status quo of every use case that has one, kept up to what production serves."""

    def __init__(self, folder: Path) -> None:
        """Keep files in ``folder``."""
        self._folder = folder
        self._use_cases: dict[str, UseCase] = {}
        self._ready: dict[str, tuple[str, StatusQuo]] = {}
        """Model -> digest of its file, and what was made of it."""
        self._wanted: dict[str, str] = {}
        """Model -> digest of the file that is to be in force."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._followed: set[str] = set()
        """Models of which production has brought one."""

    def mount(self, use_case: UseCase) -> None:
        """Know a use case; one without ``fallback.py`` has no status quo."""
        with contextlib.suppress(SettingsError):
            use_case.part("fallback")
            self._use_cases[use_case.name] = use_case

    def of(self, model: str) -> StatusQuo | None:
        """The status quo of a model, if there is one."""
        found = self._ready.get(model)
        return None if found is None else found[1]

    def changed(self, environment: Environment) -> None:
        """Follow what production serves; a version that brings none leaves the last one in force.

        Until production has brought one, that of a candidate in canary or staging answers: it is of past outcomes, not of
        the candidate.
        """
        for model, served in environment.page.models.items():
            digest = served.fallback_sha256
            if not digest or model not in self._use_cases:
                continue
            if environment.name != "production" and model in (self._followed | self._ready.keys()):
                continue
            if environment.name == "production":
                self._followed.add(model)
            if self._wanted.get(model) != digest:
                self._want(environment.agent, model, digest)

    def _want(self, agent: Upstream, model: str, digest: str) -> None:
        self._wanted[model] = digest
        task = self._tasks.pop(model, None)
        if task is not None:
            task.cancel()
        if self._ready.get(model, ("",))[0] == digest:
            return
        self._tasks[model] = asyncio.get_running_loop().create_task(self._look(agent, model, digest))

    async def start(self) -> None:
        """Return when what is on disk is in force: a gateway that starts with all else down must answer at once."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_LOOK_SECONDS)

    async def stop(self) -> None:
        """Fetch nothing more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, agent: Upstream, model: str, digest: str) -> None:
        path = self._folder / f"{model}-{digest}.npz"
        try:
            found = await self._take(model, digest, await asyncio.to_thread(path.read_bytes))
        except FileNotFoundError:
            found = False
        except OSError as error:
            log.warning("the status quo of %s cannot be read: %s", model, error)
            found = False
        if not found:
            self._tasks[model] = asyncio.get_running_loop().create_task(self._fetch(agent, model, digest, path))

    async def _fetch(self, agent: Upstream, model: str, digest: str, path: Path) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                answer = await agent.ask("GET", f"/v1/files/{model}/{FILE}", seconds=_FETCH_SECONDS, cap=_CAP)
            except UpstreamError as error:
                log.warning("the status quo of %s cannot be fetched yet: %s", model, error)
            else:
                if answer.status == _OK and await self._take(model, digest, answer.body):
                    await asyncio.to_thread(self._keep, model, path, answer.body)
                    return
                log.warning(
                    "the agent has no status quo of %s with digest %s (status %d)", model, digest, answer.status
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    async def _take(self, model: str, digest: str, content: bytes) -> bool:
        """Put it in force, if it is what was named; a file may be so large that reading it would hold up riders."""
        try:
            found = await asyncio.to_thread(self._read, model, digest, content)
        except DataError as error:
            log.warning("%s: %s", model, error)
            return True
        if found is not None:
            self._ready[model] = digest, found
        return found is not None

    def _read(self, model: str, digest: str, content: bytes) -> StatusQuo | None:
        if hashlib.sha256(content).hexdigest() != digest:
            log.warning("%s of %s is not the one with digest %s: not used", FILE, model, digest)
            return None
        return StatusQuo(content, self._use_cases[model].part("fallback").answer)

    def _keep(self, model: str, path: Path, content: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            partial.write_bytes(content)
            partial.replace(path)
            for other in self._folder.glob(f"{model}-*.npz"):
                if other != path:
                    other.unlink()
        except OSError as error:
            log.warning("the status quo of %s cannot be kept for the next start: %s", model, error)
