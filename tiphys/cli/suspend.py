"""`tiphys suspend`: start nothing more in a run until it is resumed."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, explained, say

_EXAMPLES = """examples:
  tiphys suspend continuous-training-x7k2p
  tiphys suspend @latest && tiphys resume @latest
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "suspend",
        help="start nothing more in a run until it is resumed",
        description="Start nothing more in a run until `tiphys resume`; steps that run go on to their end.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_server(parser, "suspend")
    parser.set_defaults(func=main)


@explained("suspend")
def main(args: argparse.Namespace) -> int:
    """Ask for it, or do it."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_name
    from tiphys.engine.control import suspend

    engine = open_engine()
    name = find_name(engine, args.run)
    words = {"asked": "asked {} to suspend", "suspended": "{} is suspended", "already": "{} is suspended already"}
    say(words[suspend(engine, name)].format(name))
    return 0
