"""What each key has asked of its daily quota, on disk, so that a restart wins nobody a second day."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tiphys.serving.gateway.keys import Keys

_SECONDS = 2.0
"""A process that is killed forgets the questions of so many seconds at most."""

log = logging.getLogger(__name__)


class Quotas:
    """Keeps the counts of ``keys`` in a file."""

    def __init__(self, keys: Keys, path: Path) -> None:
        """Go on from what the file says."""
        self._keys = keys
        self._path = path
        self._kept: dict[str, tuple[int, int]] = {}
        self._task: asyncio.Task[None] | None = None
        if path.exists():
            try:
                keys.go_on(TypeAdapter(dict[str, tuple[int, int]]).validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                log.warning("what was asked today cannot be read, counting begins anew: %s", error)

    def start(self) -> None:
        """Begin to keep."""
        self._task = asyncio.get_running_loop().create_task(self._keep_for_ever())

    async def stop(self) -> None:
        """Keep for the last time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._keep()

    async def _keep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            await self._keep()

    async def _keep(self) -> None:
        used = self._keys.used()
        if used == self._kept:
            return
        try:
            await asyncio.to_thread(self._write, json.dumps(used))
            self._kept = used
        except OSError as error:
            log.warning("what was asked today cannot be kept: %s", error)

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._path.with_suffix(".part")
        partial.write_text(text)
        partial.replace(self._path)
