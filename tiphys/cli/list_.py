"""`tiphys list`: the runs of this state folder."""

from __future__ import annotations

import argparse
import time
from typing import Any

_EXAMPLES = """examples:
  tiphys list
  tiphys list --limit 5
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "list",
        help="the runs, the latest first",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Print one line a run."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.tree import SYMBOLS, duration

    runs = open_engine().runs()
    if not runs:
        print("no runs yet: `tiphys run NAME` makes one")
    for run in runs[: args.limit]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created))
        took = duration((run.finished or time.time()) - run.created)
        print(f"{SYMBOLS.get(run.phase, '◷')} {run.name:<44} {run.phase or 'Pending':<10} {when}  {took}")
    return 0
