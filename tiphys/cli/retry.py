"""`tiphys retry`: run again what failed in a run, keeping what succeeded."""

from __future__ import annotations

import argparse
from typing import Any

_EXAMPLES = """examples:
  tiphys retry continuous-training-x7k2p
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "retry",
        help="run again what failed, keep what succeeded",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="its name; `tiphys list` shows all")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Reset what failed, then drive the run to its end."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.run import drive, say
    from tiphys.engine import EngineError

    engine = open_engine()
    try:
        again = engine.retry(args.run)
        say(f"running again: {', '.join(again)}")
        return drive(engine, args.run)
    except EngineError as error:
        say(f"tiphys retry: {error}")
        return 2
