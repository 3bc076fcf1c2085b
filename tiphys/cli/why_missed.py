"""`tiphys why-missed`: which part of a step's key differed, so that it had to run."""

from __future__ import annotations

import argparse
from typing import Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import RUN_HELP, explained

_EXAMPLES = """examples:
  tiphys why-missed @latest          every step that was run, and why
  tiphys why-missed @latest etl      every part in which it differed from the nearest kept result
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "why-missed",
        help="why steps were run: what differed",
        description="For each step that was run: the parts of its key that differ from the nearest result that is kept, or what "
        "is wrong with that, or why it can't be cached. Exit code 1 if none was run.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("step", nargs="?", default="", metavar="STEP", help="only this step")
    parser.set_defaults(func=main)


@explained("why-missed")
def main(args: argparse.Namespace) -> int:
    """Print the differences."""
    from tiphys.cache.explain import last_of, never_asked, why_missed
    from tiphys.cache.store import Store
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_run, say

    engine = open_engine()
    run = find_run(engine, args.run)
    told = Store(engine.state).look_ups(run.name)
    lines = [line for each in last_of(told, args.step).values() if each.verdict != "hit" for line in why_missed(each)]
    lines += never_asked(run, told, args.step)
    print("\n".join(lines) or "every step was cached")
    if not lines:
        say(f"see `tiphys why-cached {run.name} {args.step}`".rstrip())
    return 0 if lines else 1
