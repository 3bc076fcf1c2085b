"""Who may do what with the ledger."""

from __future__ import annotations

import pytest

from tiphys.errors import SettingsError
from tiphys.release.tokens import Tokens, may_observe, may_write

pytestmark = pytest.mark.unit

TOKENS = Tokens('{"r": "read", "s": "staging", "p": "production", "a": "agent"}')


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("Bearer s", "staging"),
        ("bearer p", "production"),
        ("Bearer x", None),
        ("Basic s", None),
        ("s", None),
        ("", None),
        ("Bearer ", None),
    ],
)
def test_a_role_is_known_by_its_token_only(header: str, role: str | None) -> None:
    """Unknown tokens and other schemes have none."""
    assert TOKENS.role(header) == role


def test_each_role_may_the_least() -> None:
    """Production writes both environments, staging one, others none; only agents report."""
    allowed = {role: [each for each in ("staging", "production") if may_write(role, each)] for role in
               ("read", "agent", "staging", "production")}  # fmt: skip
    assert allowed == {"read": [], "agent": [], "staging": ["staging"], "production": ["staging", "production"]}
    assert [role for role in allowed if may_observe(role)] == ["agent"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"secret-token": "admin"}', "secret-token"])
def test_settings_that_make_no_sense_are_refused_without_showing_a_token(text: str) -> None:
    """The message says what form is wanted."""
    with pytest.raises(SettingsError) as refusal:
        Tokens(text)
    assert "secret-token" not in str(refusal.value)
