"""The live features: what nobody who asks can know, put into each question from a file on S3 that is looked for again and again.

No question waits for it: the file is read beside the event loop, kept on disk for a restart with S3 away, and a value that
is too old for a question's own moment, or not known, is its fallback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tiphys import recent_values
from tiphys.errors import DataError, TiphysError
from tiphys.serving.gateway.messages import header

if TYPE_CHECKING:
    from tiphys.recent_values import Values
    from tiphys.usecase import LiveFeature, UseCase

PERIOD_SECONDS = 5.0
"""Between two looks for a newer file."""
HEADER = "x-tiphys-live"
State = Literal["fresh", "stale", "missing"]

Look = Callable[[str, str], tuple[str, bytes] | None]
"""(address, tag of what is had) -> tag and content of the object there now, None where it is the same or none."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Step:
    """What was made for one step."""

    moment: int
    values: tuple[float, ...]


class LiveInput:
    """One use case's live feature: what is known of it now."""

    def __init__(self, feature: LiveFeature, moment: str) -> None:
        """Know nothing yet; ``moment`` names the feature that is the question's moment."""
        self.feature = feature
        self.counts: dict[State, int] = {"fresh": 0, "stale": 0, "missing": 0}
        self.values: Values | None = None
        self._moment = moment
        self._definition = feature.definition()
        self._steps: dict[int, _Step] = {}
        """Step -> the last that was made by then."""
        self._first = 0
        self._told = header(HEADER, f"{feature.name}=").rstrip()
        self._unknown: dict[State, bytes] = {
            state: header(HEADER, f"{feature.name}={feature.fallback!r}; {state}") for state in self.counts
        }

    def take(self, values: Values) -> None:
        """Serve these from now on.

        Raises:
            DataError: they are another feature's, or mean something else.
        """
        feature = self.feature
        if (values.feature, values.definition) != (feature.name, self._definition):
            message = f"it has {values.feature} by definition {values.definition}, this code serves {feature.name} by {self._definition}"
            raise DataError(message)
        if any(len(each) != feature.groups for each in values.steps.values()):
            message = f"it has not {feature.groups} groups at every step"
            raise DataError(message)
        self._steps, self._first = self._by_step(values), min(values.steps)
        self.values = values

    def _by_step(self, values: Values) -> dict[int, _Step]:
        feature, found = self.feature, {}
        made = sorted(values.steps)
        lasts = int(feature.stale_s // feature.step_s) + 1
        for step, after in zip(made, [*made[1:], made[-1] + lasts], strict=True):
            row = _Step(step * feature.step_s, tuple(values.steps[step]))
            found.update(dict.fromkeys(range(step, min(after, step + lasts)), row))
        return found

    def fill(self, features: dict[str, int | float]) -> bytes:
        """Put the value for the question's own moment in; answers with the header that tells it."""
        state: State = "missing"
        try:
            moment = features[self._moment]
            step = int(moment // self.feature.step_s)
            row = self._steps.get(step)
            if row is not None and moment - row.moment <= self.feature.stale_s:
                group = int(self.feature.group(features))
                if 0 <= group < self.feature.groups:
                    value = features[self.feature.name] = row.values[group]
                    self.counts["fresh"] += 1
                    return b"%s%s; fresh\r\n" % (self._told, repr(value).encode())
            elif self._steps and step >= self._first:
                state = "stale"
        except Exception:  # a use case is anybody's code, and no reason to leave a question unanswered
            log.exception("%s has no group for a question", self.feature.name)
        features[self.feature.name] = self.feature.fallback
        self.counts[state] += 1
        return self._unknown[state]


class Recents:
    """The live features of all use cases that have one, kept up to what is on S3."""

    def __init__(self, look: Look, folder: Path, period: float = PERIOD_SECONDS) -> None:
        """Look for files every ``period`` seconds; the last good ones are kept in ``folder``."""
        self._look = look
        self._folder = folder
        self._period = period
        self._inputs: dict[str, LiveInput] = {}
        self._had: dict[str, str] = {}
        """Use case -> tag of the object that was looked at last, good or not."""
        self._away: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def inputs(self) -> Mapping[str, LiveInput]:
        """Use case -> its live feature."""
        return self._inputs

    def mount(self, use_case: UseCase) -> LiveInput | None:
        """Know a use case; None where it has no live feature. What a run before this one kept is served at once."""
        feature = use_case.recent
        if feature is None:
            return None
        found = self._inputs[use_case.name] = LiveInput(feature, use_case.live.moment)
        try:
            found.take(recent_values.parse(self._kept(use_case.name).read_bytes()))
        except FileNotFoundError:
            pass
        except (OSError, DataError) as error:
            log.warning("what was kept of %s is not used: %s", feature.name, error)
        return found

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            for name in list(self._inputs):
                await self._renew(name)
            await asyncio.sleep(self._period)

    async def _renew(self, name: str) -> None:
        address = recent_values.where(name)
        try:
            found = await asyncio.to_thread(self._look, address, self._had.get(name, ""))
        except TiphysError as error:
            if name not in self._away:
                log.warning("%s cannot be read, what is known goes on until it is too old: %s", address, error)
            self._away.add(name)
            return
        except Exception:
            log.exception("%s cannot be read", address)
            return
        self._away.discard(name)
        if found is None:
            return
        self._had[name], content = found
        try:
            self._inputs[name].take(await asyncio.to_thread(recent_values.parse, content))
        except DataError as error:
            log.warning("%s is refused, what is known goes on until it is too old: %s", address, error)
            return
        await asyncio.to_thread(self._keep, name, content)

    def _kept(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _keep(self, name: str, content: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._kept(name).with_suffix(".part")
            partial.write_bytes(content)
            partial.replace(self._kept(name))
        except OSError as error:
            log.warning("%s cannot be kept for the next start: %s", self._kept(name), error)
