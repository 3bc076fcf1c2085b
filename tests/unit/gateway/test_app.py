"""The gateway put together: use cases that agents name are mounted once, and a broken one takes no other along."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.gateway import app
from tiphys.serving.gateway.app import Gateway, Places
from tiphys.serving.gateway.arms import Subject
from tiphys.serving.gateway.keys import Keys
from tiphys.serving.gateway.spool import Spool

pytestmark = pytest.mark.unit

PAGE = {"number": 3, "models": {"tiny": {"use_case": "tests.usecases.tiny", "version": "7", "outputs": ["seconds"]}}}


def with_gateway(folder: Path, environment: str, test: Callable[[Gateway], None]) -> None:
    """Run a test of a gateway that remembers this page of an environment's agent; it listens nowhere."""
    (folder / "arms").mkdir()
    (folder / "arms" / f"{environment}.json").write_text(json.dumps(PAGE))

    async def run() -> None:
        places = Places(dict.fromkeys(ENVIRONMENTS, "127.0.0.1:1"), dict.fromkeys(ENVIRONMENTS, "127.0.0.1:1"), folder)
        gateway = Gateway(places, Keys({}), "", Spool(folder / "spool", lambda _name, _content: None))
        test(gateway)
        await gateway.fallbacks.stop()

    asyncio.run(run())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_use_case_that_an_agent_names_is_mounted_once(tmp_path: Path, environment: str) -> None:
    """Mounting makes its arms, which is news, which must not mount it again."""

    def test(gateway: Gateway) -> None:
        assert sorted(each.environment for each in gateway.described()) == sorted([*2 * ENVIRONMENTS, "production"])
        assert gateway.arms.arm(environment, "tiny") is not None
        assert gateway._how_answered() == {"tiny": "model" if environment == "production" else ""}
        assert gateway._knows() == (environment == "production")

    with_gateway(tmp_path, environment, test)


def test_a_use_case_that_cannot_be_mounted_is_not_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness would list one that has no routes."""

    def broken(*_: object) -> Subject:
        message = "no such column"
        raise LookupError(message)

    monkeypatch.setattr(app, "deadline_of", broken)
    with_gateway(tmp_path, "production", lambda gateway: _is_empty(gateway._how_answered()))


def _is_empty(found: dict[str, str]) -> None:
    assert not found
