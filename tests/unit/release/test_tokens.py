"""Who may do what with the ledger."""

from __future__ import annotations

import pytest

from tiphys.errors import SettingsError
from tiphys.release.records import ENVIRONMENTS, ReleaseKind
from tiphys.release.tokens import Grant, Tokens, may_observe, may_testify, may_write

pytestmark = pytest.mark.unit

TOKENS = Tokens('{"r": "read", "s": "staging", "p": "production", "a": "agent:canary"}')
ALL = [
    *(Grant(role) for role in ("read", "evidence", "staging", "canary", "production")),
    *(Grant("agent", each) for each in ENVIRONMENTS),
]


@pytest.mark.parametrize(
    ("header", "grant"),
    [
        ("Bearer s", Grant("staging")),
        ("bearer p", Grant("production")),
        ("Bearer a", Grant("agent", "canary")),
        ("Bearer x", None),
        ("Basic s", None),
        ("s", None),
        ("", None),
        ("Bearer ", None),
    ],
)
def test_a_role_is_known_by_its_token_only(header: str, grant: Grant | None) -> None:
    """Unknown tokens and other schemes have none."""
    assert TOKENS.grant(header) == grant


def test_each_role_may_the_least() -> None:
    """Production writes everything, staging and canary their own environment, others none; an agent reports what it serves."""
    allowed = {str(each): [where for where in ENVIRONMENTS if may_write(each, where)] for each in ALL}
    assert {name: where for name, where in allowed.items() if where} == {
        "staging": ["staging"],
        "canary": ["canary"],
        "production": ["staging", "canary", "production"],
    }
    assert [str(each) for each in ALL if may_testify(each)] == ["evidence", "staging", "canary", "production"]
    reports = {str(each): [where for where in ENVIRONMENTS if may_observe(each, where)] for each in ALL}
    assert {name: where for name, where in reports.items() if where} == {
        f"agent:{where}": [where] for where in ENVIRONMENTS
    }


@pytest.mark.parametrize("kind", ["rollback", "withdrawal"])
def test_an_agent_takes_away_only_where_it_stands(kind: ReleaseKind) -> None:
    """The one of staging sends nobody in production back."""
    agents = [each for each in ALL if each.role == "agent"]
    taken = {each.environment: [where for where in ENVIRONMENTS if may_write(each, where, kind)] for each in agents}
    assert taken == {where: [where] for where in ENVIRONMENTS}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"secret-token": "admin"}', "secret-token", '{"secret-token": "agent"}',
     '{"secret-token": "agent:moon"}', '{"secret-token": "staging:staging"}', '{"secret-token": "read:"}', '{"secret-token": ["read"]}'])  # fmt: skip
def test_settings_that_make_no_sense_are_refused_without_showing_a_token(text: str) -> None:
    """The message says what form is wanted."""
    with pytest.raises(SettingsError) as refusal:
        Tokens(text)
    assert "secret-token" not in str(refusal.value)
