"""What the agent knows across its own death: what serves, what served before, and whether it went back by itself.

One JSON file, replaced whole. It knows no Triton and no ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tiphys.release.records import Recorded, Release
from tiphys.release.way_back import same, way_back

WAY_KEPT = 3
"""Releases before the one that serves that are remembered."""
_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)


class Override(BaseModel):
    """The agent went back by itself, against what the ledger said last."""

    model_config = ConfigDict(frozen=True)

    over: int
    """Generation of the ledger that it goes against; it ends when the ledger has any other."""
    reason: str
    asked_by: str


class Served(BaseModel):
    """What serves for one model."""

    model_config = ConfigDict(frozen=True)

    release: Recorded
    version: str
    way: tuple[Recorded, ...] = ()
    """What served before, the nearest first: where a rollback goes."""
    override: Override | None = None

    def after(self, release: Recorded, version: str) -> Served:
        """Return what serves once that release took the place of this one."""
        if same(release, self.release):
            return Served(release=release, version=version, way=self.way)
        way = way_back([*(each for each in self.way), self.release, release])
        return Served(release=release, version=version, way=_before(way, release))

    def knowing(self, way: list[Recorded]) -> Served:
        """Return the same with the way back as the ledger has it, if that leads past what serves."""
        before = _before(way, self.release)
        known = any(same(each, self.release) for each in way)
        return self.model_copy(update={"way": before}) if known and self.override is None else self


class Memory:
    """The file, and what it says."""

    def __init__(self, path: Path) -> None:
        """Read what was remembered the last time; nothing, where that can't be read."""
        self._path = path
        self.served: dict[str, Served] = _read(path)

    def keep(self, model: str, served: Served) -> None:
        """Remember what serves for a model, durably; OSError where that fails, and then nothing has changed."""
        kept = {**self.served, model: served}
        new = self._path.with_suffix(".new")
        content = {name: each.model_dump(mode="json") for name, each in kept.items()}
        with new.open("w", encoding="utf-8") as opened:
            json.dump(content, opened, indent=2)
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(self._path)
        self.served = kept
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _before(way: Any, release: Release) -> tuple[Recorded, ...]:
    """Cut a way back down to what comes after a release."""
    places = [number for number, each in enumerate(way) if same(each, release)]
    return tuple(way[places[0] + 1 :][:WAY_KEPT]) if places else ()


def _read(path: Path) -> dict[str, Served]:
    try:
        found = json.loads(path.read_bytes())
        return {model: Served(**_upgraded(each)) for model, each in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, ValidationError):
        return {}


def _upgraded(found: Mapping[str, Any]) -> dict[str, Any]:
    """Agents of before there were rollbacks remembered no generation: the ledger's next word replaces it."""
    unknown = {"environment": "", "generation": 0, "made_at": _BEFORE}
    return {**found, "release": {**unknown, **found["release"]}}
