"""`tiphys delete`: forget runs and their logs."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.list_ import add_filters, filtered
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, explained

_EXAMPLES = """examples:
  tiphys delete hello-x7k2p
  tiphys delete --completed --older 7d --dry-run
  tiphys delete --all
"""
_FILTERS = ("running", "completed", "status", "prefix", "older", "since", "selector")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "delete",
        help="forget runs and their logs",
        description="Forget runs and their logs. Their artifacts stay. A run that an engine drives is not deleted.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--all", action="store_true", help="every run")
    add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say which")
    add_server(parser, "delete")
    parser.set_defaults(func=main)


@explained("delete")
def main(args: argparse.Namespace) -> int:
    """Delete what was named, or what passes the filters."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_name
    from tiphys.engine.control import delete

    engine = open_engine()
    names = [find_name(engine, each) for each in args.runs]
    if by_filter(args):
        names += [run.name for run in filtered(engine, args) if run.name != engine.driven()]
    for name in dict.fromkeys(names):
        if not args.dry_run:
            delete(engine, name)
        print(f"{name} {'would be deleted' if args.dry_run else 'deleted'}")
    return 0


def by_filter(args: argparse.Namespace) -> bool:
    """Whether runs are chosen by filters, too. Raises EngineError where nothing chooses any."""
    from tiphys.engine.errors import EngineError

    filters = args.all or any(getattr(args, each) for each in _FILTERS)
    if not filters and not args.runs:
        msg = "name runs to delete, or give a filter such as --completed, or --all"
        raise EngineError(msg)
    return bool(filters)
