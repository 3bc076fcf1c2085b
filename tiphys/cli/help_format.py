"""How `--help` is laid out."""

from __future__ import annotations

import argparse
from collections.abc import Callable


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps a text of one line to the terminal; leaves one of several lines, such as examples, as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)  # noqa: SLF001  # argparse's own way to extend


Action = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
"""Its name, what declares its arguments, and what does it; the docstring's first line is its help."""


def add_actions(parser: argparse.ArgumentParser, examples: str, actions: tuple[Action, ...]) -> None:
    """Declare what a command can do, as ``tiphys cron list`` or ``tiphys cron create``."""
    declared = parser.add_subparsers(metavar="ACTION", required=True)
    for name, declare, function in actions:
        text = (function.__doc__ or "").splitlines()[0].lower().rstrip(".")
        action = declared.add_parser(
            name, help=text, description=text.capitalize() + ".", epilog=examples, formatter_class=HelpFormatter
        )
        declare(action)
        action.set_defaults(func=function)
