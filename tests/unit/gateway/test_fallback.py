"""Which status quo is in force: the one that production names, checked, and again after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tiphys.serving.gateway import fallback
from tiphys.serving.gateway.fallback import Fallbacks
from tiphys.serving.gateway.upstream import Answer, UpstreamError
from tiphys.usecase import UseCase

pytestmark = pytest.mark.unit
PAUSE = 0.05


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that has nothing is asked again before long."""
    monkeypatch.setattr(fallback, "_FIRST_PAUSE", PAUSE)


def file(pace: float) -> bytes:
    """A status quo: so many seconds by litre."""
    content = io.BytesIO()
    np.savez(content, pace=np.array([pace], np.float32))
    return content.getvalue()


class Agent:
    """Gives a file, or none as long as it has none."""

    def __init__(self) -> None:
        """Have none."""
        self.content: bytes | None = None
        self.asked = asyncio.Event()

    async def ask(self, *_: Any, **__: Any) -> Answer:
        """Be asked for it."""
        self.asked.set()
        if self.content is None:
            raise UpstreamError("away", "nobody is there")
        return Answer(200, {}, self.content)


def production(agent: Agent, content: bytes) -> Any:
    """An environment whose page names this file."""
    served = SimpleNamespace(fallback_sha256=hashlib.sha256(content).hexdigest())
    return SimpleNamespace(name="production", agent=agent, page=SimpleNamespace(models={"tiny": served}))


def within(folder: Path, test: Callable[[Fallbacks, Agent], Awaitable[None]]) -> None:
    """Run a test where there is an event loop."""

    async def run() -> None:
        fallbacks = Fallbacks(folder)
        fallbacks.mount(UseCase("tests.usecases.tiny"))
        async with asyncio.timeout(20):
            await test(fallbacks, Agent())
            await fallbacks.stop()

    asyncio.run(run())


def pace(fallbacks: Fallbacks) -> float | None:
    """What it says of a litre."""
    found = fallbacks.of("tiny")
    reading = None if found is None else found.answer({"litres": 1.0})
    return None if reading is None else reading[0]


async def in_force(fallbacks: Fallbacks, wanted: float) -> None:
    """Wait until this one answers."""
    while pace(fallbacks) != wanted:  # noqa: ASYNC110 - what is in force announces itself to nobody
        await asyncio.sleep(0.005)


def test_who_goes_back_to_what_is_in_force_fetches_nothing_more(tmp_path: Path) -> None:
    """A release and its rollback: the file of the one that is gone is asked for no longer."""

    async def test(fallbacks: Fallbacks, agent: Agent) -> None:
        agent.content = file(10.0)
        fallbacks.changed(production(agent, file(10.0)))
        await in_force(fallbacks, 10.0)
        agent.content = None
        agent.asked.clear()
        fallbacks.changed(production(agent, file(20.0)))
        await agent.asked.wait()
        fallbacks.changed(production(agent, file(10.0)))
        await asyncio.sleep(0)
        agent.asked.clear()
        agent.content = file(20.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.asked.wait(), 4 * PAUSE)
        assert pace(fallbacks) == 10.0

    within(tmp_path, test)


def test_after_a_restart_with_all_else_down_it_is_there_at_once(tmp_path: Path) -> None:
    """Once the gateway has started, what is on disk answers, and nobody is asked for it."""
    (tmp_path / f"tiny-{hashlib.sha256(file(10.0)).hexdigest()}.npz").write_bytes(file(10.0))

    async def again(fallbacks: Fallbacks, agent: Agent) -> None:
        fallbacks.changed(production(agent, file(10.0)))
        await fallbacks.start()
        assert pace(fallbacks) == 10.0
        assert not agent.asked.is_set()

    within(tmp_path, again)


def test_a_file_that_cannot_be_read_or_is_another_is_fetched(tmp_path: Path) -> None:
    """A damaged disk is no reason to go without; start waits for no agent."""

    async def test(fallbacks: Fallbacks, agent: Agent) -> None:
        name = f"tiny-{hashlib.sha256(file(10.0)).hexdigest()}.npz"
        (tmp_path / name).mkdir()
        fallbacks.changed(production(agent, file(10.0)))
        await fallbacks.start()
        assert pace(fallbacks) is None
        (tmp_path / name).rmdir()
        agent.content = file(10.0)
        await in_force(fallbacks, 10.0)

    within(tmp_path, test)


def test_another_file_than_the_page_names_is_not_used(tmp_path: Path) -> None:
    """Its digest says so."""

    async def test(fallbacks: Fallbacks, agent: Agent) -> None:
        agent.content = file(20.0)
        fallbacks.changed(production(agent, file(10.0)))
        await agent.asked.wait()
        agent.asked.clear()
        await agent.asked.wait()  # it asks again, so the first was looked at
        assert pace(fallbacks) is None
        agent.content = file(10.0)
        await in_force(fallbacks, 10.0)

    within(tmp_path, test)
