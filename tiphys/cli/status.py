"""`tiphys status`: what runs, where, since when, and what memory it takes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter

if TYPE_CHECKING:
    from tiphys.stack import Row

_EXAMPLES = """examples:
  tiphys status          a table; memory is PSS: what would be free again if the server ended
  tiphys status --json   for a program; exit code 0 only if every server is ready
"""
_MIB = 1 << 20


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "status",
        help="what runs, where, and what it takes",
        description="Show the embedded servers. Exit code 0 if every one is ready, 1 if not.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.set_defaults(func=main)


def main(arguments: argparse.Namespace) -> int:
    """Print the table or the document."""
    from tiphys.settings import stack_settings
    from tiphys.stack import status

    rows = status(stack_settings())
    if arguments.json:
        total = sum(each.memory or 0 for each in rows)
        print(json.dumps({"servers": [dataclasses.asdict(each) for each in rows], "memory": total}, indent=1))
    elif rows:
        _table(rows)
    else:
        print("no server is running: tiphys up")
    return 0 if rows and all(each.state == "ready" for each in rows) else 1


def _table(rows: list[Row]) -> None:
    print(f"{'SERVER':<18} {'STATE':<11} {'ADDRESS':<16} {'PID':>8} {'RESTARTS':>8} {'UPTIME':>9} {'MEMORY':>9}")
    for each in rows:
        pid = each.pid or "-"
        uptime = _uptime(time.time() - each.since) if each.state == "ready" else "-"
        memory = "-" if each.memory is None else f"{each.memory / _MIB:.0f} MiB"
        print(
            f"{each.name:<18} {each.state:<11} {each.address:<16} {pid:>8} {each.restarts:>8} {uptime:>9} {memory:>9}"
        )
    total = sum(each.memory or 0 for each in rows)
    print(f"{'':<18} {'':<11} {'':<16} {'':>8} {'':>8} {'':>9} {total / _MIB:>5.0f} MiB")
    for each in rows:
        if each.reason:
            print(f"{each.name}: {each.reason}\n  log: {each.log}")


def _uptime(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"
