"""The first question after a promotion: what was promoted has to answer, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tiphys.errors import GateError
from tiphys.release.records import Recorded
from tiphys.serving.first_question import ask_gateway
from tiphys.serving.gateway_client import Reply

pytestmark = pytest.mark.unit

RECORDED = Recorded(
    use_case="tests.usecases.tiny", model_version="models:/tiny/7", repository="s3://models/tiny/7/",
    manifest_sha256="a" * 64, environment="production", generation=3, made_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


def answer(arm: str, version: str, status: int = 200) -> Reply:
    """What a gateway says."""
    return Reply(status, {"seconds": 1.0}, headers={"x-tiphys-arm": arm, "x-tiphys-version": version})


class Told:
    """A gateway that gives these answers, the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        """Give them."""
        self.replies = list(replies)
        self.riders: list[str] = []

    def ask_as(self, rider: str) -> Reply:
        """Answer."""
        self.riders.append(rider)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def test_it_waits_until_production_answers_with_what_was_promoted() -> None:
    """Not mounted, the status quo, the version before, the canary with the same version: none of them is it."""
    good = answer("production", "7")
    gateway = Told(
        answer("", "", 404), answer("status_quo", ""), answer("production", "6"), answer("canary", "7"), good
    )
    assert ask_gateway(gateway.ask_as, RECORDED, pause=0.0) == good
    assert len(set(gateway.riders)) == 5, "a rider whom the canary has keeps it: another one is asked for"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer("status_quo", ""), "answers from status_quo"),
        (answer("production", "6"), "answers from production with version 6"),
        (answer("canary", "7"), "answers from canary with version 7"),
        (Reply(200, {}), "does not say who answered"),
        (answer("", "", 503), "503"),
    ],
)
def test_anybody_elses_answer_is_no_proof(reply: Reply, said: str) -> None:
    """When the time is over, the message says who answered."""
    with pytest.raises(GateError, match=said):
        ask_gateway(Told(reply).ask_as, RECORDED, seconds=0.0)
