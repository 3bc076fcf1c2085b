"""`tiphys down`: stop the embedded servers."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.surroundings import program

_SHOWN = 5
_EXAMPLES = """examples:
  tiphys down                     stop everything; data, models and logs stay
  tiphys down && rm -rf .tiphys   and throw the state away
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "down",
        help="stop the embedded servers",
        description="Stop the embedded servers in reverse order; their data stays.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(func=main)


def main(_arguments: argparse.Namespace) -> int:
    """Stop, and say whether anything ran."""
    from tiphys.settings import stack_settings
    from tiphys.stack import down

    unfinished = _unfinished()
    print("all servers are stopped" if down(stack_settings()) else "no server was running")
    if unfinished:
        print(f"not ended: {', '.join(unfinished[:_SHOWN])}{', ...' if len(unfinished) > _SHOWN else ''}")
        print(f"           they go on at the next `{program()} up`")
    return 0


def _unfinished() -> list[str]:
    """The runs that the engine was driving."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.errors import EngineError

    engine = open_engine()
    with suppress(EngineError):  # a damaged journal must not keep servers up
        return engine.journal.unfinished_names() if engine.served() else []
    return []
