"""Whom a canary's share takes: the same askers every time, as many as it says."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.usecases.tiny.features import FEATURES
from tiphys.release.records import ENVIRONMENTS
from tiphys.serving.gateway.agent_page import Served
from tiphys.serving.gateway.arms import Arm, Arms, Environment, Subject
from tiphys.serving.gateway.figures import Figures
from tiphys.serving.gateway.lane import Deadlines
from tiphys.serving.gateway.upstream import Answer, Upstream

pytestmark = pytest.mark.unit

ASKERS = [f"rider-{number}".encode() for number in range(2000)]
NOW = 1_800_000_000.0


def served(**more: Any) -> Served:
    """A candidate, as its agent's page has it."""
    outputs = ["seconds", "seconds_low", "seconds_high"]
    said = {"use_case": "tests.usecases.tiny", "version": "7", "manifest_sha256": "a" * 64, "outputs": outputs}
    return Served.model_validate({**said, **more})


def with_arm(test: Callable[[Callable[..., Arm]], None]) -> None:
    """Run a test that makes arms, where there is an event loop."""

    async def run() -> None:
        subject, upstream, deadlines = Subject("tiny", FEATURES, "seconds"), Upstream("127.0.0.1:1"), Deadlines()
        test(lambda **more: Arm("canary", served(**more), subject, upstream, deadlines, Figures()))

    asyncio.run(run())


def taken(arm: Arm) -> set[bytes]:
    """Who meets the canary."""
    return {each for each in ASKERS if arm.takes(each, NOW)}


@given(share=st.floats(0, 1), more=st.floats(0, 1), manifest=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_share_takes_its_part_and_a_larger_one_takes_nobody_out(share: float, more: float, manifest: str) -> None:
    """Within five standard deviations; and whoever is in under one share is in under every larger one."""

    def test(make: Callable[..., Arm]) -> None:
        low, high = sorted((share, more))
        few, many = (taken(make(share=each, manifest_sha256=manifest)) for each in (low, high))
        assert few <= many
        assert abs(len(many) / len(ASKERS) - high) <= 5 * (0.25 / len(ASKERS)) ** 0.5

    with_arm(test)


def test_a_renewal_takes_the_same_askers_and_another_repository_takes_others() -> None:
    """The generation counts releases, not candidates."""

    def test(make: Callable[..., Arm]) -> None:
        first = taken(make(share=0.5, generation=1))
        assert taken(make(share=0.5, generation=2)) == first
        other = taken(make(share=0.5, manifest_sha256="b" * 64))
        assert 0.4 < len(first & other) / len(first) < 0.6

    with_arm(test)


def test_after_its_end_it_takes_nobody() -> None:
    """Who judged it may have died; its traffic ends all the same."""

    def test(make: Callable[..., Arm]) -> None:
        assert taken(make(share=1.0, until=datetime.fromtimestamp(NOW + 1, UTC))) == set(ASKERS)
        assert taken(make(share=1.0, until=datetime.fromtimestamp(NOW, UTC))) == set()
        assert taken(make(share=0.0)) == set()

    with_arm(test)


def test_a_breaker_lives_on_over_renewals_and_not_over_a_pause() -> None:
    """Renewing a canary that fails asks it no more; one that was withdrawn and is released again begins anew."""

    def test(make: Callable[..., Arm]) -> None:
        arm = make(share=0.5)
        for _ in range(5):
            arm.breaker.failed(0.0)
        arm.renew(served(share=0.5, generation=2))
        assert arm.breaker.state == "open"
        arm.renew(served(share=0.0, generation=3))
        arm.renew(served(share=0.5, generation=4))
        assert arm.breaker.state == "closed"

    with_arm(test)


@pytest.mark.parametrize(
    "wrong",
    [{"inputs": {"litres": "int64", "celsius": "int64"}}, {"inputs": {"gallons": "float32"}}, {"outputs": ["minutes"]}],
)
def test_a_version_that_the_use_case_cannot_ask_is_no_arm(wrong: dict[str, Any]) -> None:
    """Other inputs or outputs are named, and the status quo answers instead."""

    def test(make: Callable[..., Arm]) -> None:
        with pytest.raises(ValueError, match="version 7 of tiny"):
            make(**wrong)

    with_arm(test)


def test_a_listener_that_fails_ends_nobody_s_following(tmp_path: Path) -> None:
    """A full disk under the status quo must not freeze which version answers: the others hear of it, and of the next page."""

    async def run() -> None:
        places = dict.fromkeys(ENVIRONMENTS, "127.0.0.1:1")
        arms, number, enough = Arms(places, places, tmp_path), itertools.count(1), asyncio.Event()
        heard: list[str] = []

        async def page(*_: Any, **__: Any) -> Answer:
            await asyncio.sleep(0)
            return Answer(200, {}, json.dumps({"number": next(number), "started": "now"}).encode())

        def fails(environment: Environment) -> None:
            if environment.page.number:
                message = "the file cannot be read"
                raise PermissionError(message)

        def hears(environment: Environment) -> None:
            heard.append(environment.name)
            if all(heard.count(each) >= 4 for each in ENVIRONMENTS):
                enough.set()

        for each in arms.environments.values():
            each.agent.ask = page  # type: ignore[method-assign]
        arms.listen(fails)
        arms.listen(hears)
        arms.start()
        async with asyncio.timeout(10):
            await enough.wait()
        await arms.stop()

    asyncio.run(run())
