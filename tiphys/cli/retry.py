"""`tiphys retry`: run again what failed in a run, keeping what succeeded."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, add_colour, add_containers, explained, in_colour, patterns, say

_EXAMPLES = """examples:
  tiphys retry continuous-training-x7k2p
  tiphys retry @latest -p epochs=3
  tiphys retry @latest --restart-successful --node-field-selector displayName=train
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "retry",
        help="run again what failed, keep what succeeded",
        description="Run again, in the same run, the steps that failed and what comes after them.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="change a parameter")
    parser.add_argument("--restart-successful", action="store_true", help="steps that are selected run again, too")
    parser.add_argument("--node-field-selector", default="", metavar="FIELD=VALUE,...", help="selects those steps")
    parser.add_argument("-o", "--output", choices=("tree", "json"), default="tree", help="what to print")
    add_containers(parser, "as the run has it; '': processes")
    add_colour(parser)
    add_server(parser, "retry", waits=True)
    parser.set_defaults(func=main)


@explained("retry")
def main(args: argparse.Namespace) -> int:
    """Reset what failed, then drive the run to its end."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cli.run import drive
    from tiphys.cli.runs import find_name

    check_selector(args)
    engine = open_engine()
    name = find_name(engine, args.run)
    if not engine.served():
        engine.refuse_if_held()
    again = engine.retry(name, parse_parameters(args.parameter), args.node_field_selector, patterns(args.containers))
    say(f"running again in {name}: {', '.join(again) or 'what did not begin'}")
    return drive(engine, name, args.output, colour=in_colour(args))


def check_selector(args: argparse.Namespace) -> None:
    """Raises EngineError for half of a choice."""
    from tiphys.engine.errors import EngineError

    if args.restart_successful != bool(args.node_field_selector):
        msg = "--restart-successful and --node-field-selector go together: the one says that, the other what"
        raise EngineError(msg)
