"""Which models there are now: follows the agents beside the Tritons, and remembers what they said last.

The agents know what serves, so with the ledger, the registry and S3 away nothing changes here; and with the agents away
the last page on disk goes on. It decides nothing: ``routing`` does.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.gateway import agent_page
from tiphys.serving.gateway.agent_page import Page, Served
from tiphys.serving.gateway.breaker import REST, Breaker
from tiphys.serving.gateway.figures import Figures
from tiphys.serving.gateway.lane import Deadlines, Lane
from tiphys.serving.gateway.messages import header
from tiphys.serving.gateway.tensors import Failed, Tensors
from tiphys.serving.gateway.upstream import Upstream, UpstreamError
from tiphys.usecase import Feature

_WAIT_SECONDS = 15
"""How long the agent may hold a question for news."""
_PAUSE_SECONDS = 0.5
"""Before an agent that does not answer is asked again."""
_QUIET_SECONDS = 10.0
_PAGE_CAP = 1 << 20
_MOST_PAST = 20
"""Versions of which the figures are kept after they stopped answering."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What the gateway knows of a use case for asking its model."""

    model: str
    features: tuple[Feature, ...]
    target: str


class Arm:
    """One version of one model that can be asked."""

    def __init__(  # noqa: PLR0913, PLR0917 - these are what an arm is
        self,
        environment: str,
        served: Served,
        subject: Subject,
        upstream: Upstream,
        deadlines: Deadlines,
        figures: Figures,
    ) -> None:
        """Make ready to ask.

        Raises:
            ValueError: the version wants inputs, or has outputs, that the use case does not know.
        """
        self.environment = environment
        self.model = subject.model
        self.served = served
        self.version = served.version
        self.figures = figures
        self.breaker = Breaker(None if environment == "canary" else REST)
        tensors = Tensors(
            upstream.address, subject.model, served.version, _inputs(served, subject), _outputs(served, subject)
        )
        self.lane = Lane(tensors, upstream, deadlines)
        self.headers = header("x-tiphys-arm", environment) + header("x-tiphys-version", served.version)
        self._quiet_until = 0.0
        self.gone_until: float | None = None
        """Until when a version that Triton does not know (any more) may be in the middle of a switch."""
        salt = f"{served.use_case}\n{served.manifest_sha256 or served.generation}\n"
        self._salt = hashlib.blake2b(salt.encode(), digest_size=8)
        self.until: float | None = None
        """When its traffic runs out, in seconds since 1970."""
        self.renew(served)

    def renew(self, served: Served) -> None:
        """Go on under another release of the same: other shares, a later end. Only one without traffic begins anew."""
        had = self.served
        if self.environment == "canary" and (not (had.share or had.shadow) or not self.live(time.time())):
            self.breaker = Breaker(rest=None)
        self.served = served
        self.until = None if served.until is None else served.until.timestamp()

    def is_same(self, served: Served) -> bool:
        """Whether another page means this very version of this very repository."""
        had = self.served
        return (had.version, had.manifest_sha256, had.inputs, had.outputs) == (
            served.version, served.manifest_sha256, served.inputs, served.outputs,
        ) and (bool(had.manifest_sha256) or had.generation == served.generation)  # fmt: skip

    def takes(self, asker: bytes, wall: float) -> bool:
        """Whether a share of the askers goes here now, and this one is among them: the same ones all the time.

        Each asker has a fixed place between 0 and 1, drawn anew for each repository; those below the share are in, so
        a larger share takes more in and nobody out.
        """
        share = self.served.share
        if share <= 0.0 or not self.live(wall):
            return False
        salted = self._salt.copy()
        salted.update(asker)
        return int.from_bytes(salted.digest(), "big") < share * 2.0**64

    def failed(self, failed: Failed, now: float) -> None:
        """Count a failure; the first in ten seconds is told to the log."""
        self.figures.failed(failed.code)
        was = self.breaker.state
        self.breaker.failed(now)
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            log.warning("%s in %s: %s (%s)", self.model, self.environment, failed.message, failed.code)
        if was == "closed" != self.breaker.state:
            log.warning("%s version %s in %s is left alone: it fails", self.model, self.version, self.environment)

    def live(self, wall: float) -> bool:
        """Whether its traffic has not run out."""
        return self.until is None or wall < self.until


def _inputs(served: Served, subject: Subject) -> list[tuple[str, str]]:
    known = {each.name: each.dtype for each in subject.features}
    wanted = dict(served.inputs) or dict(known)
    if any(known.get(name) != dtype for name, dtype in wanted.items()):
        message = f"version {served.version} of {subject.model} wants inputs {wanted}, the use case has {known}"
        raise ValueError(message)
    return list(wanted.items())


def _outputs(served: Served, subject: Subject) -> list[str]:
    target = subject.target
    interval = [f"{target}_low", f"{target}_high"]
    if served.outputs and target not in served.outputs:
        message = f"version {served.version} of {subject.model} has no output {target}, but {', '.join(served.outputs)}"
        raise ValueError(message)
    return [target, *interval] if set(interval) <= set(served.outputs) else [target]


@dataclass
class Environment:
    """One environment: its Triton, and the arms in it."""

    name: str
    upstream: Upstream
    agent: Upstream
    page: Page = field(default_factory=Page)
    arms: dict[str, Arm] = field(default_factory=dict)
    """Model -> the arm that answers now."""
    reached: bool | None = None
    """Whether the agent answered when it was asked last; None before that."""


Changed = Callable[[Environment], None]


class Arms:
    """The arms of all environments."""

    def __init__(self, tritons: Mapping[str, str], agents: Mapping[str, str], state: Path) -> None:
        """Know where the servers are: environment -> HOST:PORT; pages are kept in the folder ``state``."""
        self.deadlines = Deadlines()
        self.environments = {
            name: Environment(name, Upstream(tritons[name], most=64), Upstream(agents[name], most=2))
            for name in ENVIRONMENTS
        }
        self._state = state
        self._subjects: dict[str, Subject] = {}
        self._past: dict[tuple[str, str, str, str], Arm] = {}
        self._listeners: list[Changed] = []
        self._tasks: list[asyncio.Task[None]] = []
        for each in self.environments.values():
            each.page = agent_page.kept(state / f"{each.name}.json")

    def listen(self, changed: Changed) -> None:
        """Call ``changed`` after each change of an environment's arms, and once now for each."""
        self._listeners.append(changed)
        for each in self.environments.values():
            changed(each)

    def mount(self, subject: Subject) -> None:
        """Know a use case: from now on its model can be asked."""
        self._subjects[subject.model] = subject
        for each in self.environments.values():
            self._arrange(each)

    def arm(self, environment: str, model: str) -> Arm | None:
        """The arm that answers for a model now, if there is one."""
        return self.environments[environment].arms.get(model)

    def figures(self) -> Iterator[tuple[str, str, str, int, Figures]]:
        """(environment, model, version, generation, figures) of all versions that have been asked."""
        for arm in self._past.values():
            yield arm.environment, arm.model, arm.version, arm.served.generation, arm.figures

    def start(self) -> None:
        """Begin to follow."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(each)) for each in self.environments.values()]

    async def stop(self) -> None:
        """Follow no more, and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self.environments.values():
            await each.agent.close()
            await each.upstream.close()

    async def _follow(self, environment: Environment) -> None:
        asked = False
        while True:
            wait = _WAIT_SECONDS if asked else 0
            path = f"/v1/serving?after={environment.page.number if asked else 0}&wait={wait}"
            try:
                answer = await environment.agent.ask("GET", path, seconds=wait + 5.0, cap=_PAGE_CAP)
                page = agent_page.read(answer)
            except (UpstreamError, ValueError) as error:
                if environment.reached or environment.reached is None:
                    log.warning("the agent of %s tells nothing: %s; what it said last goes on", environment.name, error)
                environment.reached, asked = False, False
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            asked = environment.reached = True
            if page != environment.page:
                try:
                    self._turn(environment, page, answer.body)
                except Exception:  # the next page may be a better one
                    log.exception("what the agent of %s says cannot be followed", environment.name)

    def _turn(self, environment: Environment, page: Page, content: bytes) -> None:
        environment.page = page
        self._arrange(environment)
        agent_page.keep(self._state / f"{environment.name}.json", content)

    def _arrange(self, environment: Environment) -> None:
        arms: dict[str, Arm] = {}
        for model, served in environment.page.models.items():
            subject, had = self._subjects.get(model), environment.arms.get(model)
            if had is not None and had.is_same(served):
                had.renew(served)
                arms[model] = had
            elif subject is not None:
                try:
                    arms[model] = self._made(environment, served, subject)
                except ValueError as error:
                    log.warning("%s cannot be asked in %s: %s", model, environment.name, error)
        environment.arms = arms
        for listener in self._listeners:
            try:
                listener(environment)
            except Exception:  # one that fails must not keep the others from the news, nor end the following
                log.exception("what changed in %s cannot be told to all", environment.name)

    def _made(self, environment: Environment, served: Served, subject: Subject) -> Arm:
        key = (environment.name, subject.model, served.version, served.manifest_sha256)
        figures = self._past[key].figures if key in self._past else Figures()
        arm = Arm(environment.name, served, subject, environment.upstream, self.deadlines, figures)
        self._past.pop(key, None)
        self._past[key] = arm
        while len(self._past) > _MOST_PAST * len(self.environments):
            del self._past[next(iter(self._past))]
        log.info(
            "%s asks version %s of %s (generation %d)",
            environment.name,
            served.version,
            subject.model,
            served.generation,
        )
        return arm
