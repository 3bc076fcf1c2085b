"""Heals models whose Triton lives while they do not: Triton calls a model ready for ever whose process has died.

Every version that stands ready is asked one of its own reference questions now and then. One that says twice in a row that it
fails is loaded anew; one that is late or away says nothing of itself. It knows no ledger.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tiphys.errors import PermanentError, RetryableError
from tiphys.serving.memory import Memory, Served
from tiphys.serving.shelf import Shelf

_LOOK_SECONDS = 5.0
_SECOND_LOOK_SECONDS = 1.0
"""Until a version that failed once is asked again."""
_FAILURES = 2
"""Answers in a row, each of them a failure, after which a version is broken."""
_SHORTEST_PAUSE_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 600.0
"""Between two loads of a model that does not get well by them; each pause is twice the one before."""

log = logging.getLogger(__name__)


@dataclass
class _Case:
    """A model that was loaded anew."""

    loads: int = 0
    not_before: float = 0.0

    def pause(self) -> float:
        """Begin the pause after one more load; its seconds."""
        seconds = min(_SHORTEST_PAUSE_SECONDS * 2.0**self.loads, _LONGEST_PAUSE_SECONDS)
        self.loads += 1
        self.not_before = time.monotonic() + seconds
        return seconds


class Healing:
    """Looks after the models of one Triton."""

    def __init__(self, shelf: Shelf, memory: Memory) -> None:
        """Look after what ``memory`` says that it serves."""
        self._shelf = shelf
        self._memory = memory
        self._failures: dict[tuple[str, str], int] = {}
        self._cases: dict[str, _Case] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="healing", daemon=True)
        self.heals = 0
        """Loads that were tried."""
        self.broken: dict[str, str] = {}
        """Model -> what Triton says of it, while it fails."""

    def start(self) -> None:
        """Look from now on, on a thread: an answer may take its time."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def works(self) -> bool:
        """Say whether anyone still looks."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(_SECOND_LOOK_SECONDS if 1 in self._failures.values() else _LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Ask everything that stands ready once, and heal what is broken."""
        served = dict(self._memory.served)
        for model, each in served.items():
            self._ask(model, each)
        for model in self.broken.keys() - served:
            self._well(model)

    def _ask(self, model: str, served: Served) -> None:
        said = {each: self._shelf.broken(served.release, each) for each in self._shelf.loaded(served.release)}
        for version, failure in said.items():
            if failure is not None:  # else nothing was learnt of it
                known = self._failures.pop((model, version), 0)
                if failure:
                    self._failures[model, version] = min(known + 1, _FAILURES)
        for gone in [key for key in self._failures if key[0] == model and key[1] not in said]:
            del self._failures[gone]
        failing = {each: why for each, why in said.items() if why and self._failures[model, each] == _FAILURES}
        if failing:
            self._heal(model, served, failing)
        if said and all(each == "" for each in said.values()):
            self._well(model)

    def _heal(self, model: str, served: Served, failing: Mapping[str, str]) -> None:
        versions, said = ", ".join(failing), next(iter(failing.values()))
        self.broken[model] = said
        case = self._cases.setdefault(model, _Case())
        if time.monotonic() < case.not_before:
            return
        seconds = case.pause()
        self.heals += 1
        log.warning("%s version %s is loaded anew, and not again for %.0f s: %s", model, versions, seconds, said)
        try:
            self._shelf.obtain(served.release)  # a copy that was damaged meanwhile is fetched anew
            with self._shelf.still():
                if self._memory.served.get(model) == served:  # else another was loaded meanwhile
                    self._shelf.renew(served.release, served.way[:1], failing)
                    self._shelf.copies.prune(model, [served.release, *served.way])
        except (PermanentError, RetryableError, OSError) as error:
            log.warning("%s cannot be loaded anew: %s", model, error)
            return
        self._failures = {key: each for key, each in self._failures.items() if key[0] != model}

    def _well(self, model: str) -> None:
        if self.broken.pop(model, None) is not None:
            log.info("%s answers again", model)
        case = self._cases.get(model)
        if case is not None and time.monotonic() >= case.not_before:
            del self._cases[model]
