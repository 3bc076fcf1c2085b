"""The agent beside a Triton: makes it serve what the release ledger says, and keeps it serving whatever goes away.

One thread waits for news from the ledger; the main loop compares, once a second or at news, what should serve with
what does, and acts on the difference. A release that is refused leaves the old model serving. What serves stands on its page,
which gateways follow. Run it with ``python -m tiphys.serving.agent``. It knows nothing of how models are made.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiphys.errors import PermanentError, RetryableError, SettingsError
from tiphys.lake.s3 import S3
from tiphys.release.client import LedgerClient
from tiphys.release.records import ENVIRONMENTS, Environment, Observed, ObservedState, Recorded
from tiphys.release.rollback import way
from tiphys.serving.agent_http import serve
from tiphys.serving.copies import Copies, Source
from tiphys.serving.emergency import Emergency, overruled
from tiphys.serving.healing import Healing
from tiphys.serving.memory import Memory, Served
from tiphys.serving.page import Page, entry
from tiphys.serving.shelf import Shelf
from tiphys.serving.triton import TritonAwayError, TritonControl
from tiphys.settings import (
    AdminSettings,
    AgentSettings,
    LedgerSettings,
    ListenSettings,
    RegistrySettings,
    S3Settings,
    ServingSettings,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TICK_SECONDS = 1.0
_FOLLOW_SECONDS = 20.0
_LEDGER_PAUSE_SECONDS = 2.0
_PATIENCE = 5.0
_LOAD_ATTEMPTS = 3
"""Loads after which a release that Triton does not survive counts as refused."""
_LONGEST_RESTORE_SECONDS = 60.0
"""Between two tries to bring back what Triton refuses; each pause is twice the one before."""
_SETTLED_SECONDS = 10.0
"""After a change gateways have so long to follow before a version that they may still ask is put away."""

log = logging.getLogger(__name__)


@dataclass
class _Pending:
    """A release that is not settled yet."""

    release: Recorded
    attempts: int = 0
    deaths: int = 0
    not_before: float = 0.0


@dataclass
class State:
    """What the agent knows of its surroundings; the health page reads it."""

    ledger_up: bool = False
    triton_up: bool = False
    ticked: float = field(default_factory=time.monotonic)
    loads: int = 0
    refusals: int = 0
    rollbacks: int = 0
    heals: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    observed: dict[str, Observed] = field(default_factory=dict)


class Agent:
    """Follows one environment for one Triton."""

    def __init__(self, environment: str, ledger: LedgerClient, shelf: Shelf, memory: Memory) -> None:
        """Start from what was serving when the agent ended the last time."""
        self._environment = environment
        self._ledger = ledger
        self._shelf = shelf
        self._memory = memory
        self._pending: dict[str, _Pending] = {}
        self._settled: dict[str, int] = {}
        self._changed: dict[str, float] = {}
        self._prepared: dict[str, int] = {}
        self._unrestored: dict[str, tuple[int, float]] = {}
        """Model -> loads in vain that were to bring it back, and when the next may be."""
        self._unreported: dict[str, Observed] = {}
        self._seen: Environment | None = None
        self._ways: Mapping[str, list[Recorded]] = {}
        self._news = threading.Event()
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._follower = threading.Thread(target=self._follow, name="ledger", daemon=True)
        self.state = State()
        self.page = Page(environment)
        self.emergency = Emergency(environment, shelf, memory, self._lock, self._went_back)
        self.healing = Healing(shelf, memory)

    def run(self) -> None:
        """Work until :meth:`stop`."""
        self._publish()
        self._follower.start()
        self.healing.start()
        while not self._stop.is_set():
            self._news.wait(_TICK_SECONDS)
            self._news.clear()
            self.tick()

    def follows(self) -> bool:
        """Say whether anyone still listens to the ledger."""
        return self._follower.is_alive()

    def stop(self) -> None:
        """End the main loop soon."""
        self._stop.set()
        self.healing.stop()
        self._news.set()

    def tick(self) -> None:
        """Act once on the difference between what should serve and what does."""
        self.state.triton_up = self._shelf.live()
        seen = self._seen
        for release in seen.releases.values() if seen else ():
            self._consider(release)
        for model in list(self._pending):
            self._work(model)
        for model, served in self._memory.served.items():
            self._restore(served)
            self._prepare(model, served)
        if seen is not None and self.state.ledger_up:
            self.emergency.confirm(self._ledger, seen)
        self._publish()
        self._report()
        self.state.loads = self._shelf.loads
        self.state.heals, self.state.broken = self.healing.heals, dict(self.healing.broken)
        self.state.ticked = time.monotonic()

    def _follow(self) -> None:
        after: int | None = None
        while not self._stop.is_set():
            try:
                found = self._ledger.current(self._environment, after=after, wait=_FOLLOW_SECONDS)
                if found.generation != after:
                    self._ways = {name: list(way(self._ledger, self._environment, name)) for name in found.releases}
            except (RetryableError, PermanentError, ValueError, OSError) as error:
                if self.state.ledger_up or after is None:
                    log.warning("serving on without the ledger: %s", error)
                self.state.ledger_up = False
                self._stop.wait(_LEDGER_PAUSE_SECONDS)
                continue
            self.state.ledger_up = True
            if found.generation != after:
                after = found.generation
                self._seen = self.emergency.seen = found
                self._news.set()

    def _consider(self, release: Recorded) -> None:
        model = release.model
        with self._lock:
            pending = self._pending.get(model)
            known = self._settled.get(model) if pending is None else pending.release.generation
            if known == release.generation or overruled(self._memory.served.get(model), release):
                return
            self._pending[model] = _Pending(release)
        self._say(release, "loading", "seen")

    def _work(self, model: str) -> None:
        pending = self._pending.get(model)
        if pending is None or time.monotonic() < pending.not_before:
            return
        pending.attempts += 1
        try:
            self._serve(pending.release)
        except PermanentError as error:
            self._refuse(pending.release, str(error))
        except RetryableError as error:
            self._again(pending, error)
        except OSError as error:  # a full disk, say: what serves serves on
            self._again(pending, RetryableError(str(error)))

    def _serve(self, release: Recorded) -> None:
        """Fetch, check, load, and from then on say that it serves. What served before serves on in case of failure."""
        model = release.model
        manifest = self._shelf.obtain(release)
        with self._shelf.still():
            before = self._memory.served.get(model)
            if self._pending.get(model, _Pending(release)).release != release or overruled(before, release):
                return
            self._shelf.put(release, [before.release] if before else [])
            with self._lock:
                if overruled(self._memory.served.get(model), release):  # the canary's traffic was taken away meanwhile
                    return
                served = (
                    before.after(release, manifest.version)
                    if before
                    else Served(release=release, version=manifest.version)
                )
                self._keep(model, served.knowing(list(self._ways.get(release.use_case, ()))))
        self._settle(release, "serving", f"version {manifest.version} answers")
        self._shelf.copies.prune(model, [release, *served.way])

    def served(self, model: str) -> Served | None:
        """Return what serves for a model."""
        return self._memory.served.get(model)

    def file(self, served: Served, path: str) -> Path:
        """Where a file of what serves lies."""
        return self._shelf.copies.file(served.release, path)

    def _keep(self, model: str, served: Served) -> None:
        self._memory.keep(model, served)
        self._changed[model] = time.monotonic()
        self._publish()

    def _again(self, pending: _Pending, error: RetryableError) -> None:
        pending.deaths += isinstance(error, TritonAwayError) and self.state.triton_up  # it lived before this load
        if pending.deaths >= _LOAD_ATTEMPTS:
            self._refuse(pending.release, f"given up after {pending.deaths} loads that Triton did not survive: {error}")
            return
        pending.not_before = time.monotonic() + min(2.0 ** min(pending.attempts, 4) / 2, 8.0)
        self._say(pending.release, "loading", str(error))

    def _refuse(self, release: Recorded, message: str) -> None:
        self.state.refusals += 1
        self._settle(release, "failed", message)

    def _settle(self, release: Recorded, state: ObservedState, message: str) -> None:
        self._settled[release.model] = release.generation
        self._pending.pop(release.model, None)
        self._say(release, state, message)

    def _went_back(self, model: str, served: Served) -> None:
        """Take in that an emergency rollback switched versions, on whatever thread it did; the lock is held."""
        self._keep(model, served)
        self._pending.pop(model, None)
        self.state.rollbacks += 1
        if served.override is not None:
            overruled_one = served.release.model_copy(update={"generation": served.override.over})
            self._say(overruled_one, "failed", f"rolled back by {served.override.asked_by}: {served.override.reason}")
        self._news.set()

    def _restore(self, served: Served) -> None:
        """Load what served before into a Triton that does not have it (it was restarted, or the agent was)."""
        release = served.release
        if self._shelf.is_ready(release) or not self._shelf.live():
            return
        times, not_before = self._unrestored.get(release.model, (0, 0.0))
        if time.monotonic() < not_before:
            return
        try:
            self._shelf.obtain(release)
            self._shelf.put(release, served.way[:1])
        except (PermanentError, RetryableError, OSError) as error:
            pause = (
                min(_TICK_SECONDS * 2.0**times, _LONGEST_RESTORE_SECONDS) if isinstance(error, PermanentError) else 0.0
            )
            self._unrestored[release.model] = (times + 1, time.monotonic() + pause)
            log.warning("cannot bring %s version %s back yet: %s", release.model, served.version, error)
        else:
            self._unrestored.pop(release.model, None)

    def _prepare(self, model: str, served: Served) -> None:
        """Stand what a rollback would go to beside what serves, once the last change has settled; tried once a change."""
        generation = served.release.generation
        settled = time.monotonic() - self._changed.setdefault(model, time.monotonic()) > _SETTLED_SECONDS
        if not settled or self._prepared.get(model) == generation or model in self._pending or not self.state.triton_up:
            return
        self._prepared[model] = generation
        known = served.knowing(list(self._ways.get(served.release.use_case, ())))
        try:
            if known != served:
                self._memory.keep(model, known)
            if not known.way or not self._shelf.keeps_previous:
                return
            self._shelf.obtain(known.way[0])
            self._shelf.put(served.release, known.way[:1])
        except (PermanentError, RetryableError, OSError) as error:
            log.warning("%s: what a rollback would go to does not stand ready: %s", model, error)

    def _publish(self) -> None:
        with self._lock:
            found = {model: self._described(served) for model, served in sorted(self._memory.served.items())}
            self.page.publish({model: each for model, each in found.items() if each})

    def _described(self, served: Served) -> dict[str, Any]:
        copies, release = self._shelf.copies, served.release
        try:
            return entry(served, self._shelf.loaded(release), copies.manifest(release), copies.config(release))
        except (PermanentError, OSError) as error:
            log.warning("%s is not on the page: %s", release.model_version, error)
            return {}

    def _say(self, release: Recorded, state: ObservedState, message: str) -> None:
        model = release.model
        served = self._memory.served.get(model)
        observed = Observed(
            generation=release.generation,
            state=state,
            message=message[:4000],
            model=model,
            version=served.version if served else "",
            image=served.release.image if served else "",
        )
        if observed != self.state.observed.get(model):
            log.info("%s generation %d is %s: %s", model, release.generation, state, message)
            self.state.observed[model] = observed
            self._unreported[model] = observed
            if threading.current_thread() is threading.main_thread():
                self._report()

    def _report(self) -> None:
        for model, observed in list(self._unreported.items()):
            try:
                self._ledger.observe(self._environment, observed)
            except (RetryableError, PermanentError):
                return  # the follower says so; it is reported at a later tick
            if self._unreported.get(model) == observed:
                del self._unreported[model]


def main() -> None:
    """Serve until stopped."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # what is away is said once, by us
    settings = load(AgentSettings)
    if settings.environment not in ENVIRONMENTS:
        message = f"TIPHYS_AGENT_ENVIRONMENT is {settings.environment!r}; there are {', '.join(ENVIRONMENTS)}"
        raise SettingsError(message)
    serving = load(ServingSettings)
    http, grpc = (getattr(serving, f"{settings.environment}_{kind}") for kind in ("http", "grpc"))
    shelf = Shelf(
        Copies(settings.state, settings.repository),
        TritonControl(http, grpc),
        Source(S3(load(S3Settings), patience=_PATIENCE), load(RegistrySettings)),
        keeps_previous=settings.environment == "production",
    )
    agent = Agent(
        settings.environment, LedgerClient(load(LedgerSettings)), shelf, Memory(settings.state / "serving.json")
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    serve(agent, settings.environment, load(AdminSettings).token, (load(ListenSettings).bind, settings.port))
    agent.run()


if __name__ == "__main__":
    main()
