"""The first moments of a step's launcher: what is sent to it, or to what started it, is never lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine.executor import can_make_private_roots
from tiphys.engine.spawner import Launched, Spawner

pytestmark = pytest.mark.e2e
TIMES = 20
LIMIT = 60.0


def spec(folder: Path, *, private: bool, many: bool) -> dict[str, Any]:
    """A step that declares nothing and never ends by itself; with `many` by way of the part for several containers."""
    for name in ("root", "overlays"):
        (folder / name).mkdir(exist_ok=True)
    places: dict[str, Any] = {name: str(folder / name) for name in ("root", "overlays", "alive")}
    places |= {"home": "", "tmp": "", "keep": [str(folder)], "private": private, "limit": 1, "grace": 30.0}
    empty: dict[str, Any] = {name: [] for name in ("volumes", "declared", "files", "folders", "collect")}
    program = {"argv": ["sleep", "987654"], "env": dict(os.environ), "cwd": "/"}
    main = {**program, "name": "main", "role": "main", "volumes": []}
    return {**places, **empty, **program, **({"containers": [main]} if many else {})}


@pytest.fixture(params=[True, False], ids=["private", "shared"])
def private(request: pytest.FixtureRequest) -> bool:
    """With and without namespaces."""
    if request.param and not can_make_private_roots():
        pytest.skip("this kernel lets nobody make private roots here")
    return bool(request.param)


@pytest.mark.parametrize("many", [False, True])
def test_a_sigterm_that_follows_at_once_reaches_the_program(tmp_path: Path, *, private: bool, many: bool) -> None:
    """However early it comes, the program ends by it: nobody waits for a SIGKILL after the grace period."""

    async def ends(spawner: Spawner) -> int:
        step = started(spawner, spec(tmp_path, private=private, many=many))
        step.signal(signal.SIGTERM)
        return int((await asyncio.wait_for(step.report(), LIMIT))["exit"])

    async def many() -> list[int]:
        spawner = Spawner()
        try:
            return [await ends(spawner) for _ in range(TIMES)]
        finally:
            spawner.close()

    assert asyncio.run(many()) == [128 + signal.SIGTERM] * TIMES


@pytest.mark.parametrize("many", [False, True])
def test_nothing_is_left_of_a_step_whose_engine_dies_at_once(tmp_path: Path, *, private: bool, many: bool) -> None:
    """The server is killed while the launcher is on its way; the lock that each step holds is free soon after."""
    lock = tmp_path / "alive"

    def kill(server: subprocess.Popen[bytes]) -> None:
        while not lock.exists() and server.poll() is None:
            pass
        server.kill()
        server.wait()
        subprocess.run(["flock", "--timeout", str(LIMIT), str(lock), "true"], check=True)
        lock.unlink()

    async def dies() -> None:
        spawner = Spawner()
        step = started(spawner, spec(tmp_path, private=private, many=many))
        server = spawner._server
        assert server is not None
        await asyncio.to_thread(kill, server)
        await step.report()

    for _ in range(TIMES):
        asyncio.run(dies())


def started(spawner: Spawner, step: dict[str, Any]) -> Launched:
    """Start a step whose output nobody reads."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        return spawner.start(step, nowhere, nowhere)
    finally:
        os.close(nowhere)
