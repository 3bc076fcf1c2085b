"""What becomes of a question when an arm fails it, and whose fault that is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.gateway.model_server import OUTPUTS, Triton, three
from tests.usecases.tiny.features import FEATURES
from tiphys.serving.gateway.agent_page import Served
from tiphys.serving.gateway.arms import Arm, Subject
from tiphys.serving.gateway.breaker import MOST_FAILURES
from tiphys.serving.gateway.fallback import Fallbacks
from tiphys.serving.gateway.figures import Figures
from tiphys.serving.gateway.lane import MOST_ROWS, SLOTS, Deadlines
from tiphys.serving.gateway.predictions import Ids
from tiphys.serving.gateway.routing import Found, Journey, Router, Unanswered
from tiphys.serving.gateway.upstream import Answer

pytestmark = pytest.mark.unit

BOTH = {"litres": "float32", "celsius": "int64"}
KETTLE = {"litres": 1.0, "celsius": 20}


class World:
    """A router between a canary that takes everybody and production, each with a model server of its own."""

    def __init__(self, folder: Any, inputs: dict[str, dict[str, str]]) -> None:
        """Serve one version in each; ``inputs`` by environment."""
        self.tritons = {environment: Triton() for environment in inputs}
        self.deadlines = Deadlines()
        self.arms = {environment: self._arm(environment, wanted) for environment, wanted in inputs.items()}
        there = SimpleNamespace(
            deadlines=self.deadlines,
            listen=lambda _changed: None,
            arm=lambda environment, _: self.arms.get(environment),
        )
        self.router = Router(
            "tiny", "production", arms=there, fallbacks=Fallbacks(folder), predictions=None, ids=Ids()  # type: ignore[arg-type]
        )  # fmt: skip
        self.outcomes: list[Found | Unanswered] = []
        self._told = asyncio.Semaphore(0)

    def _arm(self, environment: str, inputs: dict[str, str]) -> Arm:
        served = Served.model_validate(
            {"use_case": "tests.usecases.tiny", "version": "7", "inputs": inputs, "outputs": OUTPUTS,
             "share": 1.0 if environment == "canary" else 0.0}
        )  # fmt: skip
        subject, triton = Subject("tiny", FEATURES, "seconds"), self.tritons[environment]
        return Arm(environment, served, subject, triton, self.deadlines, Figures())  # type: ignore[arg-type]

    def ask(self, seconds: float, due: float, features: dict[str, Any] | None = None, *, bulk: bool = False) -> Journey:
        """Ask a question that has so many seconds, on a route that promises ``due``."""
        return self.router.ask(
            features or KETTLE, asker="", sticky=b"", deadline=self.router.now() + seconds, due=due,
            done=self._come, bulk=bulk,
        )  # fmt: skip

    def _come(self, _journey: Journey, outcome: Found | Unanswered) -> None:
        self.outcomes.append(outcome)
        self._told.release()

    async def until_answered(self, count: int) -> None:
        """Wait until so many more questions have an outcome."""
        async with asyncio.timeout(20):
            for _ in range(count):
                await self._told.acquire()

    def late(self, environment: str) -> int:
        """How often an arm was found late."""
        return self.arms[environment].figures.failures["late"]


def within(
    folder: Any, test: Callable[[World], Awaitable[None]], inputs: dict[str, dict[str, str]] | None = None
) -> None:
    """Run a test where there is an event loop."""

    async def run() -> None:
        await test(World(folder, inputs or {"production": BOTH, "canary": BOTH}))

    asyncio.run(run())


def test_an_asker_in_a_hurry_blames_no_arm(tmp_path: Any) -> None:
    """Neither breaker nor figures: anybody with a key could take a good model away from all others."""

    async def test(world: World) -> None:
        for _ in range(3 * MOST_FAILURES):
            world.ask(0.001, due=60.0)
        await world.until_answered(3 * MOST_FAILURES)
        assert {each.why for each in world.outcomes if isinstance(each, Unanswered)} == {"late"}
        for environment, arm in world.arms.items():
            assert (arm.breaker.state, world.late(environment)) == ("closed", 0)

    within(tmp_path, test)


def test_an_arm_that_had_its_full_time_is_late(tmp_path: Any) -> None:
    """A canary is left alone then, and production, asked with what time is left, is not blamed for the canary."""

    async def test(world: World) -> None:
        for _ in range(MOST_FAILURES):
            world.ask(0.05, due=0.05)
        await world.until_answered(MOST_FAILURES)
        assert (world.arms["canary"].breaker.state, world.late("canary")) == ("open", MOST_FAILURES)
        assert (world.arms["production"].breaker.state, world.late("production")) == ("closed", 0)
        for triton in world.tritons.values():
            while triton.asked:
                triton.say()
        for _ in range(MOST_FAILURES):
            world.ask(0.05, due=0.05)
        await world.until_answered(MOST_FAILURES)
        assert (world.arms["production"].breaker.state, world.late("production")) == ("open", MOST_FAILURES)

    within(tmp_path, test)


def test_rows_that_never_left_blame_no_arm(tmp_path: Any) -> None:
    """Rows of batches wait for those of single askers; the model has not seen them."""

    async def test(world: World) -> None:
        for _ in range(SLOTS):
            world.ask(60.0, due=60.0)
            await asyncio.sleep(0)
        for _ in range(MOST_ROWS):
            world.ask(0.02, due=0.02, bulk=True)
        await world.until_answered(MOST_ROWS)
        assert (world.arms["production"].breaker.state, world.late("production")) == ("closed", 0)

    within(tmp_path, test, {"production": BOTH})


def test_a_row_that_only_the_canary_cannot_take_is_production_s(tmp_path: Any) -> None:
    """The asker gets its answer, and the candidate the blame."""

    async def test(world: World) -> None:
        world.ask(60.0, due=60.0, features={"litres": 1.0})
        await asyncio.sleep(0)
        world.tritons["production"].asked.pop()[1](three(5.0))
        assert [each.arm for each in world.outcomes if isinstance(each, Found)] == ["production"]
        assert world.arms["canary"].figures.failures["error"] == 1

    within(tmp_path, test, {"production": {"litres": "float32"}, "canary": BOTH})


def test_a_row_that_nobody_can_take_blames_no_canary(tmp_path: Any) -> None:
    """It is the asker's mistake."""

    async def test(world: World) -> None:
        with pytest.raises(ValueError, match="litres"):
            world.ask(60.0, due=60.0, features={"litres": 1e39, "celsius": 1})
        assert not any(world.arms["canary"].figures.failures.values())

    within(tmp_path, test)


def test_a_row_that_production_cannot_take_ends_all_the_same(tmp_path: Any) -> None:
    """The canary fails, production wants an input more: the asker is told, and does not wait for ever."""

    async def test(world: World) -> None:
        journey = world.ask(60.0, due=60.0, features={"litres": 1.0})
        await asyncio.sleep(0)
        world.tritons["canary"].say(Answer(500, {}, b'{"error": "broken"}'))
        assert not journey.open
        assert [each.why for each in world.outcomes if isinstance(each, Unanswered)] == ["invalid"]

    within(tmp_path, test, {"production": BOTH, "canary": {"litres": "float32"}})
