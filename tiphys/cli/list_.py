"""`tiphys list`: the runs of this state folder."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.engine.journal import Summary

_EXAMPLES = """examples:
  tiphys list
  tiphys list --limit 5
  tiphys list -o json
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
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="what to print")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Print one line a run."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.tree import SYMBOLS, duration

    runs = open_engine().runs()
    if args.output == "json":
        print(json.dumps([_row(run) for run in runs[: args.limit]], indent=2))
        return 0
    if not runs:
        print("no runs yet: `tiphys run NAME` makes one")
    for run in runs[: args.limit]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created))
        took = duration((run.finished or time.time()) - run.created)
        print(f"{SYMBOLS.get(run.phase, '◷')} {run.name:<44} {run.phase or 'Pending':<10} {when}  {took}")
    return 0


def _row(run: Summary) -> dict[str, Any]:
    """One run for a program; times in seconds since the epoch, 0 for what is not yet."""
    return {"name": run.name, "phase": run.phase or "Pending", "created": run.created, "finished": run.finished}
