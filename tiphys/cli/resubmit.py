"""`tiphys resubmit`: run the same once more, as a new run."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, add_colour, add_containers, explained, in_colour, patterns, say

_EXAMPLES = """examples:
  tiphys resubmit hello-x7k2p
  tiphys resubmit @latest -p message=ahoy
  tiphys resubmit @latest --memoized      take over what succeeded in a failed run
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "resubmit",
        help="run the same once more, as a new run",
        description="Run what a run ran once more: its spec as it was merged at submit, its labels, a new name.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="change a parameter")
    parser.add_argument("--memoized", action="store_true", help="what succeeded is Skipped and keeps its outputs")
    parser.add_argument("--name", default="", help="the new run's name (default: made from the old one's)")
    parser.add_argument("-o", "--output", choices=("tree", "json"), default="tree", help="what to print")
    add_containers(parser, "as the old run has it; '': processes")
    add_colour(parser)
    add_server(parser, "resubmit", waits=True)
    parser.set_defaults(func=main)


@explained("resubmit")
def main(args: argparse.Namespace) -> int:
    """Make the new run, then drive it to its end."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cli.run import drive
    from tiphys.cli.runs import find_name
    from tiphys.engine.control import resubmit

    engine = open_engine()
    old = find_name(engine, args.run)
    if not engine.served():
        engine.refuse_if_held()
    name = resubmit(
        engine, old, parse_parameters(args.parameter), memoized=args.memoized, as_name=args.name,
        containers=patterns(args.containers),
    )  # fmt: skip
    say(f"{old} runs once more as {name}")
    return drive(engine, name, args.output, colour=in_colour(args))
