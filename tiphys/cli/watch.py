"""`tiphys watch`: a run that another process drives, while it happens."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import RUN_HELP, add_colour, explained, in_colour, say

if TYPE_CHECKING:
    from tiphys.engine import RunState

_EXAMPLES = """examples:
  tiphys watch @latest
  tiphys run pipeline.yaml & tiphys watch @latest
"""
_CLEAR = "\x1b[H\x1b[2J"


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "watch",
        help="a run that another process drives, while it happens",
        description="Draw a run as `tiphys get` does, again whenever it changes, until it has ended.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_colour(parser)
    add_server(parser, "watch")
    parser.set_defaults(func=main)


@explained("watch")
def main(args: argparse.Namespace) -> int:
    """Draw until the run has ended; away from a terminal, one line a change."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.following import follow
    from tiphys.cli.runs import find_name

    engine = open_engine()
    name = find_name(engine, args.run)
    show = shower(args)
    try:
        for run in follow(engine, name, ticking=sys.stdout.isatty()):
            show(run)
    except KeyboardInterrupt:
        return 130
    if not run.done:
        say(f"no engine drives {name}: `tiphys resume {name}` goes on with it")
        return 1
    return 0 if run.phase == "Succeeded" else 1


def shower(args: argparse.Namespace) -> Callable[[RunState], None]:
    """What shows a run: on a terminal drawn anew, elsewhere one line a change."""
    found: Callable[[RunState], None] = _on_screen(colour=in_colour(args)) if sys.stdout.isatty() else _line_by_line()
    return found


def _on_screen(*, colour: bool) -> Any:
    from tiphys.engine.argo_get import draw

    def show(run: Any) -> None:
        found = draw(run, time.time(), colour=colour)
        room = shutil.get_terminal_size().lines - 1
        print(_CLEAR + "\n".join(found if run.done else found[:room]), flush=True)

    return show


def _line_by_line() -> Any:
    from tiphys.engine.tree import LiveTree

    tree = LiveTree()
    return lambda run: tree(run, list(run.nodes.values()))
