"""What the engine knows of a cache of steps: it asks before a step's process is made, and tells when one has Succeeded.

What makes two steps the same, and what proves that a kept result still holds, is the cache's business. A cache that
fails is no reason for a step to fail: the step runs then.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from tiphys.engine.actions import StartPod
from tiphys.engine.nodes import SUCCEEDED
from tiphys.engine.pod import Ending

if TYPE_CHECKING:
    from tiphys.engine.artifacts import ArtifactStore
    from tiphys.engine.images import ImageTable
    from tiphys.engine.objects import ObjectStore

Json = dict[str, Any]
NAME = "tiphys"
"""What a node's memoization status calls this cache."""


@dataclass(frozen=True)
class Asked:
    """One step as it would start now: the run's name, what would start, and what its environment is taken from."""

    run: str
    start: StartPod
    images: ImageTable
    objects: ObjectStore
    store: ArtifactStore


@dataclass(frozen=True)
class Answer:
    """What a cache says of a step.

    `outputs` are those of an earlier one that may be used again; None: the step has to run. `told` is for the node, in either
    case. `environment` is what a step that runs must get instead of its own values. `ticket` comes back with `keep`.
    """

    outputs: Json | None = None
    told: str = ""
    key: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ticket: Any = None


class StepCache(Protocol):
    """Asked from threads of their own, several at once."""

    def takes(self, template: Json) -> bool:
        """Whether a step of that template is the cache's business at all; quick."""

    def look_up(self, asked: Asked) -> Answer:
        """Whether an earlier result may be used; may take its time."""

    def keep(self, asked: Asked, answer: Answer, outputs: Json) -> str:
        """The step that the answer was about has run and Succeeded; what to tell of it."""


async def through(
    cache: StepCache,
    asked: Asked,
    really: Callable[[StartPod], Awaitable[Ending]],
    is_stopping: Callable[[], bool],
    open_log: Callable[[], int],
) -> Ending:
    """The end of a step: an earlier one's, or its own if it has to run by `really`."""
    answer = await _look_up(cache, asked)
    if answer.outputs is not None and not is_stopping():
        _write(open_log(), f"--- {answer.told}: nothing was run ---\n")
        status = {"hit": True, "key": answer.key, "cacheName": NAME}
        return Ending(SUCCEEDED, answer.told, answer.outputs, status)
    if answer.told:
        _write(open_log(), f"--- {answer.told} ---\n")
    ended = await really(_with(asked.start, answer.environment))
    if ended.phase != SUCCEEDED:
        return ended
    try:
        told = await asyncio.to_thread(cache.keep, asked, answer, ended.outputs)
    except Exception as problem:  # noqa: BLE001  # what can't be kept runs again
        told = f"not kept: {type(problem).__name__}: {problem}"
    return replace(ended, message=told)


async def _look_up(cache: StepCache, asked: Asked) -> Answer:
    try:
        return await asyncio.to_thread(cache.look_up, asked)
    except Exception as problem:  # noqa: BLE001  # a cache that fails makes a step slow, not wrong
        return Answer(told=f"not cached: {type(problem).__name__}: {problem}")


def _with(start: StartPod, environment: Mapping[str, str]) -> StartPod:
    """The step with other values in its container's environment."""
    if not environment:
        return start
    kind = "container" if start.template.get("container") is not None else "script"
    body = start.template[kind]
    kept = [entry for entry in body.get("env") or [] if entry["name"] not in environment]
    changed = [*kept, *({"name": name, "value": value.replace("$", "$$")} for name, value in environment.items())]
    return replace(start, template={**start.template, kind: {**body, "env": changed}})


def _write(log: int, text: str) -> None:
    try:
        os.write(log, text.encode())
    finally:
        os.close(log)
