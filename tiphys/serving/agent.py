"""The agent beside a Triton: makes it serve what the release ledger says, and keeps it serving whatever goes away.

One thread waits for news from the ledger; the main loop compares, once a second or at news, what should serve with
what does, and acts on the difference. A release that is refused leaves the old model serving. Run it with
``python -m tiphys.serving.agent``. It knows nothing of how models are made.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tiphys.errors import PermanentError, RetryableError, SettingsError
from tiphys.lake.s3 import S3
from tiphys.release.client import LedgerClient
from tiphys.release.records import ENVIRONMENTS, Observed, ObservedState, Recorded
from tiphys.serving.copies import Copies, Source, name_of
from tiphys.serving.health import serve_health
from tiphys.serving.triton import TritonAwayError, TritonControl
from tiphys.settings import (
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

_TICK_SECONDS = 1.0
_FOLLOW_SECONDS = 20.0
_LEDGER_PAUSE_SECONDS = 2.0
_PATIENCE = 5.0
_LOAD_ATTEMPTS = 3
"""Loads after which a release that Triton does not survive counts as refused."""

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
    """What the agent knows; the health page reads it."""

    ledger_up: bool = False
    triton_up: bool = False
    ticked: float = field(default_factory=time.monotonic)
    loads: int = 0
    refusals: int = 0
    observed: dict[str, Observed] = field(default_factory=dict)


class Agent:
    """Follows one environment for one Triton."""

    def __init__(
        self, environment: str, ledger: LedgerClient, triton: TritonControl, copies: Copies, source: Source
    ) -> None:
        """Start from what was serving when the agent ended the last time."""
        self._environment = environment
        self._ledger = ledger
        self._triton = triton
        self._copies = copies
        self._source = source
        self._serving = copies.serving()
        self._pending: dict[str, _Pending] = {}
        self._settled: dict[str, int] = {}
        self._unreported: dict[str, Observed] = {}
        self._desired: Mapping[str, Recorded] = {}
        self._news = threading.Event()
        self._stop = threading.Event()
        self.state = State()

    def run(self) -> None:
        """Work until :meth:`stop`."""
        threading.Thread(target=self._follow, name="ledger", daemon=True).start()
        while not self._stop.is_set():
            self._news.wait(_TICK_SECONDS)
            self._news.clear()
            self.tick(self._desired)

    def stop(self) -> None:
        """End the main loop soon."""
        self._stop.set()
        self._news.set()

    def tick(self, desired: Mapping[str, Recorded]) -> None:
        """Act once on the difference between what should serve and what does."""
        self.state.triton_up = self._triton.live()
        for release in desired.values():
            self._consider(release)
        for model in list(self._pending):
            self._work(model)
        self._restore()
        self._report()
        self.state.ticked = time.monotonic()

    def _follow(self) -> None:
        after: int | None = None
        while not self._stop.is_set():
            try:
                found = self._ledger.current(self._environment, after=after, wait=_FOLLOW_SECONDS)
            except (RetryableError, PermanentError) as error:
                if self.state.ledger_up or after is None:
                    log.warning("serving on without the ledger: %s", error)
                self.state.ledger_up = False
                self._stop.wait(_LEDGER_PAUSE_SECONDS)
                continue
            self.state.ledger_up = True
            if found.generation != after:
                after = found.generation
                self._desired = found.releases
                self._news.set()

    def _consider(self, release: Recorded) -> None:
        model = release.model
        pending = self._pending.get(model)
        known = self._settled.get(model) if pending is None else pending.release.generation
        if known == release.generation:
            return
        self._pending[model] = _Pending(release)
        self._say(release, "loading", "seen")

    def _work(self, model: str) -> None:
        pending = self._pending[model]
        release = pending.release
        if time.monotonic() < pending.not_before:
            return
        pending.attempts += 1
        try:
            version = self._serve(release)
        except PermanentError as error:
            self._refuse(release, str(error))
        except RetryableError as error:
            self._again(pending, error)
        else:
            self._serving[model] = (release.release(), version)
            self._copies.remember(self._serving)
            self._copies.prune(model)
            self._settle(release, "serving", f"version {version} answers")

    def _serve(self, release: Recorded) -> str:
        """Fetch, check, show to Triton and load; return the version. What was shown before is shown again on failure."""
        model = release.model
        manifest = self._copies.obtain(release, self._source)
        before = self._copies.shown(model)
        if before == name_of(release) and self._triton.ready(model, manifest.version):
            return manifest.version
        self._copies.show(model, name_of(release))
        try:
            self._load(model, manifest.version)
        except (PermanentError, RetryableError):
            self._copies.show(model, before)
            raise
        return manifest.version

    def _load(self, model: str, version: str) -> None:
        self.state.loads += 1
        started = time.monotonic()
        self._triton.load(model)
        if not self._triton.ready(model, version):
            message = f"Triton loaded {model!r} but version {version} does not answer"
            raise TritonAwayError(message)
        log.info("%s version %s loaded in %.1f s", model, version, time.monotonic() - started)

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
        model = release.model
        self._settled[model] = release.generation
        del self._pending[model]
        self._say(release, state, message)

    def _restore(self) -> None:
        """Load what served before into a Triton that does not have it (it was restarted, or the agent was)."""
        for model, (release, version) in self._serving.items():
            if self._triton.ready(model, version) or not self._triton.live():
                continue
            try:
                self._copies.check(release)
                self._copies.show(model, name_of(release))
                self._load(model, version)
            except (PermanentError, RetryableError, OSError) as error:
                log.warning("cannot bring %s version %s back yet: %s", model, version, error)

    def _say(self, release: Recorded, state: ObservedState, message: str) -> None:
        model = release.model
        serving, version = self._serving.get(model, (None, ""))
        observed = Observed(
            generation=release.generation,
            state=state,
            message=message[:4000],
            model=model,
            version=version,
            image=serving.image if serving else "",
        )
        if observed != self.state.observed.get(model):
            log.info("%s generation %d is %s: %s", model, release.generation, state, message)
            self.state.observed[model] = observed
            self._unreported[model] = observed
            self._report()

    def _report(self) -> None:
        for model, observed in list(self._unreported.items()):
            try:
                self._ledger.observe(self._environment, observed)
            except (RetryableError, PermanentError):
                return  # the follower says so; it is reported at a later tick
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
    agent = Agent(
        settings.environment,
        LedgerClient(load(LedgerSettings)),
        TritonControl(serving.staging_http if settings.environment == "staging" else serving.production_http),
        Copies(settings.state, settings.repository),
        Source(S3(load(S3Settings), patience=_PATIENCE), load(RegistrySettings)),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    serve_health(agent.state, settings.environment, load(ListenSettings).bind, settings.port)
    agent.run()


if __name__ == "__main__":
    main()
