"""`tiphys terminate`: end a run at once, without its exit handlers."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, explained

_EXAMPLES = """examples:
  tiphys terminate continuous-training-x7k2p
  tiphys terminate @latest
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "terminate",
        help="end a run at once, without exit handlers",
        description="End a run at once: its steps get SIGTERM, no exit handler runs.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_server(parser, "terminate")
    parser.set_defaults(func=main)


@explained("terminate")
def main(args: argparse.Namespace) -> int:
    """Ask for it, or do it."""
    from tiphys.cli.stop import end

    return end(args.run, terminate=True)
