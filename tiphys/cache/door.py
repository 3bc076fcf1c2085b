"""What the engine is given: it looks at a step's annotation, and loads the rest only when a step may be cached."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cache.mode import EFFECTS, annotated, mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiphys.cache.steps import Steps
    from tiphys.engine.cache import Answer, Asked

Json = dict[str, Any]
CACHEABLE = ("pure", "measured")


class Door:
    """The cache of one run's steps, not yet loaded."""

    def __init__(self, state: Path, project: Path, home: Path, annotations: Mapping[str, str]) -> None:
        """`state` is the engine's folder, `home` that of the embedded servers; `annotations` are the run's own."""
        self._state = state
        self._project = project
        self._home = home
        self._annotations = annotations

    def takes(self, template: Json) -> bool:
        """Whether its contract lets it be cached."""
        return annotated(template).get(EFFECTS) in CACHEABLE

    def look_up(self, asked: Asked) -> Answer:
        """See `Steps`."""
        return self._steps.look_up(asked)

    def keep(self, asked: Asked, answer: Answer, outputs: Json) -> str:
        """See `Steps`."""
        return self._steps.keep(asked, answer, outputs)

    @cached_property
    def _steps(self) -> Steps:
        from tiphys.cache.steps import Steps  # noqa: PLC0415 - most runs need none of it
        from tiphys.cache.store import Store  # noqa: PLC0415
        from tiphys.cache.surroundings import Place  # noqa: PLC0415

        return Steps(Store(self._state), Place(self._project, self._home), mode_of(self._annotations))
