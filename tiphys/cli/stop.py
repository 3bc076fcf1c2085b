"""`tiphys stop`: stop a run that another process drives."""

from __future__ import annotations

import argparse
from typing import Any

_EXAMPLES = """examples:
  tiphys stop continuous-training-x7k2p
  tiphys stop continuous-training-x7k2p --terminate
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "stop",
        help="stop a run",
        description="Stop a run: its steps get SIGTERM, exit handlers still run.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="its name; `tiphys list` shows all")
    parser.add_argument("--terminate", action="store_true", help="at once, without exit handlers")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Ask for the stop; an interrupted run is stopped when it is resumed."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import say
    from tiphys.engine import EngineError

    engine = open_engine()
    try:
        asked = engine.stop(args.run, terminate=args.terminate)
    except EngineError as error:
        say(f"tiphys stop: {error}")
        return 2
    say(f"asked {args.run} to stop" if asked else f"run {args.run} has ended already")
    return 0
