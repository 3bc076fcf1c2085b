"""The secrets of this machine, to look for where none may be: those of the embedded servers and of the environment."""

from __future__ import annotations


def known_secrets() -> frozenset[str]:
    """Their values; what is not there is not looked for. Starts nothing and makes none."""
    from tiphys.settings import present_secrets, stack_settings
    from tiphys.stack.keys import read
    from tiphys.stack.layout import Layout

    file = Layout.of(stack_settings()).secrets / "keys.json"
    return frozenset(present_secrets()) | (read(file).values() if file.is_file() else frozenset())
