"""Going back without the ledger: the agent's own rollback, which the ledger learns of when it answers again.

It goes to the copy that the agent has, remembers against which generation, and ends when the ledger says anything newer: until
then the agent does not follow it. In the canary it takes the traffic away; the model stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from tiphys.errors import PermanentError, RetryableError
from tiphys.release.client import LedgerClient
from tiphys.release.records import Environment, Recorded, Release
from tiphys.release.rollback import Asked, again
from tiphys.serving.memory import Memory, Override, Served
from tiphys.serving.shelf import Shelf

log = logging.getLogger(__name__)

RUN = "at the agent"
"""What such a release names as its run."""


class Emergency:
    """The rollbacks of one agent."""

    def __init__(
        self,
        environment: str,
        shelf: Shelf,
        memory: Memory,
        lock: threading.RLock,  # type: ignore[valid-type,unused-ignore]
        went_back: Callable[[str, Served], None],
    ) -> None:
        """Tell ``went_back``, with the lock held, what serves from then on."""
        self._environment = environment
        self._shelf = shelf
        self._memory = memory
        self._lock = lock
        self._went_back = went_back
        self._refused: dict[str, int] = {}
        self.seen: Environment | None = None
        """What the ledger said last."""

    def roll_back(self, model: str, asked: Asked, leaving: int | None = None) -> dict[str, Any]:
        """Go back, and say from what to what; with ``leaving``, only from that generation: who asks twice goes back once.

        Raises:
            PermanentError: there is no such model, nothing to go back to, or no whole copy of that.
            RetryableError: Triton is away or busy.
            OSError: the agent cannot remember it, and so does not do it.
        """
        with (
            nullcontext() if self._environment == "canary" else self._shelf.still()
        ):  # a canary's traffic waits for no load
            served = self._served(model, leaving)
            back = self._target(served, asked)
            if self._environment != "canary" and not self._shelf.is_ready(back.release):
                self._shelf.put(back.release, [served.release])
            self._switch(model, served, back)
        log.warning("%s went back to %s, asked by %s", model, back.release.model_version, asked.by)
        return {
            "model": model,
            "environment": self._environment,
            "left": _told(served),
            "serves": _told(back),
            "over_generation": back.override.over if back.override else 0,
        }

    def _served(self, model: str, leaving: int | None) -> Served:
        served = self._memory.served.get(model)
        if served is None:
            message = f"no model {model!r} serves in {self._environment}"
            raise PermanentError(message)
        if leaving not in {None, served.release.generation}:
            message = f"{model} has left generation {leaving}: {served.release.model_version} serves"
            raise PermanentError(message)
        return served

    def _switch(self, model: str, served: Served, back: Served) -> None:
        with self._lock:
            if self._memory.served.get(model) != served:
                message = f"{model} changed meanwhile: look at what serves now, then ask again"
                raise RetryableError(message)
            self._went_back(model, back)

    def _target(self, served: Served, asked: Asked) -> Served:
        override = Override(over=self._over(served), reason=asked.reason, asked_by=asked.by)
        if self._environment == "canary":
            quiet = served.release.model_copy(update={"share": 0.0, "shadow": 0.0, "until": None, "kind": "withdrawal"})
            return served.model_copy(update={"release": quiet, "override": override})
        if not served.way:
            message = f"{served.release.model_version} is all that served in {self._environment} so far: nothing to go back to"
            raise PermanentError(message)
        target = served.way[0]
        return Served(release=target, version=target.number, way=served.way[1:], override=override)

    def _over(self, served: Served) -> int:
        newest = self.seen.releases.get(served.release.use_case) if self.seen else None
        if newest is not None:
            return newest.generation
        return served.override.over if served.override else served.release.generation

    def confirm(self, ledger: LedgerClient, seen: Environment) -> None:
        """Write into the ledger what was done without it, while the ledger still is where it was."""
        for model, served in self._memory.served.items():
            newest = seen.releases.get(served.release.use_case)
            if served.override is None or newest is None or newest.generation != served.override.over:
                continue
            if self._refused.get(model) == newest.generation:
                continue
            asked = Asked(served.override.asked_by, RUN, served.override.reason)
            try:
                recorded = ledger.release_over(seen, self._release(served, newest, asked))
            except RetryableError:
                return
            except PermanentError as error:
                self._refused[model] = newest.generation
                log.warning("the ledger does not take that %s was rolled back at the agent: %s", model, error)
            else:
                log.info("the ledger has the rollback of %s as generation %d", model, recorded.generation)

    def _release(self, served: Served, newest: Recorded, asked: Asked) -> Release:
        if self._environment == "canary":
            return again(newest, "withdrawal", asked)
        return again(served.release, "rollback", asked)


def overruled(served: Served | None, release: Recorded) -> bool:
    """Whether the agent went back against exactly that release of the ledger."""
    return served is not None and served.override is not None and served.override.over == release.generation


def _told(served: Served) -> dict[str, Any]:
    return {
        "version": served.version,
        "model_version": served.release.model_version,
        "image": served.release.image,
        "generation": served.release.generation,
    }
