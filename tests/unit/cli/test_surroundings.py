"""Whose keys a command uses: its own at the stack of this laptop, whatever else a shell was told, and never at other servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.cli.surroundings import settings
from tiphys.errors import SettingsError
from tiphys.settings import (
    AgentsSettings,
    AskerSettings,
    LedgerSettings,
    PassportSettings,
    RegistrySettings,
    S3Settings,
    TrustSettings,
    stack_settings,
    variables,
)
from tiphys.stack import environment, keys
from tiphys.step import contracts

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A shell that was told nothing, where a stack was started once."""
    for each in variables():
        monkeypatch.delenv(each.name, raising=False)
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path))
    (tmp_path / "secrets").mkdir()
    keys.ensure(tmp_path / "secrets/keys.json", contracts())
    return monkeypatch


def stacks(name: str) -> dict[str, str]:
    """What the stack tells one who is called that."""
    return environment(stack_settings(), contracts(), name)


def tell(shell: pytest.MonkeyPatch, told: dict[str, str]) -> None:
    """As ``eval "$(tiphys env ...)"`` does."""
    for name, value in told.items():
        shell.setenv(name, value)


@pytest.mark.parametrize("eval_of", ["", "rider", "deploy", "gateway"])
def test_a_shell_that_was_told_to_be_somebody_else_takes_no_key_away(shell: pytest.MonkeyPatch, eval_of: str) -> None:
    """After ``eval "$(tiphys env rider)"``, which has no token for the ledger, ``tiphys release list`` still has one."""
    own = stacks("cli")
    if eval_of:
        tell(shell, stacks(eval_of))
    assert settings(LedgerSettings).url == own["TIPHYS_LEDGER_URL"]
    assert settings(LedgerSettings).token == stacks("deploy" if eval_of == "deploy" else "cli")["TIPHYS_LEDGER_TOKEN"]
    assert settings(PassportSettings).key == own["TIPHYS_PASSPORT_KEY"]
    assert settings(TrustSettings).public_keys == own["TIPHYS_PASSPORT_PUBLIC_KEYS"]
    assert settings(AgentsSettings).production == own["TIPHYS_PRODUCTION_AGENT"]
    assert settings(AgentsSettings).production_token == own["TIPHYS_PRODUCTION_AGENT_TOKEN"]
    key = stacks("rider" if eval_of == "rider" else "cli")["TIPHYS_GATEWAY_KEY"]
    assert settings(AskerSettings) == AskerSettings(own["TIPHYS_GATEWAY_URL"], key)


def test_a_token_that_a_person_gives_counts(shell: pytest.MonkeyPatch) -> None:
    """With the stack's address, or without one, as that is the stack's."""
    shell.setenv("TIPHYS_LEDGER_TOKEN", "given")
    assert settings(LedgerSettings) == LedgerSettings(stacks("cli")["TIPHYS_LEDGER_URL"], "given")
    shell.setenv("TIPHYS_LEDGER_URL", stacks("cli")["TIPHYS_LEDGER_URL"])
    assert settings(LedgerSettings).token == "given"


def test_other_servers_are_told_no_key_of_this_stack(shell: pytest.MonkeyPatch) -> None:
    """Not even where nothing else is known; what they need is named."""
    shell.setenv("TIPHYS_LEDGER_URL", "https://ledger.example.org")
    assert settings(LedgerSettings) == LedgerSettings("https://ledger.example.org", "")
    shell.setenv("TIPHYS_S3_ENDPOINT", "https://s3.example.org")
    with pytest.raises(SettingsError, match="TIPHYS_S3_ACCESS_KEY"):
        settings(S3Settings)
    shell.setenv("TIPHYS_REGISTRY", "registry.example.org/team")
    assert settings(RegistrySettings).registry == "registry.example.org/team"
    tell(shell, stacks("deploy") | {"TIPHYS_GATEWAY_URL": "https://gateway.example.org"})
    assert settings(AskerSettings) == AskerSettings("https://gateway.example.org", "")


def test_the_agents_of_a_cluster_are_told_no_token_of_this_stack(shell: pytest.MonkeyPatch) -> None:
    """A shell that was told a cluster's ConfigMap, and no Secret, sends this laptop's tokens nowhere."""
    known = [each for each in variables(AgentsSettings) if not each.secret]
    tell(shell, {each.name: "192.0.2.5:80" for each in known})
    told = settings(AgentsSettings)
    assert told.production == "192.0.2.5:80"
    assert (told.staging_token, told.canary_token, told.production_token) == ("", "", "")


def test_a_gateway_and_a_key_are_all_that_a_rider_needs(shell: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other address is asked for."""
    shell.setenv("TIPHYS_HOME", str(tmp_path / "nothing"))
    tell(shell, {"TIPHYS_GATEWAY_URL": "https://gateway.example.org", "TIPHYS_GATEWAY_KEY": "given"})
    assert settings(AskerSettings) == AskerSettings("https://gateway.example.org", "given")


def test_without_a_stack_the_environment_is_all_there_is(shell: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing is named."""
    shell.setenv("TIPHYS_HOME", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="run 'tiphys up' first"):
        settings(LedgerSettings)
    shell.setenv("TIPHYS_LEDGER_TOKEN", "given")
    with pytest.raises(SettingsError, match="TIPHYS_LEDGER_URL"):
        settings(LedgerSettings)
    shell.delenv("TIPHYS_LEDGER_TOKEN")
    shell.setenv("TIPHYS_LEDGER_URL", "https://ledger.example.org")
    assert settings(LedgerSettings).token == ""
    assert settings(TrustSettings).public_keys == ""
