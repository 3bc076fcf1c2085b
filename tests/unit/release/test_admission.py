"""What the ledger lets in, whoever writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.unit.release.paper import Paper, model
from tiphys.errors import DataError
from tiphys.release.admission import LONGEST_STAY, Admission
from tiphys.release.records import Environment, Outcome, Recorded, Release
from tiphys.release.store import Store
from tiphys.release.tokens import Role
from tiphys.release.way_back import same

pytestmark = pytest.mark.unit


class Shelf:
    """The store's answers, from a ledger on paper."""

    def __init__(self, paper: Paper) -> None:
        """Answer from it."""
        self._paper = paper

    async def current(self, environment: str) -> Environment:
        """As the ledger."""
        return self._paper.current(environment)

    async def history(self, environment: str, limit: int, use_case: str = "") -> list[Recorded]:
        """As the ledger."""
        return self._paper.history(environment, limit, use_case=use_case)

    async def outcomes(self, environment: str, limit: int) -> list[Outcome]:
        """As the ledger."""
        return self._paper.outcomes(environment, limit)

    async def had(self, environment: str, release: Release) -> bool:
        """Whether it is in the history."""
        return any(same(each, release) for each in self._paper.history(environment, 1000))


def check(paper: Paper, environment: str, release: Release, role: Role = "production") -> None:
    """Let it pass, or raise."""
    asyncio.run(Admission(cast("Store", Shelf(paper)), ()).check(environment, release, role))


def in_time(**other: Any) -> Mapping[str, Any]:
    """Traffic that ends."""
    return {"until": datetime.now(UTC) + timedelta(minutes=1), **other}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"share": 0.1}, "has to end"),
        ({"shadow": 0.1}, "has to end"),
        ({"share": 0.1, "until": datetime.now(UTC) + 3 * LONGEST_STAY}, "within"),
        (in_time(share=0.51), "at most 0.5"),
        (in_time(share=1.0), "at most 0.5"),
    ],
)
def test_a_canary_gets_no_more_than_half_of_the_riders_and_not_for_long(fields: Any, said: str) -> None:
    """Nobody saw a passport of it: it cannot become production by the back door."""
    with pytest.raises(DataError, match=said):
        check(Paper(), "canary", model(1, **fields), "staging")


@pytest.mark.parametrize("fields", [{}, in_time(share=0.5, shadow=1.0), in_time()])
def test_a_canary_with_an_end_is_let_in(fields: Any) -> None:
    """Up to half of the riders; shadows change no answer."""
    check(Paper(), "canary", model(1, **fields), "staging")


def test_an_agent_goes_back_to_what_served_before_and_to_nothing_else() -> None:
    """Production was 1, 2, then back to 1, then 3: version 2 was gone back from, and stays so."""
    paper = Paper()
    for release in (model(1), model(2), model(1, kind="rollback"), model(3)):
        paper.put("production", release)
    check(paper, "production", model(1, kind="rollback"), "agent")
    with pytest.raises(DataError, match=r"an agent may go back to models:/tiny/1 .*not to models:/tiny/2"):
        check(paper, "production", model(2, kind="rollback"), "agent")
    with pytest.raises(DataError, match="production never had"):
        check(paper, "production", model(4, kind="rollback"), "agent")


def test_a_rollback_at_the_agent_is_taken_when_its_outcome_came_first() -> None:
    """The agent reports that it left version 2, and only then writes where it went."""
    paper = Paper()
    paper.put("production", model(1))
    paper.say(paper.put("production", model(2)), "failed", "rolled back by a person")
    check(paper, "production", model(1, kind="rollback"), "agent")


def test_a_withdrawal_is_of_what_the_canary_serves() -> None:
    """Anything else would be a release without being one."""
    paper = Paper()
    paper.put("canary", model(1))
    paper.put("canary", model(2, **in_time(share=0.1)))
    check(paper, "canary", model(2, kind="withdrawal", reason="refused"), "agent")
    for other in (model(1), model(2, image="s3://models/images/evil@sha256:" + "e" * 64)):
        with pytest.raises(DataError, match="a withdrawal names what the canary serves, models:/tiny/2"):
            check(paper, "canary", other.model_copy(update={"kind": "withdrawal"}), "agent")
    with pytest.raises(DataError, match="serves nothing"):
        check(Paper(), "canary", model(2, kind="withdrawal"), "agent")


def test_two_use_cases_of_one_name_do_not_share_an_environment() -> None:
    """Triton and the agents know a model by the last part of its use case's name."""
    paper = Paper()
    paper.put("staging", model(1))
    with pytest.raises(DataError, match=r"already serves a model 'tiny', of tests.usecases.tiny"):
        check(paper, "staging", model(1, use_case="others.tiny"), "staging")
