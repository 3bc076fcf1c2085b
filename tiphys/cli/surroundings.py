"""Addresses and tokens for a command: from the environment where they are set, else those of the stack on this laptop."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TypeVar

Group = TypeVar("Group")


def settings(group: type[Group]) -> Group:
    """Read one group of settings.

    Raises:
        SettingsError: nothing is set, and no stack was ever started here.
    """
    from tiphys.errors import SettingsError
    from tiphys.settings import load, stack_settings
    from tiphys.stack import environment
    from tiphys.step import contracts

    try:
        return load(group)
    except SettingsError:
        return load(group, environment(stack_settings(), contracts(), "cli"))


def program() -> str:
    """What to type for ``tiphys``: just that where it is on PATH, else the way to it."""
    beside = Path(sys.executable).with_name("tiphys")
    if shutil.which("tiphys") or not beside.is_file():
        return "tiphys"
    relative = os.path.relpath(beside)
    return str(beside) if relative.startswith("..") else relative
