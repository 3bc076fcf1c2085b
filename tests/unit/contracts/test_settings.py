"""Settings: the one reader of the environment names everything that is missing, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import SettingsError
from tiphys.settings import INSTALLERS, CatalogSettings, S3Settings, StackSettings, load, surroundings, variables

pytestmark = pytest.mark.unit


def test_all_missing_variables_are_named_at_once_with_the_remedy() -> None:
    """A person fixes them in one go."""
    with pytest.raises(SettingsError, match=r"TIPHYS_S3_ACCESS_KEY.*TIPHYS_S3_SECRET_KEY.*tiphys env"):
        load(S3Settings, {"TIPHYS_S3_ENDPOINT": "http://127.0.0.1:1"})


def test_values_are_converted_and_defaults_filled_in() -> None:
    """Paths become absolute, numbers numbers."""
    settings = load(StackSettings, {"TIPHYS_HOME": "/tmp/../tmp/x", "TIPHYS_PORT_BASE": "9000"})
    assert (settings.home, settings.port_base) == (Path("/tmp/x").resolve(), 9000)
    assert load(StackSettings, {}).port_base == 7400


def test_a_number_that_is_none_is_refused_by_name() -> None:
    """The message names the variable and its value."""
    with pytest.raises(SettingsError, match=r"TIPHYS_PORT_BASE.*'many'"):
        load(StackSettings, {"TIPHYS_PORT_BASE": "many"})


def test_secrets_are_not_shown() -> None:
    """A settings object in a log or a traceback gives nothing away."""
    settings = CatalogSettings(url="u", user="canary-user", password="canary-password", warehouse="w")
    assert "canary" not in repr(settings)


def test_every_variable_has_a_meaning_and_one_reader() -> None:
    """The table of variables is complete and without doubles."""
    found = list(variables())
    assert all(each.meaning for each in found)
    assert len({each.name for each in found}) == len(found)


def test_a_program_is_lent_what_it_needs_and_no_more() -> None:
    """Whole names, and what begins with a name that ends in an underscore; never a credential of ours."""
    there = {"PATH": "/bin", "PIP_INDEX_URL": "x", "PIPE": "y", "TIPHYS_S3_SECRET_KEY": "hush", "TIPHYS_BASE": "z"}
    assert surroundings(*INSTALLERS, environ=there) == {
        "PATH": "/bin",
        "PIP_INDEX_URL": "x",
        "TIPHYS_BASE": "z",
    }
    assert surroundings("PATH", environ=there) == {"PATH": "/bin"}
