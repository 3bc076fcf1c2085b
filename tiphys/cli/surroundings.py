"""Addresses and tokens for a command: those of the stack on this laptop, unless the environment says others."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TypeVar

Group = TypeVar("Group")


def settings(group: type[Group]) -> Group:
    """Read one group of settings: the stack's on this laptop, where we are ``cli``, and over it what the environment says.

    Addresses decide: where the environment names another server, the group's token is never the stack's. So a token
    stands in the group that has its server's address.

    Raises:
        SettingsError: what is needed is not set, and no stack was ever started here.
    """
    from tiphys.errors import SettingsError
    from tiphys.settings import load, surroundings, variables

    known = list(variables(group))
    said = {name: text for name, text in surroundings(*(each.name for each in known)).items() if text}
    if len(said) == len(known):
        return load(group, said)
    try:
        own = _own()
    except SettingsError as no_stack:
        try:
            return load(group, said)
        except SettingsError as missing:
            raise (missing if said else no_stack) from None
    is_elsewhere = any(said[each.name] != own.get(each.name) for each in known if each.name in said and not each.secret)
    return load(group, said if is_elsewhere else {**own, **said})


def _own() -> dict[str, str]:
    """What this laptop's stack tells the command line. Raises SettingsError if none was ever started here."""
    from tiphys.settings import stack_settings
    from tiphys.stack import environment
    from tiphys.step import contracts

    return environment(stack_settings(), contracts(), "cli")


def program() -> str:
    """What to type for ``tiphys``: just that where it is on PATH, else the way to it."""
    beside = Path(sys.executable).with_name("tiphys")
    if shutil.which("tiphys") or not beside.is_file():
        return "tiphys"
    relative = os.path.relpath(beside)
    return str(beside) if relative.startswith("..") else relative
